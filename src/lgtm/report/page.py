"""What the report says: the tables of a run, its metrics, its verdicts and its page."""

import html
import re
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from lgtm.errors import UserError
from lgtm.networks.cost import Cost, compute
from lgtm.report.statistics import (
    FEWEST_SEEDS,
    SIGNIFICANCE,
    Interval,
    crossed_test,
    holm,
    interval,
    paired_difference,
    seeds_for_half,
    smallest_shown,
)

WARMUP = "warmup"  # the arm's name for what precedes the arms
BASELINES = ("kd", "control")
HEADLINES = ("tailored-kd", "tailored-control")
DISTILLATION = "Student, distillation"  # the phase of the learning curves
SIZES = ("parameters", "megabytes")
BETTER, WORSE, EVEN, TOO_FEW = "better", "worse", "not distinguishable", "too few seeds for a verdict"
NAMES = {"accuracy": "accuracy", "f1": "F1", "macro_f1": "macro F1", "matthews": "Matthews correlation"}
LONGEST_TEXT = 240
DETECTION = ("auc", "average_precision", "share")
# What the influence is asked to find, and the scores that are asked: of validation.known_errors.
ERRORS = {"mislabel": "planted flips", "teacher_error": "errors of the warmed-up teacher"}
SCORES = {
    ("mislabel", "influence"): "influence under the label",
    ("mislabel", "influence_per_unit"): "the same, per unit of p − y",
    ("mislabel", "likelihood"): "the student's probability of the label",
    ("teacher_error", "influence"): "influence under the teacher",
    ("teacher_error", "confidence"): "the teacher's confidence",
}
Metrics = dict[str, Any]


def select_cells(results: pd.DataFrame, seeds: list[int], arms: list[str]) -> pd.DataFrame:
    """The listed seeds and arms of evaluate's long table, one row per model, arm and seed, one column per metric.

    results: seed, arm, model, part, metric, value. The first part's metrics keep their names, another part's get
    `_<part>`. Raises UserError when a listed cell is missing; what is not listed is left out.
    """
    listed = results[results["seed"].isin(seeds) & results["arm"].isin([WARMUP, *arms])]
    first = results["part"].iloc[0]
    # A model is as large on one part as on another.
    listed = listed[(listed["part"] == first) | ~listed["metric"].isin(SIZES)]
    names = listed["metric"].where(listed["part"] == first, listed["metric"] + "_" + listed["part"])
    cells = listed.assign(metric=names).pivot(index=["model", "arm", "seed"], columns="metric", values="value")
    models = [("teacher", arm) for arm in (WARMUP, *retrained(cells, arms))]
    models += [("student", arm) for arm in (WARMUP, *arms)]
    expected = [(*model, seed) for model in models for seed in seeds]
    for model, arm, seed in expected:
        if (model, arm, seed) not in cells.index:
            raise UserError(
                f"work/evaluation: no {model} of {arm}, seed {seed}, which params.yaml lists; run dvc repro"
            )
    # A teacher has no metric that a student lacks.
    columns = names[listed["model"] == "student"].unique()
    return cells.loc[expected, list(columns)].sort_index()


def retrained(cells: pd.DataFrame, arms: list[str]) -> list[str]:
    """The arms that have a teacher of their own. One that has it for one seed has to have it for all."""
    teachers = cells.loc["teacher"].index.unique("arm")
    return [arm for arm in arms if arm in teachers]


def per_seed(cells: pd.DataFrame, arms: list[str], metric: str) -> pd.DataFrame:
    """A metric of the students, seeds × arms."""
    return pd.DataFrame({arm: cells.loc[("student", arm), metric] for arm in arms})


def pairs(arms: list[str]) -> list[tuple[str, str]]:
    """The comparisons (a, b), to be read a − b: every arm against every baseline there is, each pair once."""
    baselines = [b for b in BASELINES if b in arms]
    return [(a, b) for i, b in enumerate(baselines) for a in arms if a != b and a not in baselines[:i]]


