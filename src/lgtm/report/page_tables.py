"""The tables of the page, in markdown."""

from typing import Any

import pandas as pd

from lgtm.report.classes import SHOWN
from lgtm.report.names import MAJORITY, NAMES, SIZES, WARMUP, Metrics
from lgtm.report.statistics import Interval
from lgtm.report.text import escape, markdown_table, show, show_p

ABSENT = "–"


def students_table(metrics: Metrics, official: str) -> str:
    """Every student, from the majority class and the warm one on, with its change from the warm one."""
    changes = {arm: metrics["from_warm"]["differences"][f"{arm}-{WARMUP}"][official] for arm in metrics["arms"]}
    change = f"change of {official} from {WARMUP}"
    models = {WARMUP: metrics["warm_student"], **metrics["arms"]}
    extra = {arm: show(changes[arm], official, signed=True) if arm in changes else ABSENT for arm in models}
    return _models_table("student", models, metrics["majority"], change, extra)


def teachers_table(metrics: Metrics, official: str) -> str:
    """Every teacher, from the majority class on, with how far it is above its own student."""
    behind = metrics["behind_teacher"]
    extra = {arm: show(behind[arm][official], official, signed=True) for arm in metrics["teachers"]}
    change = f"{official} above its student"
    return _models_table("teacher", metrics["teachers"], metrics["majority"], change, extra)


def _models_table(
    kind: str, models: dict[str, dict[str, Interval]], majority: dict[str, float], change: str, changes: dict[str, str]
) -> str:
    """Models with all their metrics, the official one's change after it; the majority class, without seeds, first."""
    first, *others = [metric for metric in next(iter(models.values())) if metric not in SIZES]
    rows = [
        [MAJORITY, f"{100 * majority[first]:.1f}", ABSENT, *(_plain(majority, metric) for metric in others), ABSENT]
    ]
    rows += [
        [
            name,
            show(values[first], first),
            changes[name],
            *(show(values[metric], metric) for metric in others),
            str(values[first]["n"]),
        ]
        for name, values in models.items()
    ]
    return markdown_table([kind, first, change, *others, "seeds"], rows)


def _plain(majority: dict[str, float], metric: str) -> str:
    return f"{100 * majority[metric]:.1f}" if metric in majority else ABSENT


def differences_table(differences: dict[str, dict[str, Interval]]) -> str:
    """All metrics of every difference."""
    columns = list(next(iter(differences.values())))
    rows = [
        [name.replace("-", " − "), *(show(values[metric], metric, signed=True) for metric in columns)]
        for name, values in differences.items()
    ]
    return markdown_table(["difference", *columns], rows)


def tests_table(differences: dict[str, dict[str, Interval]], tests: dict[str, Metrics], official: str) -> str:
    """Every difference that was tested, over seeds, and over seeds and rows; empty where none was."""
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


def moved_table(moved: Metrics) -> str:
    """What each arm changed in the teacher, by role; empty where no arm did. moved: of summarise_moved."""
    rows = []
    for arm, roles in moved.items():
        for role, found in roles.items():
            right = [show(found[name]) if name in found else ABSENT for name in ("right_before", "right_after")]
            sure = [show(found[f"confidence_{when}"]) for when in ("before", "after")]
            rows.append([arm, role, show(found["changed"]), show(found["moved"]), *right, *sure])
    header = ["arm", "role", "changed", "moved", "right before", "after", "confidence before", "after"]
    return markdown_table(header, rows) if rows else ""


def recalls_table(recalls: pd.DataFrame, labels: list[str]) -> str:
    """The share of each class that students get right, the hardest classes; recalls: of classes."""
    rows = [[escape(labels[label]), *map(_percent, shares)] for label, *shares in recalls[:SHOWN].itertuples()]
    return markdown_table(["class", *recalls], rows)


