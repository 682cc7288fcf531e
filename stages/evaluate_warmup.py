"""Predict the test role, once, with a seed's warm teacher and warm student, and measure them and the majority class."""

from lgtm.networks.determinism import make_deterministic
from lgtm.params import load_params
from stages.artifacts import MAJORITY, WARMUP, cell, evaluation, read_task
from stages.evaluate import Measured
from stages.network import Network
from stages.teachers import Teacher


def main(seed: int) -> None:
    """Write results and predictions to work/evaluation/<seed>/warmup."""
    make_deterministic(0)
    measured = Measured(load_params().evaluate.batch_size)
    teacher_logits = measured.add("teacher", Teacher(cell(seed, "teacher")))
    measured.add("student", Network(cell(seed, "student")), teacher_logits)
    task = read_task()
    measured.add_constant(MAJORITY, task["majority"], task["metrics"])
    measured.write(evaluation(seed, WARMUP))
