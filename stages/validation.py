"""Hold the influence against what is known: planted flips, the teacher's errors, and students that are retrained."""

from copy import deepcopy

import numpy as np
import pyarrow.parquet as pq
import torch

from lgtm.influence.validation import (
    known_errors,
    linear_datamodeling_score,
    random_subsets,
    teacher_errors,
    without,
)
from lgtm.networks.determinism import make_deterministic
from lgtm.networks.losses import DistillationLoss
from lgtm.networks.pairs import load_pair
from lgtm.networks.training import count_steps, fit
from lgtm.params import Params, Training, load_params
from lgtm.resume import once
from stages.artifacts import (
    TAUGHT,
    VALIDATION,
    cell,
    existing,
    read_columns,
    read_matrix,
    read_role,
    require_rows_of,
    role_path,
    write_json,
)
from stages.network import Network


def main(seed: int) -> None:
    """Write validation.json to work/validation/<seed>."""
    params = load_params()
    settings = params.validation
    make_deterministic(seed)
    train = read_role("train")
    path, targets = cell(seed, "influence") / "influence.parquet", cell(seed, "teacher") / "targets.parquet"
    require_rows_of(TAUGHT, path, targets)
    scores = read_columns(path, "influence", "influence_label").to_numpy(np.float64)
    student_logits = read_matrix(path, "student_logits")
    teacher_logits = read_matrix(targets, "logits")
    # Transfer's rows stand after train's own.
    own, others = slice(len(train)), slice(len(train), None)
    influence = scores[own, 0]
    found = known_errors(
        influence,
        scores[own, 1],
        student_logits[own],
        teacher_logits[own],
        train["label"].to_numpy(),
        train["true_label"].to_numpy(),
    )
    truth = transfer_truth()
    if truth is not None:
        found["teacher_error_transfer"], found["shares"]["teacher_error_transfer"] = teacher_errors(
            scores[others, 0], student_logits[others], teacher_logits[others], truth
        )
    # Students are retrained on parts of train alone.
    retrain = Retraining(seed, params, teacher_logits[own])

    if settings.subsets:
        subsets = random_subsets(len(train), settings.subsets, settings.fraction, seed)
        summed = subsets @ influence
        losses = [retrain(mask, f"subset {n} of {len(subsets)}") for n, mask in enumerate(subsets, start=1)]
        found["lds"] = linear_datamodeling_score(summed, np.mean(losses, axis=-1), seed)
        found["subsets"] = [
            {"influence": float(total), "losses": each} for total, each in zip(summed, losses, strict=True)
        ]
    if settings.removals:
        found["nothing_dropped"] = retrain(np.ones(len(train), dtype=bool), "nothing dropped")
        found["removals"] = [
            {"dropped": name, "fraction": fraction, "losses": retrain(mask, f"{fraction:g} dropped, {name}")}
            for fraction in settings.removals
            for name, mask in without(influence, fraction, seed).items()
        ]
    write_json(VALIDATION / str(seed) / "validation.json", found)


def transfer_truth() -> np.ndarray | None:
    """The true labels of transfer's rows; None where they are not known, or there are no rows."""
    path = role_path("transfer")
    if "true_label" not in pq.read_schema(existing(path)).names:
        return None
    return read_columns(path, "true_label")["true_label"].to_numpy()


class Retraining:
    """Distils copies of the warm student, with the loss that was scored, on parts of train."""

    def __init__(self, seed: int, params: Params, teacher_logits: np.ndarray):
        retrain = params.validation.retrain
        self.params, self.folder = params, VALIDATION / str(seed)
        # The loss is read once, at the end: to choose by it would make it better than it is.
        self.settings = Training(**retrain.model_dump(exclude={"learning_rate_factor"}), evaluations=1, keep="last")
        self.rate = load_pair(params.pair).student.learning_rate * retrain.learning_rate_factor
        self.student = Network(cell(seed, "student"))
        self.train = self.student.encode("train")
        # Held against what is known, as the flips of train are: planted noise in selection would be most of the loss.
        held_out = read_role("selection")
        self.selection = self.student.encode_frame(held_out.assign(label=held_out["true_label"]))
        scored = params.scored_loss
        self.loss = DistillationLoss(torch.tensor(teacher_logits), scored.temperature, scored.hard_label_weight)

    def __call__(self, mask: np.ndarray, description: str) -> list[float]:
        """Held-out losses of students distilled on the masked rows, one per training seed."""
        return once(lambda: self._losses(mask, description))

    def _losses(self, mask: np.ndarray, description: str) -> list[float]:
        rows = self.train.take(np.flatnonzero(mask).tolist())
        losses = []
        for repeat in range(self.params.validation.repeats):
            fit(
                deepcopy(self.student.model),
                self.loss,
                rows,
                self.selection,
                self.settings,
                steps=count_steps(len(rows), self.settings),
                learning_rate=self.rate,
                precision=self.params.precision,
                tokens_at_once=self.params.tokens_at_once,
                seed=repeat,
                metrics=self.student.task["metrics"],
                log=lambda step, values: losses.append(values["selection/nll"]),
                description=f"{self.folder}: {description}",
                start=False,
            )
        return losses