def summarise(cells: pd.DataFrame, arms: list[str]) -> Metrics:
    """All metrics as means with intervals over seeds: the content of reports/metrics.json, in fractions and nats.

    cells: of select_cells. Returns arms (students), warm_student, teachers, and differences of students by seed.
    """
    compared = [metric for metric in cells if metric not in SIZES]
    return {
        "arms": {arm: _intervals(cells.loc[("student", arm)]) for arm in arms},
        "warm_student": _intervals(cells.loc[("student", WARMUP)]),
        "teachers": {arm: _intervals(cells.loc[("teacher", arm)]) for arm in (WARMUP, *retrained(cells, arms))},
        "differences": {
            f"{a}-{b}": {
                metric: paired_difference(cells.loc[("student", a), metric], cells.loc[("student", b), metric])
                for metric in compared
            }
            for a, b in pairs(arms)
        },
    }


def _intervals(models: pd.DataFrame) -> dict[str, Interval]:
    """An interval per metric that these models have (a teacher has no agreement with its teacher)."""
    return {metric: interval(values) for metric, values in models.dropna(axis="columns", how="all").items()}


def right_answers(predictions: pd.DataFrame, seeds: list[int], arms: list[str], part: str) -> pd.DataFrame:
    """Whether a student is right: a row per listed seed and test example of the part, a column per arm, 1 or 0.

    predictions: sample_id, part, label, seed, arm, model, predicted. Raises UserError where one is missing.
    """
    students = predictions[(predictions["model"] == "student") & (predictions["part"] == part)]
    right = students.assign(right=(students["predicted"] == students["label"]).astype(float))
    right = right[right["seed"].isin(seeds) & right["arm"].isin(arms)]
    table = right.pivot(index=["seed", "sample_id"], columns="arm", values="right").reindex(columns=arms)
    crossed = pd.MultiIndex.from_product([seeds, table.index.unique("sample_id")], names=["seed", "sample_id"])
    table = table.reindex(crossed)
    if table.empty or table.isna().any(axis=None):
        raise UserError(
            "work/evaluation/predictions.parquet: lacks predictions of what params.yaml lists; run dvc repro"
        )
    return table


def significance(cells: pd.DataFrame, right: pd.DataFrame, arms: list[str], official: str) -> dict[str, Metrics]:
    """A test per comparison a-b of students: what metrics.json has as `tests`. None below three seeds.

    cells: of select_cells; right: of right_answers. `accuracy` is the difference in the share of right answers, with
    its interval over seeds and examples together; p belongs to it, and p_holm is p corrected for the number of
    comparisons. smallest_shown (of the official metric, a fraction) and seeds_for_half are about seeds alone.
    """
    compared, students = pairs(arms), per_seed(cells, arms, official)
    if not compared or len(students) < FEWEST_SEEDS:
        return {}
    tests = [crossed_test(right[a] - right[b]) for a, b in compared]
    corrected = holm([p for _, p in tests])
    return {
        f"{a}-{b}": {
            "accuracy": accuracy,
            "p": p,
            "p_holm": p_holm,
            "smallest_shown": smallest_shown(students[a] - students[b]),
            "seeds_for_half": seeds_for_half(len(students)),
        }
        for (a, b), (accuracy, p), p_holm in zip(compared, tests, corrected, strict=True)
    }


def decisions(metrics: Metrics, official: str) -> dict[str, str]:
    """The verdict on every comparison a-b: is a better than b on the official metric?

    metrics: of summarise, with significance as `tests`. A winner needs both: an interval over seeds clear of zero, and
    a corrected p over seeds and examples, of a difference in the same direction.
    """
    tests = metrics["tests"]
    return {
        name: _decide(values[official], tests[name]) if name in tests else TOO_FEW
        for name, values in metrics["differences"].items()
    }


