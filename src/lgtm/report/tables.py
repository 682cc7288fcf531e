"""Students, teachers and their differences over seeds: the tables of a run and its metrics."""

from typing import Any

import numpy as np
import pandas as pd

from lgtm.errors import UserError
from lgtm.networks.cost import Cost, compute
from lgtm.report.names import DISTILLATION, MAJORITY, SIZES, WARMUP, Metrics, range_of
from lgtm.report.statistics import Interval, interval, paired_difference
from lgtm.report.text import show_margin
from lgtm.report.verdicts import MIXED, pairs, starts, with_p

HEADLINES = ("tailored-kd", "tailored-control", "tailored-pooled")


def select_cells(results: pd.DataFrame, seeds: list[int], arms: list[str]) -> pd.DataFrame:
    """The listed seeds and arms of evaluate's long table, one row per model, arm and seed, one column per metric.

    results: seed, arm, model, part, metric, value. The first part's metrics keep their names, another part's get
    `_<part>`. Raises UserError when a listed cell is missing; what is not listed is left out.
    """
    first = results["part"].iloc[0]
    # A model is as large on one part as on another.
    results = results[(results["part"] == first) | ~results["metric"].isin(SIZES)]
    names = results["metric"].where(results["part"] == first, results["metric"] + "_" + results["part"])
    cells = results.assign(metric=names).pivot(index=["model", "arm", "seed"], columns="metric", values="value")
    models = [("teacher", arm) for arm in (WARMUP, *retrained(cells, arms))]
    models += [("student", arm) for arm in (WARMUP, *arms)] + [(MAJORITY, WARMUP)]
    expected = [(*model, seed) for model in models for seed in seeds]
    for model, arm, seed in expected:
        if (model, arm, seed) not in cells.index:
            raise UserError(
                f"work/evaluation: no {model} of {arm}, seed {seed}, which params.yaml lists; run dvc repro"
            )
    # A teacher has no metric that a student lacks.
    columns = names[results["model"] == "student"].unique()
    return cells.loc[expected, list(columns)].sort_index()


def retrained(cells: pd.DataFrame, arms: list[str]) -> list[str]:
    """The arms that have a teacher of their own. One that has it for one seed has to have it for all."""
    teachers = cells.loc["teacher"].index.unique("arm")
    return [arm for arm in arms if arm in teachers]


def per_seed(cells: pd.DataFrame, arms: list[str], metric: str) -> pd.DataFrame:
    """A metric of the students, seeds × arms."""
    return pd.DataFrame({arm: cells.loc[("student", arm), metric] for arm in arms})


def summarise(cells: pd.DataFrame, arms: list[str]) -> Metrics:
    """All metrics as means with intervals over seeds: the content of reports/metrics.json, in fractions and nats.

    cells: of select_cells. Returns arms (students), warm_student, majority (the class's plain values), teachers, and by
    seed: differences of students, from_warm.differences of students from the warm one, and behind_teacher, how far a
    student is behind the teacher that it is held against, its arm's own or the warm one.
    """
    own = retrained(cells, arms)
    students = {arm: cells.loc[("student", arm)] for arm in (WARMUP, *arms)}
    teachers = {arm: cells.loc[("teacher", arm)] for arm in (WARMUP, *own)}
    return {
        "arms": {arm: intervals(students[arm]) for arm in arms},
        "warm_student": intervals(students[WARMUP]),
        "majority": cells.loc[(MAJORITY, WARMUP)].iloc[0].dropna().to_dict(),
        "teachers": {arm: intervals(values) for arm, values in teachers.items()},
        "differences": {f"{a}-{b}": _differences(students[a], students[b]) for a, b in pairs(arms)},
        "from_warm": {"differences": {f"{a}-{b}": _differences(students[a], students[b]) for a, b in starts(arms)}},
        "behind_teacher": {
            arm: _differences(teachers[arm if arm in own else WARMUP], values) for arm, values in students.items()
        },
    }


def _differences(a: pd.DataFrame, b: pd.DataFrame) -> dict[str, Interval]:
    """Of all metrics that both have, paired by seed; of each, a row per seed."""
    metrics = [metric for metric in a if metric not in SIZES and a[metric].notna().all()]
    return {metric: paired_difference(a[metric], b[metric]) for metric in metrics}


def intervals(measured: pd.DataFrame) -> dict[str, Interval]:
    """An interval per metric that was measured (a teacher has no agreement with its teacher); a row per seed."""
    return {
        metric: interval(values, range_of(metric))
        for metric, values in measured.dropna(axis="columns", how="all").items()
    }


def right_answers(predictions: pd.DataFrame, seeds: list[int], arms: list[str], part: str) -> pd.DataFrame:
    """Whether a student is right: a row per listed seed and test example of the part, a column per arm, 1 or 0.

    arms: WARMUP may be among them; predictions: sample_id, part, label, seed, arm, model, predicted. Raises UserError
    where one is missing.
    """
    students = predictions[(predictions["model"] == "student") & (predictions["part"] == part)]
    right = students.assign(right=(students["predicted"] == students["label"]).astype(float))
    right = right[right["seed"].isin(seeds) & right["arm"].isin(arms)]
    table = right.pivot(index=["seed", "sample_id"], columns="arm", values="right").reindex(columns=arms)
    crossed = pd.MultiIndex.from_product([seeds, table.index.unique("sample_id")], names=["seed", "sample_id"])
    table = table.reindex(crossed)
    if table.empty or table.isna().any(axis=None):
        raise UserError("work/evaluation: lacks predictions of what params.yaml lists; run dvc repro")
    return table


