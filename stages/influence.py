"""Score every row that the teacher speaks on: how much distilling from it helps the warm student generalise."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file
from torch import Tensor
from tqdm import tqdm

from lgtm.errors import UserError
from lgtm.handover import remedy
from lgtm.influence.direction import (
    Direction,
    feedback_gradient,
    feedback_loss,
    normalise,
    precondition,
    scope_parameters,
)
from lgtm.influence.folds import UNSEEN, assign_folds
from lgtm.influence.identity import combine, moves_head_alone, tangents
from lgtm.networks.cost import added
from lgtm.networks.determinism import make_deterministic
from lgtm.networks.encoding import EncodedTexts, by_length, ordered_batches
from lgtm.networks.parallel import own_batches
from lgtm.networks.prediction import batch_by_batch, predict
from lgtm.params import Influence, ScoredLoss, load_params
from lgtm.resume import once
from stages.artifacts import (
    TAUGHT,
    TableWriter,
    cell,
    count_rows,
    existing,
    read_chunks,
    read_matrices,
    read_role,
    require_rows_of,
    role_path,
    taught_chunks,
    write_cost,
    write_json,
)
from stages.network import Network

CHECKED = 64  # samples on which the finite difference is held against forward mode
TOLERANCE = 1e-2


def main(seed: int) -> None:
    """Write influence, student logits and tangents by sample_id to work/runs/<seed>/influence."""
    params = load_params()
    make_deterministic(seed)
    folder = cell(seed, "student")
    require_rows_of(TAUGHT, cell(seed, "teacher") / "targets.parquet")
    folders = [*sorted((folder / "checkpoints").glob("*")), folder]
    checkpoints = [Checkpoint(each, each, params.influence, seed) for each in folders]
    score(checkpoints, cell(seed, "teacher"), cell(seed, "influence"), params.scored_loss)


def score(checkpoints: list["Checkpoint"], teacher: Path, out: Path, loss: ScoredLoss) -> None:
    """Score train and transfer under a teacher, the folder of its targets, streamed: memory does not grow with them."""
    write_json(out / "summary.json", check(checkpoints))
    targets = MatrixReader(teacher / "targets.parquet", "logits")
    total = sum(count_rows(role_path(role)) for role in TAUGHT)
    with (
        TableWriter(out / "influence.parquet") as table,
        tqdm(total=total * len(checkpoints), desc=str(out), unit="sample") as progress,
    ):
        for rows in taught_chunks():
            columns = combine(
                [checkpoint.score(rows, progress.update) for checkpoint in checkpoints],
                torch.from_numpy(targets.take(len(rows))),
                torch.tensor(rows["label"].to_numpy()),
                temperature=loss.temperature,
                hard_label_weight=loss.hard_label_weight,
            )
            table.write(rows["sample_id"], **{name: values.numpy() for name, values in columns.items()})
    write_cost(out, student_scored=added([checkpoint.student.passes.total() for checkpoint in checkpoints]))


class Checkpoint:
    """A student with its directions. moments: the folder of the second moments that precondition them.

    seed: of the folds of train, where the directions come from these (influence.folds).
    """

    def __init__(self, folder: Path, moments: Path, settings: Influence, seed: int):
        self.settings, self.folder, self.moments = settings, folder, moments
        # Fused attention has no forward-mode rule.
        fused = settings.method == "finite_difference" or settings.scope == "head"
        self.student = Network(folder, attention=None if fused else "eager")
        self.folds = pd.Series(dtype="int64")
        if settings.folds:
            train = read_role("train")
            self.folds = pd.Series(assign_folds(train, settings.folds, seed), train["sample_id"])
            data, fold = self.student.encode("train"), self.folds.to_numpy()
            parts = {number: data.take(np.flatnonzero(fold != number).tolist()) for number in np.unique(fold)}
            self.directions = {number: self._along(part) for number, part in (parts | {UNSEEN: data}).items()}
        else:
            self.directions = {UNSEEN: self._along(self.student.encode("feedback"))}

    def _along(self, feedback: EncodedTexts) -> Direction:
        """The direction of these rows, from an earlier run where it was stopped behind it."""
        passes = self.student.passes
        found = once(lambda: {"direction": self._direction(feedback), "passes": passes.state()})
        passes.go_on(found["passes"])
        return {name: value.to(self.student.model.device) for name, value in found["direction"].items()}

    def _direction(self, feedback: EncodedTexts) -> Direction:
        settings, model = self.settings, self.student.model.eval()
        logits = torch.from_numpy(predict(model, feedback, settings.batch_size))
        loss_sum = feedback_loss(settings.feedback_loss, logits, torch.tensor(feedback.labels))
        own = own_batches(by_length(feedback), settings.batch_size)
        batches = ordered_batches(feedback, settings.batch_size, own, model.device, "feedback gradient")
        try:
            direction = feedback_gradient(model, batches, scope_parameters(model, settings.scope), loss_sum)
            if settings.preconditioner == "adamw":
                moments = load_file(existing(self.moments / "second_moments.safetensors"), device=str(model.device))
                direction = precondition(direction, moments)
            return normalise(direction)
        except ValueError as error:
            raise UserError(f"params.yaml: influence.scope: {error}") from error

    def score(self, rows: pd.DataFrame, advance: Callable[[int], None]) -> tuple[Tensor, Tensor]:
        """Student logits and tangents of the rows, in their order: a row's in the direction that has not seen it."""
        return self._score(self.student, rows, self.settings.method, advance)

    def disagreement(self, rows: pd.DataFrame) -> float:
        """Relative distance between the tangents of the two methods on these rows."""
        head = moves_head_alone(self.student.model, self.directions[UNSEEN])
        student = self.student if head else Network(self.folder, attention="eager")
        found, exact = (self._score(student, rows, method)[1] for method in ("finite_difference", "forward"))
        return ((found - exact).norm() / exact.norm()).item()

    def _score(self, student, rows, method, advance=lambda samples: None):
        fold = rows["sample_id"].map(self.folds).fillna(UNSEEN).to_numpy(dtype=int)
        places = [np.flatnonzero(fold == number) for number in np.unique(fold)]
        parts = [
            self._score_along(self.directions[fold[own[0]]], student, rows.iloc[own], method, advance) for own in places
        ]
        back = torch.tensor(np.concatenate(places)).argsort()
        logits, derivative = (torch.cat(column)[back] for column in zip(*parts, strict=True))
        return logits, derivative

    def _score_along(self, direction, student, rows, method, advance):
        settings, data = self.settings, student.encode_frame(rows)
        model = student.model.eval()

        def said(rows):
            advance(len(data) - len(rows))  # what other processes do, or was done when this one was stopped
            batches = ordered_batches(data, settings.batch_size, rows, model.device)
            for part in tangents(model, batches, direction, method=method, step_size=settings.step_size):
                yield tuple(values.float().cpu() for values in part)
                advance(len(part[0]))

        return batch_by_batch(model, data, settings.batch_size, said)


