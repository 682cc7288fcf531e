"""Gather how the listed arms' students do on the selection role: what settings are chosen by, the test left alone."""

from statistics import mean

from lgtm.params import load_params
from stages.artifacts import REPORTS, cell, read_curve, read_task, write_figures


def main() -> None:
    """Write the official metric of the students that were kept, in %, mean over seeds, to reports/selection.json."""
    params, metric = load_params(), read_task()["metrics"][0]

    def kept(seed: int, arm: str) -> float:
        values = read_curve(cell(seed, arm, "student"), metric)["value"]
        return values.max() if params.distill.keep == "best" else values.iloc[-1]

    arms = {arm: round(100 * mean(kept(seed, arm) for seed in params.seeds), 2) for arm in params.arms}
    write_figures(REPORTS / "selection.json", {"selection": {"metric": metric} | arms})
