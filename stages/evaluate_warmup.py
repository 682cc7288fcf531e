"""Predict the test role, once, with a seed's warm teacher and warm student, and measure them."""

from lgtm.networks.determinism import make_deterministic
from lgtm.params import load_params
from stages.artifacts import WARMUP, cell, evaluation
from stages.evaluate import Measured
from stages.network import Network


def main(seed: int) -> None:
    """Write results and predictions to work/evaluation/<seed>/warmup."""
    make_deterministic(0)
    measured = Measured(load_params().evaluate.batch_size)
    teacher_logits = measured.add("teacher", Network(cell(seed, "teacher")))
    measured.add("student", Network(cell(seed, "student")), teacher_logits)
    measured.write(evaluation(seed, WARMUP))