def check(checkpoints: list[Checkpoint]) -> dict:
    """Hold the finite difference against forward mode on a sample of train, and say so where they disagree."""
    rows = next(read_chunks(role_path("train")))
    rows = rows.sample(min(CHECKED, len(rows)), random_state=0).sort_index()
    worst = max(checkpoint.disagreement(rows) for checkpoint in checkpoints)
    if worst > TOLERANCE:
        print(
            f"warning: influence.step_size {checkpoints[0].settings.step_size:g}: the finite difference is"
            f" {100 * worst:.1f} % off forward mode on {len(rows)} samples; use influence.method forward",
            file=sys.stderr,
        )
    return {"checkpoints": len(checkpoints), "disagreement": worst, "tolerance": TOLERANCE}


class MatrixReader:
    """Reads a matrix of a parquet table from its beginning on, as many rows at a time as are asked for."""

    def __init__(self, path: Path, column: str):
        self.path, self.chunks, self.held = path, read_matrices(path, column), []

    def take(self, count: int) -> np.ndarray:
        """The next `count` rows. Raises UserError where there are fewer."""
        while sum(map(len, self.held)) < count:
            chunk = next(self.chunks, None)
            if chunk is None:
                raise UserError(f"{self.path}: has fewer rows than what it goes with; {remedy(self.path)}")
            self.held.append(chunk)
        rows = np.concatenate(self.held)
        self.held = [rows[count:]]
        return rows[:count]