def _decide(difference: Interval, test: Metrics) -> str:
    significant = test["p_holm"] < SIGNIFICANCE
    if significant and difference["low"] > 0 and test["accuracy"]["mean"] > 0:
        return BETTER
    if significant and difference["high"] < 0 and test["accuracy"]["mean"] < 0:
        return WORSE
    return EVEN


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


def summarise_rounds(rounds: pd.DataFrame) -> Metrics:
    """Intervals over seeds by round: arms.<arm>.<round>, and differences.<a>-<b>.<round> of the arms of `pairs`.

    rounds: of by_round.
    """
    table = rounds.pivot(index="seed", columns=["arm", "round"], values="value")
    arms, numbers = list(rounds["arm"].unique()), sorted(rounds["round"].unique())
    return {
        "arms": {arm: {str(n): interval(table[arm, n]) for n in numbers} for arm in arms},
        "differences": {
            f"{a}-{b}": {str(n): paired_difference(table[a, n], table[b, n]) for n in numbers} for a, b in pairs(arms)
        },
    }


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


def headline(metrics: Metrics, official: str) -> dict[str, Any]:
    """The few values for `dvc exp show`: every arm in percent, and what tailoring gives in percentage points.

    A difference is one string with half its interval and its corrected p, "+0.80 ± 1.10, p 0.21", because DVC gives
    every number a column.
    """
    arms = {arm: round(100 * values[official]["mean"], 2) for arm, values in metrics["arms"].items()}
    differences = {
        name: _with_margin(metrics["differences"][name][official]) + _with_p(metrics["tests"].get(name))
        for name in HEADLINES
        if name in metrics["differences"]
    }
    return {"metric": official} | arms | differences


def _with_margin(value: Interval) -> str:
    mean = format(100 * value["mean"], "+z.2f").replace("-", "−")
    return mean if value["low"] is None else f"{mean} ± {100 * (value['high'] - value['mean']):.2f}"


def _with_p(test: Metrics | None) -> str:
    return f", p {show_p(test['p_holm'])}" if test else ""


def verdict(name: str, difference: Interval, test: Metrics | None, decision: str) -> str:
    """One sentence on a difference a-b of fractions, for the reader who reads nothing else."""
    a, b = name.split("-")
    n = difference["n"]
    said = f"{a} is {decision}" if decision in (BETTER, WORSE) else decision
    seeds = f"{n} seed{'s' if n > 1 else ''}{_with_p(test)}"
    return f"{a} − {b}: {show(difference, signed=True, unit=' points')}, {seeds}: {said}"


def show_p(p: float) -> str:
    """A p value as text, with the two digits that count."""
    if p < 0.001:
        return "<0.001"
    return f"{p:.3f}" if p < 0.0995 else f"{p:.2f}"


def show(value: Interval, metric: str = "", *, signed: bool = False, unit: str = "") -> str:
    """An interval as text, `74.0 [72.1, 75.9]`: nll in nats with three digits, everything else × 100."""
    scale, digits = (1, 3) if metric.startswith("nll") else (100, 1)

    def number(x: float) -> str:
        return format(scale * x, f"{'+' if signed else ''}z.{digits}f").replace("-", "−")

    if value["low"] is None:
        return f"{number(value['mean'])}{unit}"
    return f"{number(value['mean'])}{unit} [{number(value['low'])}, {number(value['high'])}]"


def distillation_curves(curves: pd.DataFrame, arms: list[str]) -> pd.DataFrame:
    """What `dvc plots` draws: a column `step`, and one per arm with the mean over seeds of its distilled students.

    curves: phase, arm, seed, step, value.
    """
    distilled = curves[curves["phase"] == DISTILLATION]
    return distilled.pivot_table(index="step", columns="arm", values="value")[arms].reset_index()


