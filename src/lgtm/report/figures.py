"""Which figures a report has, from its tables. Every function returns figures by name."""

import pandas as pd
from matplotlib.figure import Figure

from lgtm.report import calibration, classes, influence_plots, plots, quality_plots, tables, verdicts
from lgtm.report.names import WARMUP, Metrics
from lgtm.report.verdicts import BETTER, WORSE


def of_arms(
    metrics: Metrics,
    students: pd.DataFrame,
    cells: pd.DataFrame,
    curves: pd.DataFrame,
    arms: list[str],
    official: str,
    part: str,
) -> dict[str, Figure]:
    """The students, their differences, what they cost and how they learnt.

    students: of tables.per_seed; cells: of select_cells; curves: phase, arm, seed, step, value; part: of the test.
    """
    compared, starts = verdicts.pairs(arms), verdicts.starts(arms)
    from_warm = metrics["from_warm"] | {"environments": metrics["environments"]}
    said = [
        *verdicts.decisions(from_warm, official).values(),
        *verdicts.decisions(metrics, official).values(),
    ]
    settled = [decision in (BETTER, WORSE) for decision in said]
    teacher = cells.loc[("teacher", WARMUP), official]
    drawn = curves[~curves["phase"].isin(tables.without_curve(curves))]
    compute = {arm: cost["compute"] for arm, cost in metrics["cost"].items()}
    return {
        "arms": plots.arms_figure(students, teacher, metrics["majority"][official], official, part),
        "differences": plots.differences_figure(students, starts + compared, settled, official, part),
        "cost": quality_plots.cost_figure(
            {arm: values[official] for arm, values in metrics["arms"].items()},
            metrics["warm_student"][official],
            teacher.mean(),
            compute,
            "kd = 1" if "kd" in compute else "the cheapest = 1",
            official,
        ),
        "curves": plots.curves_figure(drawn, arms, official),
    }


def of_the_test(metrics: Metrics, said: pd.DataFrame, labels: list[str], arms: list[str]) -> dict[str, Figure]:
    """Calibration, and what is taken for what where there are few classes.

    said: arm, label, predicted, confidence, a row per seed and test row.
    """
    figures = {
        "calibration": quality_plots.calibration_figure(calibration.reliability(said, [WARMUP, *arms]), arms),
    }
    if len(labels) <= quality_plots.LARGEST_MATRIX:
        right = (said["predicted"] == said["label"]).groupby(said["arm"]).mean()
        ship = metrics["recommendation"]["ship"]
        best = ship if ship in arms else right[arms].idxmax()
        shown = {"warm student": WARMUP, best: best}
        matrices = {name: classes.matrix(said, arm, len(labels)) for name, arm in shown.items()}
        figures["confusion"] = quality_plots.confusion_figure(matrices, labels)
    return figures


def of_the_influence(influence: pd.DataFrame, changes: pd.DataFrame, subsets: pd.DataFrame) -> dict[str, Figure]:
    """How the influence is distributed, and the students that were retrained, where there are any."""
    figures = {"influence": influence_plots.influence_figure(influence)}
    if len(changes) or len(subsets):
        figures["validation"] = influence_plots.validation_figure(changes, subsets)
    return figures


def of_rounds(metrics: Metrics, rounds: pd.DataFrame, arms: list[str], official: str, part: str) -> dict[str, Figure]:
    """The students by round; rounds: of tables.by_round."""
    warm, majority = metrics["warm_student"][official], metrics["majority"][official]
    return {"rounds": plots.rounds_figure(rounds, arms, warm, majority, official, part)}
