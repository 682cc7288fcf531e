"""Predict the test role, once, with the students of an arm's later rounds, and measure them."""

from lgtm.networks.determinism import make_deterministic
from lgtm.params import load_params
from stages.artifacts import cell, later_rounds
from stages.evaluate import Measured
from stages.network import Network


def main(seed: int, arm: str) -> None:
    """Write results and predictions to work/evaluation/<seed>/<arm>-rounds."""
    params = load_params()
    make_deterministic(0)
    measured = Measured(params.evaluate.batch_size)
    for number in range(2, params.rounds.count + 1):
        measured.add(f"round {number}", Network(cell(seed, arm, "rounds", str(number), "student")))
    measured.write(later_rounds(seed, arm))