def join_scores(scores: pd.DataFrame, train: pd.DataFrame) -> pd.DataFrame:
    """Influence per seed and sample (seed, sample_id, influence, influence_label) with the samples' columns.

    Adds `planted`: whether the label is not the true one.
    """
    joined = scores.merge(train, on="sample_id", validate="many_to_one")
    return joined.assign(planted=joined["label"] != joined["true_label"])


def share_helpful(scores: pd.DataFrame) -> Interval:
    """Over seeds: the share of samples with an influence above zero; scores: of join_scores."""
    return interval(scores.groupby("seed")["influence"].apply(lambda values: (values > 0).mean()))


def removal_changes(found: dict[int, Metrics]) -> pd.DataFrame:
    """What dropping a part of train does to the held-out loss, by seed: seed, dropped, fraction, change (in nats).

    found: by seed, what the validation stage wrote. No rows where it dropped nothing.
    """
    rows = [
        {
            "seed": seed,
            "dropped": removal["dropped"],
            "fraction": removal["fraction"],
            "change": np.mean(removal["losses"]) - np.mean(values["nothing_dropped"]),
        }
        for seed, values in found.items()
        for removal in values.get("removals", [])
    ]
    return pd.DataFrame(rows, columns=["seed", "dropped", "fraction", "change"])


def subset_losses(found: dict[int, Metrics]) -> pd.DataFrame:
    """Random subsets of train: seed, influence (summed), loss (held-out, mean over repeats). Like removal_changes."""
    rows = [
        {"seed": seed, "influence": subset["influence"], "loss": np.mean(subset["losses"])}
        for seed, values in found.items()
        for subset in values.get("subsets", [])
    ]
    return pd.DataFrame(rows, columns=["seed", "influence", "loss"])


def validity(found: dict[int, Metrics], changes: pd.DataFrame) -> Metrics:
    """Over seeds: how well flips and the teacher's errors are found, and what retrained students say.

    found: by seed, what the validation stage wrote; changes: of removal_changes. What was not measured is left out; a
    seed without errors to find does not count.
    """
    first, *_ = found.values()
    measures: Metrics = {errors: {} for errors in ("mislabel", "teacher_error")}
    for errors, scores in measures.items():
        for score in first[errors]:
            measured = pd.DataFrame([values[errors][score] for values in found.values() if values[errors][score]])
            if len(measured):
                scores[score] = _intervals(measured)
    if "lds" in first:
        measures["lds"] = interval([values["lds"]["correlation"] for values in found.values()])
        measures["lds_by_seed"] = {
            str(seed): Interval(
                mean=values["lds"]["correlation"], low=values["lds"]["low"], high=values["lds"]["high"], n=1
            )
            for seed, values in found.items()
        }
    if len(changes):
        measures["nothing_dropped"] = interval([np.mean(values["nothing_dropped"]) for values in found.values()])
        measures["removals"] = {
            dropped: {f"{fraction:g}": interval(values) for fraction, values in part.groupby("fraction")["change"]}
            for dropped, part in changes.groupby("dropped", sort=False)
        }
    return measures


def rank_samples(scores: pd.DataFrame) -> pd.DataFrame:
    """One row per sample with its mean influence over seeds, the most helpful first, and in how many seeds it helps."""
    by_sample = scores.groupby("sample_id", sort=True)
    samples = by_sample.first().assign(
        influence=by_sample["influence"].mean(),
        helps=by_sample["influence"].agg(lambda values: int((values > 0).sum())),
    )
    return samples.sort_values("influence", ascending=False, kind="stable").reset_index()


def escape(text: str) -> str:
    """A text as it stands, on one line, inside a markdown table; cut when it is long."""
    text = " ".join(text.split())
    if len(text) > LONGEST_TEXT:
        text = text[: LONGEST_TEXT - 1] + "…"
    return re.sub(r"([\\`*_\[\]|~$])", r"\\\1", html.escape(text, quote=False))


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """A markdown table, its first column to the left and the others to the right."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


PAGE = """\
# Results: task `{{ task }}`, pair `{{ pair }}`

