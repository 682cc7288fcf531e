"""Train the warm student on what its arm's teacher says; in some arms the teacher learns beside it."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch

from lgtm.arms.shared.cotraining import CoTeacher
from lgtm.arms.shared.lesson import CoTraining
from lgtm.errors import UserError
from lgtm.handover import remedy
from lgtm.networks.cost import added
from lgtm.networks.determinism import make_deterministic
from lgtm.networks.encoding import EncodedTexts
from lgtm.networks.losses import DistillationLoss, HiddenMatching, LabelLoss, Loss
from lgtm.networks.metrics import evaluate_logits
from lgtm.networks.pairs import load_pair
from lgtm.networks.storage import DiskTable
from lgtm.networks.training import count_steps
from lgtm.params import ARMS, CO_TRAINED, Distill, Params, load_params
from lgtm.processes import by_main
from lgtm.seconds import timed
from stages.artifacts import (
    TAUGHT,
    TEXTS,
    at,
    cell,
    existing,
    read_columns,
    read_json,
    read_matrices,
    require_rows_of,
    role_chunks,
    trial_folder,
    write_cost,
    write_json,
)
from stages.network import Network


def main(seed: int, arm: str) -> None:
    """Write the distilled student to work/runs/<seed>/<arm>/student.

    A teacher that learnt beside it goes to its folder teacher, as it is at the end, whichever student was kept.
    """
    params = load_params()
    make_deterministic(seed)
    taught, out = cell(seed, arm, "teacher"), cell(seed, arm, "student")
    with timed(out / "model.safetensors"):
        beside = co_training(arm, params)
        if beside is None:
            distil(cell(seed, "student"), taught, params, seed, out)
        else:
            learn_together(cell(seed, "student"), cell(seed, "teacher"), taught, beside, params, seed, out)


def learn_together(
    start: Path, warm: Path, taught: Path, beside: CoTraining, params: Params, seed: int, out: Path
) -> None:
    """Train the student beside the warm teacher, from the targets in the folder `taught`, and write both to `out`."""
    student, teacher = Network(start), Network(warm)
    hard_label_weight = params.distill.hard_label_weight
    if beside.hard_label_weight is not None:
        hard_label_weight = beside.hard_label_weight
    loss = loss_from(taught, student, params.distill, hard_label_weight)
    rates = load_pair(params.pair)
    companion = CoTeacher(
        teacher.model,
        student.model,
        loss,
        teacher.encode(*TAUGHT),
        student.encode("feedback"),
        beside,
        params.distill,
        hard_label_weight=hard_label_weight,
        learning_rate=rates.teacher.learning_rate * beside.learning_rate_factor,
        precision=params.precision,
        seed=seed,
    )
    student.fit(
        loss,
        student.encode(*TAUGHT),
        params.distill,
        params,
        learning_rate=rates.student.learning_rate,
        seed=seed,
        out=out,
        companion=companion,
    )
    teacher.save(out / "teacher")
    write_cost(out, teacher=teacher.passes.total(), student=student.passes.total())


def distil(start: Path, teacher: Path, params: Params, seed: int, out: Path) -> None:
    """Train the student of the folder `start` on what a teacher wrote down, the folder of its targets; write to `out`.

    Where there are several targets to choose from, a student learns from each, and the best on selection is kept.
    """
    trials = read_json(teacher / "trials.json")
    costs, scores = [], {}
    for name in trials:
        make_deterministic(seed)
        student = Network(start)
        taught_student(student, trial_folder(teacher, name), params, seed, trial_folder(out, name))
        if len(trials) > 1:
            scores[name] = on_selection(student, params.distill.batch_size)
        costs.append(student.passes.total())
    write_cost(out, student=added(costs))
    if scores:
        keep_best(scores, out)


def taught_student(student: Network, teacher: Path, params: Params, seed: int, out: Path) -> None:
    """Train a student on one set of targets, for as long as they say."""
    rows, how = rows_of(teacher, student), read_json(teacher / "summary.json", "rows", "longer", "steps")
    loss = loss_from(teacher, student, params.distill, params.distill.hard_label_weight)
    # However short a part of distill's time, at least one step.
    steps = how["steps"] or max(1, round(how["longer"] * count_steps(how["rows"] or len(rows), params.distill)))
    rate = load_pair(params.pair).student.learning_rate
    student.fit(loss, rows, params.distill, params, steps=steps, learning_rate=rate, seed=seed, out=out)


def on_selection(student: Network, batch_size: int) -> dict[str, float]:
    """The task's metrics of a student on selection."""
    logits = student.predict("selection", batch_size)
    return evaluate_logits(logits, student.encode("selection").labels, student.task["metrics"])


@by_main
def keep_best(scores: dict[str, dict[str, float]], out: Path) -> None:
    """Move the student that is best on selection, by the official metric and then NLL, to `out`; note the choice."""
    official = next(iter(next(iter(scores.values()))))
    chosen = max(scores, key=lambda name: (scores[name][official], -scores[name]["nll"]))
    for path in trial_folder(out, chosen).iterdir():
        shutil.move(path, out / path.name)
    shutil.rmtree(out / "trials")
    write_json(out / "choice.json", {"chosen": chosen, "selection": scores})


def rows_of(teacher: Path, student: Network) -> EncodedTexts:
    """The rows that a teacher's targets are of, in their order. Raises UserError where the roles have no such rows."""
    places, roles = places_of(teacher), read_json(teacher / "summary.json", "roles")["roles"]
    rows = student.encode_frame(rows for rows, _ in at(places, role_chunks(roles, TEXTS)))
    if len(rows) < len(places):
        path = teacher / "targets.parquet"
        raise UserError(f"{path}: has rows that {' and '.join(roles)} have not; {remedy(path)}")
    return rows


def places_of(teacher: Path) -> np.ndarray:
    """Where the rows that a teacher's targets are of stand among its roles' rows."""
    return read_columns(teacher / "targets.parquet", "row")["row"].to_numpy()


def loss_from(teacher: Path, student: Network, settings: Distill, hard_label_weight: float) -> Loss:
    """The student's loss on what is in the folder of a teacher's targets; without logits, on the labels alone."""
    targets, how = teacher / "targets.parquet", read_json(teacher / "summary.json", "roles", "warm")
    taught = pq.read_schema(existing(targets)).names
    if how["warm"]:
        warm = Path(how["warm"])
        require_rows_of(how["roles"], warm)
        logits = DiskTable(rows for rows, _ in at(places_of(teacher), read_matrices(warm, "logits")))
    elif "logits" in taught:
        logits = DiskTable(read_matrices(targets, "logits"))
    else:
        return LabelLoss()
    weights = torch.tensor(read_columns(targets, "weight")["weight"]) if "weight" in taught else None
    loss = DistillationLoss(logits, settings.temperature, hard_label_weight, weights)
    if "hidden" in taught:
        hidden = DiskTable(read_matrices(targets, "hidden"))
        loss = HiddenMatching(loss, hidden, student.model.config.hidden_size, settings.hidden_weight)
    return loss


def co_training(arm: str, params: Params) -> CoTraining | None:
    """How the arm's teacher learns beside the student, if it does."""
    return ARMS[arm].co_training(getattr(params.teacher_tailored, arm)) if arm in CO_TRAINED else None
