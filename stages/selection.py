"""Gather how the listed arms' students do on the selection role: what settings are chosen by, the test left alone."""

from pathlib import Path
from statistics import mean

from lgtm.params import load_params
from stages.artifacts import REPORTS, cell, read_curve, read_json, read_task, write_figures


def main() -> None:
    """Write the official metric of the students that were kept, in %, mean over seeds, to reports/selection.json.

    A student that was the best of several there is better there than it is: <arm>_trials says of how many.
    """
    params, metric = load_params(), read_task()["metrics"][0]

    figures = {}
    for arm in params.arms:
        scores = [kept_score(cell(seed, arm, "student"), metric, params.distill.keep) for seed in params.seeds]
        figures[arm] = round(100 * mean(scores), 2)
        if (trials := count_trials(params.seeds[0], arm)) > 1:
            figures[f"{arm}_trials"] = trials
    write_figures(REPORTS / "selection.json", {"selection": {"metric": metric} | figures})


def kept_score(folder: Path, metric: str, keep: str) -> float:
    """A metric on selection of the student that was kept of a training; keep: best or last."""
    values = read_curve(folder, metric)["value"]
    return float(values.max() if keep == "best" else values.iloc[-1])


def count_trials(seed: int, arm: str) -> int:
    """How many students an arm's was chosen from on selection."""
    choice = cell(seed, arm, "student") / "choice.json"
    return len(read_json(choice)["selection"]) if choice.is_file() else 1
