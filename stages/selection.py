"""Gather how the listed arms' students do on the selection role: what settings are chosen by, the test left alone."""

from statistics import mean

from lgtm.params import load_params
from stages.artifacts import REPORTS, cell, read_curve, read_json, read_task, write_figures


def main() -> None:
    """Write the official metric of the students that were kept, in %, mean over seeds, to reports/selection.json.

    A student that was the best of several there is better there than it is: <arm>_trials says of how many.
    """
    params, metric = load_params(), read_task()["metrics"][0]

    def kept(seed: int, arm: str) -> float:
        values = read_curve(cell(seed, arm, "student"), metric)["value"]
        return values.max() if params.distill.keep == "best" else values.iloc[-1]

    figures = {}
    for arm in params.arms:
        figures[arm] = round(100 * mean(kept(seed, arm) for seed in params.seeds), 2)
        if (trials := count_trials(params.seeds[0], arm)) > 1:
            figures[f"{arm}_trials"] = trials
    write_figures(REPORTS / "selection.json", {"selection": {"metric": metric} | figures})


def count_trials(seed: int, arm: str) -> int:
    """How many students an arm's was chosen from on selection."""
    choice = cell(seed, arm, "student") / "choice.json"
    return len(read_json(choice)["selection"]) if choice.is_file() else 1