def confusions_table(confusions: pd.DataFrame, labels: list[str]) -> str:
    """What is taken for what; empty where nothing is. confusions: of classes."""
    rows = [
        [f"{escape(labels[label])} → {escape(labels[predicted])}", *map(_percent, shares)]
        for (label, predicted), *shares in confusions.itertuples()
    ]
    return markdown_table(["class → predicted", *confusions], rows) if rows else ""


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def rounds_table(metrics: Metrics, official: str) -> str:
    """Students by round, from the majority class and the warm one on, and differences between arms."""
    rounds = metrics["rounds"]
    numbers = list(next(iter(rounds["arms"].values())))
    floor = {MAJORITY: _plain(metrics["majority"], official), WARMUP: show(metrics["warm_student"][official], official)}
    rows = [[name, value, *("" for _ in numbers)] for name, value in floor.items()]
    rows += [[arm, "", *(show(values[n]) for n in numbers)] for arm, values in rounds["arms"].items()]
    rows += [
        [name.replace("-", " − "), "", *(show(values[n], signed=True) for n in numbers)]
        for name, values in rounds["differences"].items()
    ]
    return markdown_table(["", "before", *(f"round {n}" for n in numbers)], rows)


def cost_table(costs: Metrics) -> str:
    """Samples through each network, and compute."""
    columns = [column for column in next(iter(costs.values())) if column != "compute"]
    rows = [[arm, *(f"{row[c]:,.0f}" for c in columns), f"{row['compute']:.2f}"] for arm, row in costs.items()]
    return markdown_table(["arm", *(column.replace("_", " ") for column in columns), "compute"], rows)


def samples_table(samples: pd.DataFrame, labels: list[str], seeds: int) -> str:
    """Samples in their order: sample_id, role, influence, helps, planted, text, [text_pair], label, true_label."""
    rows = [
        [
            _text(sample),
            sample["role"],
            _label(sample, labels),
            f"{sample['influence']:+#.3g}".replace("-", "−"),
            f"{sample['helps']} of {seeds}",
        ]
        for _, sample in samples.iterrows()
    ]
    return markdown_table(["text", "role", "label", "influence", "helps in"], rows)


def _text(sample: pd.Series) -> str:
    texts = [escape(sample[column]) for column in ("text", "text_pair") if column in sample]
    return " **/** ".join(texts)


def _label(sample: pd.Series, labels: list[str]) -> str:
    if sample["role"] == "transfer":
        return ABSENT
    label = escape(labels[sample["label"]])
    if sample["planted"]:
        # A number with a point where other rows have no truth.
        return f"{label} (planted flip; true: {escape(labels[int(sample['true_label'])])})"
    return label


def choice_table(choice: Metrics, official: str) -> str:
    """What every λ gave on selection, by seed, the chosen one bold; choice: an arm's, of summarise_choices."""
    seeds = choice["seeds"]
    names = list(next(iter(seeds.values()))["selection"])
    rows = [
        [seed, found["chosen"], *(_given(found, name, official) for name in names)] for seed, found in seeds.items()
    ]
    return markdown_table(["seed", "chosen", *(f"λ {name}" for name in names)], rows)


def _given(found: Metrics, name: str, official: str) -> str:
    values = found["selection"][name]
    shown = f"{100 * values[official]:.1f} ({values['nll']:.3f})"
    return f"**{shown}**" if name == found["chosen"] else shown


def roles_table(summary: dict[str, Any]) -> str:
    """Rows and groups of every role; transfer, where there is any, is not cut into groups."""
    near = summary["crossing"]["near_duplicates"]
    rows = [
        [role, f"{counts['rows']:,}", f"{counts['groups']:,}", f"{near[role]:,}" if role in near else ""]
        for role, counts in summary["roles"].items()
    ]
    if summary["transfer"]["rows"]:
        rows.append(["transfer", f"{summary['transfer']['rows']:,}", ABSENT, ABSENT])
    return markdown_table(["role", "rows", "groups", "nearly the same as a row of another role"], rows)


def sizes_table(metrics: Metrics) -> str:
    """Parameters of teacher and student; a file of answers has none."""
    models = {"teacher": metrics["teachers"][WARMUP], "student": metrics["warm_student"]}
    rows = [
        [name, f"{values['parameters']['mean']:,.0f}", f"{values['megabytes']['mean']:.1f}"]
        for name, values in models.items()
        if "parameters" in values
    ]
    return markdown_table(["model", "parameters", "MB in fp32"], rows)
