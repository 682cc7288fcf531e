"""The results as a markdown page: the templates beside this module, filled with tables."""

from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from lgtm.inputs import watch
from lgtm.report.cautions import clean_feedback, crossing_roles, mixed_environments
from lgtm.report.names import NAMES, SIZES, WARMUP, Metrics
from lgtm.report.statistics import FEWEST_SEEDS, SIGNIFICANCE, Interval
from lgtm.report.text import escape, markdown_table, show, show_p
from lgtm.report.verdicts import BASELINES, decisions, verdict

TEMPLATES = Path(__file__).parent / "templates"
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
    followers: list[str],
) -> str:
    """The results as a markdown page.

    summary: of prepare (labels, metrics, roles, crossing, label_noise); parts: of the test role; metrics: of
    summarise, with significance as `tests`, differing as `environments`, share_helpful in `influence` and validity as
    `validation`; samples: of rank_samples, of which `shown` are shown at each end; followers: the arms that follow the
    influence.
    """
    students = {WARMUP: metrics["warm_student"], **metrics["arms"]}
    differences = metrics["differences"]
    tests = metrics["tests"]
    labels, official = summary["labels"], summary["metrics"][0]
    return _render(
        "results.md.j2",
        task=task,
        pair=pair,
        seeds=seeds,
        test_rows=summary["roles"]["test"]["rows"],
        cautions=[
            *mixed_environments(metrics["environments"]),
            *clean_feedback(summary["label_noise"], followers),
            *crossing_roles(summary),
        ],
        parts=parts,
        roles=_roles_table(summary),
        label_noise=summary["label_noise"],
        crossing_groups=summary["crossing"]["groups"],
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


def _render(name: str, **content: Any) -> str:
    watch(TEMPLATES / name)
    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    return environment.get_template(name).render(**content)


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
    return _render(
        "validation.md.j2",
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


def _roles_table(summary: dict[str, Any]) -> str:
    near = summary["crossing"]["near_duplicates"]
    rows = [
        [role, f"{counts['rows']:,}", f"{counts['groups']:,}", f"{near[role]:,}" if role in near else ""]
        for role, counts in summary["roles"].items()
    ]
    return markdown_table(["role", "rows", "groups", "nearly the same as a row of another role"], rows)


def _sizes_table(metrics: Metrics) -> str:
    models = {"teacher": metrics["teachers"][WARMUP], "student": metrics["warm_student"]}
    rows = [
        [name, f"{values['parameters']['mean']:,.0f}", f"{values['megabytes']['mean']:.1f}"]
        for name, values in models.items()
    ]
    return markdown_table(["model", "parameters", "MB in fp32"], rows)