def headline(metrics: Metrics, official: str) -> dict[str, Any]:
    """The few values for `dvc exp show`: every arm in percent, what tailoring gives in percentage points, what to ship.

    majority and warm are the majority class and the warm student, the floor of every arm.

    A difference is one string with half its interval and its corrected p, "+0.80 ± 1.10, p 0.21", because DVC gives
    every number a column. Where cells of different environments are compared, that stands in place of p.
    """
    mixed = f", {MIXED}" if metrics["environments"] else None

    floor = {"majority": metrics["majority"][official], "warm": metrics["warm_student"][official]["mean"]}
    models = floor | {arm: values[official]["mean"] for arm, values in metrics["arms"].items()}
    shown = {name: round(100 * value, 2) for name, value in models.items()}
    differences = {
        name: show_margin(metrics["differences"][name][official]) + (mixed or with_p(metrics["tests"].get(name)))
        for name in HEADLINES
        if name in metrics["differences"]
    }
    return {"metric": official} | shown | differences | {"ship": metrics["recommendation"]["ship"]}


def by_round(results: pd.DataFrame, cells: pd.DataFrame, arms: list[str], count: int, metric: str) -> pd.DataFrame:
    """A metric of the students of the arms that went on, by round: arm, seed, round, value; the first round included.

    results, cells: as of select_cells. Raises UserError when a listed cell is missing.
    """
    first = results["part"].iloc[0]
    found = results[(results["part"] == first) & (results["metric"] == metric)]
    found = found.set_index(["model", "arm", "seed"])["value"]
    rows = []
    for arm in arms:
        for seed, value in cells.loc[("student", arm), metric].items():
            rows.append((arm, seed, 1, value))
            for number in range(2, count + 1):
                key = (f"round {number}", arm, seed)
                if key not in found.index:
                    raise UserError(f"work/evaluation: no {key[0]} of {arm}, seed {seed}; run dvc repro")
                rows.append((arm, seed, number, found[key]))
    return pd.DataFrame(rows, columns=["arm", "seed", "round", "value"])


def summarise_rounds(rounds: pd.DataFrame, metric: str) -> Metrics:
    """Intervals over seeds by round: arms.<arm>.<round>, and differences.<a>-<b>.<round> of the arms of `pairs`.

    rounds: of by_round, of the metric.
    """
    table = rounds.pivot(index="seed", columns=["arm", "round"], values="value")
    arms, numbers = list(rounds["arm"].unique()), sorted(rounds["round"].unique())
    return {
        "arms": {arm: {str(n): interval(table[arm, n], range_of(metric)) for n in numbers} for arm in arms},
        "differences": {
            f"{a}-{b}": {str(n): paired_difference(table[a, n], table[b, n]) for n in numbers} for a, b in pairs(arms)
        },
    }


def summarise_choices(choices: dict[str, dict[int, Metrics]], rows: int) -> Metrics:
    """The choices that arms made on selection, with how many rows these rest on and what chance there does alone.

    choices: by arm and seed, what distill wrote (chosen, selection). standard_error: of a share of right answers among
    so many rows (binomial, a fraction): at the accuracy that was chosen, mean over seeds; where accuracy is not
    measured, at a half, where it is widest.
    """
    return {
        arm: {
            "rows": rows,
            "standard_error": float(np.mean([_standard_error(found, rows) for found in seeds.values()])),
            "seeds": {str(seed): found for seed, found in seeds.items()},
        }
        for arm, seeds in choices.items()
    }


def _standard_error(choice: Metrics, rows: int) -> float:
    share = choice["selection"][choice["chosen"]].get("accuracy", 0.5)
    return (share * (1 - share) / rows) ** 0.5


def summarise_cost(costs: dict[str, list[list[tuple[str, Cost]]]]) -> Metrics:
    """What every arm costs after the warm-ups, the mean over seeds: samples through each network, and compute × kd's.

    costs: by arm, by seed, (network, cost) of what its cells wrote (artifacts.read_cost); a network's name begins with
    teacher or student. Without kd among the arms, the cheapest is 1.
    """
    table = {}
    for arm, seeds in costs.items():
        every = [entry for seed in seeds for entry in seed]
        samples = {
            f"{network}_{way}": sum(cost[way] for name, cost in every if name.startswith(network)) / len(seeds)
            for network in ("teacher", "student")
            for way in ("forward", "backward")
        }
        table[arm] = samples | {"compute": compute([cost for _, cost in every]) / len(seeds)}
    unit = table["kd"]["compute"] if "kd" in table else min(row["compute"] for row in table.values())
    return {arm: row | {"compute": row["compute"] / unit} for arm, row in table.items()}


def without_curve(curves: pd.DataFrame) -> list[str]:
    """The phases of a single step, in which no network was trained; curves: phase, arm, seed, step, value."""
    steps = curves.groupby("phase", sort=False)["step"].nunique()
    return list(steps.index[steps == 1])


def distillation_curves(curves: pd.DataFrame, arms: list[str]) -> pd.DataFrame:
    """What `dvc plots` draws: a column `step`, and one per arm with the mean over seeds of its distilled students.

    curves: phase, arm, seed, step, value.
    """
    distilled = curves[curves["phase"] == DISTILLATION]
    return distilled.pivot_table(index="step", columns="arm", values="value")[arms].reset_index()
