"""Train the warm student on what its arm's teacher says about train; in some arms the teacher learns beside it."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import torch

from lgtm.arms.shared.cotraining import CoTeacher
from lgtm.arms.shared.lesson import CoTraining
from lgtm.networks.determinism import make_deterministic
from lgtm.networks.losses import DistillationLoss, HiddenMatching, LabelLoss, Loss
from lgtm.networks.pairs import load_pair
from lgtm.params import ARMS, CO_TRAINED, Distill, Params, load_params
from stages.artifacts import cell, read_json, read_matrix, timed, write_cost
from stages.network import Network


def main(seed: int, arm: str) -> None:
    """Write the distilled student to work/runs/<seed>/<arm>/student.

    A teacher that learnt beside it goes to its folder teacher, as it is at the end, whichever student was kept.
    """
    params = load_params()
    make_deterministic(seed)
    taught, out = cell(seed, arm, "teacher"), cell(seed, arm, "student")
    with timed(out / "model.safetensors"):
        student = Network(cell(seed, "student"))
        beside = co_training(arm, params)
        if beside is None:
            distil(student, taught, params, seed, out)
        else:
            learn_together(student, Network(cell(seed, "teacher")), taught, beside, params, seed, out)


def learn_together(
    student: Network, teacher: Network, taught: Path, beside: CoTraining, params: Params, seed: int, out: Path
) -> None:
    """Train the student beside the warm teacher, from the targets in the folder `taught`, and write both to `out`."""
    hard_label_weight = params.distill.hard_label_weight
    if beside.hard_label_weight is not None:
        hard_label_weight = beside.hard_label_weight
    loss = loss_from(taught / "targets.parquet", student, params.distill, hard_label_weight)
    rates = load_pair(params.pair)
    companion = CoTeacher(
        teacher.model,
        student.model,
        loss,
        teacher.encode("train"),
        student.encode("feedback"),
        beside,
        params.distill,
        hard_label_weight=hard_label_weight,
        learning_rate=rates.teacher.learning_rate * beside.learning_rate_factor,
        precision=params.precision,
        seed=seed,
    )
    rate = rates.student.learning_rate
    student.fit(loss, params.distill, params, learning_rate=rate, seed=seed, out=out, companion=companion)
    teacher.save(out / "teacher")
    write_cost(out, teacher=teacher.passes.total(), student=student.passes.total())


def distil(student: Network, teacher: Path, params: Params, seed: int, out: Path) -> None:
    """Train the student on what a teacher wrote down, the folder of its targets, and write it to `out`."""
    loss = loss_from(teacher / "targets.parquet", student, params.distill, params.distill.hard_label_weight)
    rate = load_pair(params.pair).student.learning_rate
    factor = read_json(teacher / "summary.json")["epochs_factor"]
    steps = {"epochs": params.distill.epochs * factor, "min_steps": round(params.distill.min_steps * factor)}
    settings = params.distill.model_copy(update=steps)
    student.fit(loss, settings, params, learning_rate=rate, seed=seed, out=out)
    write_cost(out, student=student.passes.total())


def loss_from(targets: Path, student: Network, settings: Distill, hard_label_weight: float) -> Loss:
    """The student's loss on the targets of its arm; for targets without logits, on the labels alone."""
    taught = pq.read_schema(targets).names
    if "logits" not in taught:
        return LabelLoss()
    weights = torch.tensor(pd.read_parquet(targets, columns=["weight"])["weight"]) if "weight" in taught else None
    logits = torch.tensor(read_matrix(targets, "logits"))
    loss = DistillationLoss(logits, settings.temperature, hard_label_weight, weights)
    if "hidden" in taught:
        hidden = torch.tensor(read_matrix(targets, "hidden"))
        loss = HiddenMatching(loss, hidden, student.model.config.hidden_size, settings.hidden_weight)
    return loss


def co_training(arm: str, params: Params) -> CoTraining | None:
    """How the arm's teacher learns beside the student, if it does."""
    return ARMS[arm].co_training(getattr(params.teacher_tailored, arm)) if arm in CO_TRAINED else None