Seeds: {{ seeds | join(", ") }}; {{ "{:,}".format(test_rows) }} test rows
{%- if parts | length > 1 %} in the parts {{ parts | join(", ") }} (columns without a part's name are {{ parts[0] }})
{%- endif %}; official metric: {{ official }}, in %.

Every figure is a mean over seeds with its 95 % Student-t interval in brackets. The intervals cover the randomness of
training, not the choice of the test rows, and are not corrected for the number of comparisons; the verdicts are
held to both. NLL is in nats; everything else is × 100 (percent).
{%- if seeds | length < fewest %} **With so few seeds, nothing here is settled.**{% endif %}

## Verdicts
{% if verdicts %}
On {{ official }} ({{ parts[0] }}), students paired by seed:
{% for line in verdicts %}
- {{ line }}
{%- endfor %}
{% if tests %}
A winner needs two things: an interval over seeds that is clear of zero, and p < {{ significance }} over seeds and test
rows together, corrected for the number of comparisons ({{ comparisons }}).
{%- else %}
No winner is called below {{ fewest }} seeds.
{%- endif %}
{%- else %}
None of the arms is a baseline with another beside it ({{ baselines | join(", ") }}): nothing to compare.
{%- endif %}

## Students

{{ students }}

`agreement` is the share of test rows on which the student predicts the same as its own teacher (an arm without one
is held against the warmed-up teacher). `{{ warmup }}` is the student from which every arm starts.

![Students by arm](figures/arms.png)
{% if differences %}
## Differences

In percentage points (NLL in nats), paired by seed. Lower is better for `nll` and `ece`.

{{ differences }}

![Differences between arms](figures/differences.png)
{% endif %}
{%- if tests %}
## Tests

{{ tests }}

The interval over seeds says what other seeds would give on these test rows. The test over seeds and rows says what
other seeds would give on other rows of the kind, in accuracy
{%- if official != "accuracy" %} (not {{ official }}){% endif %}, the share of right answers; p is of one comparison
alone, the corrected p (Holm) of all {{ comparisons }}.

"Smallest shown", in points of {{ official }}, is the true difference that {{ seeds | length }} seeds would show four
times in five (paired t-test over seeds, one comparison alone); half of it would take {{ seeds_for_half }} seeds.
{% endif %}
## Teachers

{{ teachers }}

An arm without a row of its own uses the `{{ warmup }}` teacher, or none.

{%- if rounds %}
## Rounds

Every round scores the student that the round before distilled, teaches and distils it again. {{ official }} by round,
and differences between arms paired by seed; the intervals are not corrected.

{{ rounds }}

![Rounds](figures/rounds.png)
{% endif %}
## Learning curves

![Learning curves](figures/curves.png)

## Influence

Above zero, a small step on the sample lowers the feedback loss. Under the warmed-up teacher, {{ share_helpful }} % of
the training samples are above zero.

![Distribution of the influence](figures/influence.png)

### Most helpful

{{ helpful }}

### Least helpful

{{ harmful }}

Influence is the mean over seeds, under the warmed-up teacher; "helps in" counts the seeds where it is above zero.

{{ validation }}
## Cost

Samples through each network after the warm-ups, which all arms share: scoring, where the arm asks for it, the teacher's
retraining and the student's distillation. Compute counts a backward pass as two forward passes, by the weights outside
the token embeddings{{ ", in units of kd's" if "kd" in costs }}. To compare at equal compute, list `kd_longer` and set
its `epochs_factor` to the compute of the arm in question. Seconds differ from run to run, so they stand in
`reports/timings.json`: of an arm's two stages, imports included, the mean over seeds.

{{ cost_table }}

## Sizes

{{ sizes }}
"""


def results_page(
    *,
    task: str,
    pair: str,
    seeds: list[int],
    summary: dict[str, Any],
    parts: list[str],
    metrics: Metrics,
    samples: pd.DataFrame,
    shown: int,
) -> str:
    """The results as a markdown page.

    summary: of prepare (labels, metrics, roles); parts: of the test role; metrics: of summarise, with
    significance as `tests`, share_helpful in `influence` and validity as `validation`; samples: of rank_samples, of
    which `shown` are shown at each end.
    """
    students = {WARMUP: metrics["warm_student"], **metrics["arms"]}
    differences = metrics["differences"]
    tests = metrics["tests"]
    labels, official = summary["labels"], summary["metrics"][0]
    return jinja2.Template(PAGE, undefined=jinja2.StrictUndefined, keep_trailing_newline=True).render(
        task=task,
        pair=pair,
        seeds=seeds,
        test_rows=summary["roles"]["test"]["rows"],
        parts=parts,
        official=NAMES[official],
        warmup=WARMUP,
        baselines=BASELINES,
        verdicts=[
            verdict(name, differences[name][official], tests.get(name), decision)
            for name, decision in decisions(metrics, official).items()
        ],
        significance=SIGNIFICANCE,
        fewest=FEWEST_SEEDS,
        tests=_tests_table(differences, tests, official),
        comparisons=len(tests),
        seeds_for_half=next((test["seeds_for_half"] for test in tests.values()), None),
        students=_models_table("student", students),
        teachers=_models_table("teacher", metrics["teachers"]),
        differences=_differences_table(differences),
        share_helpful=show(metrics["influence"]["share_helpful"]),
        validation=validation_section(metrics["validation"]),
        helpful=_samples_table(samples.head(shown), labels, len(seeds)),
        harmful=_samples_table(samples.tail(shown)[::-1], labels, len(seeds)),
        rounds=_rounds_table(metrics["rounds"]) if "rounds" in metrics else None,
        costs=metrics["cost"],
        cost_table=_cost_table(metrics["cost"]),
        sizes=_sizes_table(metrics),
    )


VALIDATION = """\
## Does the influence mean something?
{% if errors %}
What a low score finds: area under the ROC curve (50 is chance) and average precision (the share is chance). Beside the
influence stands a score that needs no gradient; where that one finds more, the influence is not needed to find them.

{{ errors }}
{% else %}
No label is known to be wrong, and the teacher makes no error on train: there is nothing to find.
{% endif %}
{%- if lds %}
Linear datamodeling score: {{ lds }}. It is the Spearman correlation, × 100, between the summed influence of random
subsets of train and minus the held-out loss of a student distilled on each: 100, the influence orders them as
retraining does; 0, not at all. By seed, with 95 % bootstrap intervals over the subsets: {{ by_seed | join("; ") }}.
{% endif %}
{%- if removals %}
The change of the held-out loss (selection role, nats; below zero is better) when a share of train is dropped before the
warm student is distilled, paired by seed; with nothing dropped it is {{ nothing_dropped }}. Fewer rows are also fewer
steps: compare with random ones.

{{ removals }}
{% endif %}
{%- if lds or removals %}
![Retrained students](figures/validation.png)
{% else %}
No student was retrained (`validation` in params.yaml).
{% endif %}"""


def validation_section(validity: Metrics) -> str:
    """The page's section on what the validation stage found; validity: of the function of that name."""
    errors = [
        [ERRORS[kind], SCORES[kind, score], *(show(found[name]) for name in DETECTION), str(found["auc"]["n"])]
        for kind in ERRORS
        for score, found in validity[kind].items()
    ]
    removals = validity.get("removals", {})
    fractions = list(next(iter(removals.values()), {}))
    changes = [
        [f"{100 * float(fraction):g} %", *(show(part[fraction], "nll", signed=True) for part in removals.values())]
        for fraction in fractions
    ]
    return jinja2.Template(VALIDATION, undefined=jinja2.StrictUndefined, keep_trailing_newline=True).render(
        errors=errors and markdown_table(["to find", "low score", "AUC", "precision", "share", "seeds"], errors),
        lds=show(validity["lds"]) if "lds" in validity else None,
        by_seed=[show(score) for score in validity.get("lds_by_seed", {}).values()],
        nothing_dropped=show(validity["nothing_dropped"], "nll") if removals else None,
        removals=removals and markdown_table(["dropped", *removals], changes),
    )


def _models_table(kind: str, models: dict[str, dict[str, Interval]]) -> str:
    columns = [metric for metric in next(iter(models.values())) if metric not in SIZES]
    rows = [
        [name, *(show(values[metric], metric) for metric in columns), str(values[columns[0]]["n"])]
        for name, values in models.items()
    ]
    return markdown_table([kind, *columns, "seeds"], rows)


def _differences_table(differences: dict[str, dict[str, Interval]]) -> str:
    if not differences:
        return ""
    columns = list(next(iter(differences.values())))
    rows = [
        [name.replace("-", " − "), *(show(values[metric], metric, signed=True) for metric in columns)]
        for name, values in differences.items()
    ]
    return markdown_table(["difference", *columns], rows)


def _tests_table(differences: dict[str, dict[str, Interval]], tests: dict[str, Metrics], official: str) -> str:
    if not tests:
        return ""
    measured = [f"{NAMES[official]}, over seeds", "accuracy, over seeds and rows"]
    header = ["difference", *measured, "p", "p, corrected", "smallest shown"]
    rows = [
        [
            name.replace("-", " − "),
            show(differences[name][official], signed=True),
            show(test["accuracy"], signed=True),
            show_p(test["p"]),
            show_p(test["p_holm"]),
            f"{100 * test['smallest_shown']:.1f}",
        ]
        for name, test in tests.items()
    ]
    return markdown_table(header, rows)


def _rounds_table(rounds: Metrics) -> str:
    numbers = list(next(iter(rounds["arms"].values())))
    rows = [[arm, *(show(values[n]) for n in numbers)] for arm, values in rounds["arms"].items()]
    rows += [
        [name.replace("-", " − "), *(show(values[n], signed=True) for n in numbers)]
        for name, values in rounds["differences"].items()
    ]
    return markdown_table(["", *(f"round {n}" for n in numbers)], rows)


def _cost_table(costs: Metrics) -> str:
    columns = [column for column in next(iter(costs.values())) if column != "compute"]
    rows = [[arm, *(f"{row[c]:,.0f}" for c in columns), f"{row['compute']:.2f}"] for arm, row in costs.items()]
    return markdown_table(["arm", *(column.replace("_", " ") for column in columns), "compute"], rows)


def _samples_table(samples: pd.DataFrame, labels: list[str], seeds: int) -> str:
    rows = [
        [
            _text(sample),
            _label(sample, labels),
            f"{sample['influence']:+#.3g}".replace("-", "−"),
            f"{sample['helps']} of {seeds}",
        ]
        for _, sample in samples.iterrows()
    ]
    return markdown_table(["text", "label", "influence", "helps in"], rows)


def _text(sample: pd.Series) -> str:
    texts = [escape(sample[column]) for column in ("text", "text_pair") if column in sample]
    return " **/** ".join(texts)


def _label(sample: pd.Series, labels: list[str]) -> str:
    label = escape(labels[sample["label"]])
    if sample["planted"]:
        return f"{label} (planted flip; true: {escape(labels[sample['true_label']])})"
    return label


def _sizes_table(metrics: Metrics) -> str:
    models = {"teacher": metrics["teachers"][WARMUP], "student": metrics["warm_student"]}
    rows = [
        [name, f"{values['parameters']['mean']:,.0f}", f"{values['megabytes']['mean']:.1f}"]
        for name, values in models.items()
    ]
    return markdown_table(["model", "parameters", "MB in fp32"], rows)
