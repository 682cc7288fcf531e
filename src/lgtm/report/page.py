"""What the pages say: the templates beside this module, filled with words and tables."""

from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from lgtm.inputs import watch
from lgtm.report import cautions, classes
from lgtm.report import page_tables as tables
from lgtm.report.names import MAJORITY, NAMES, WARMUP, Metrics
from lgtm.report.quality_plots import LARGEST_MATRIX
from lgtm.report.statistics import FEWEST_SEEDS, SIGNIFICANCE
from lgtm.report.text import listed, markdown_table, show, to_html
from lgtm.report.verdicts import BASELINES, decisions, verdict
from lgtm.report.words import tailoring_helped

TEMPLATES = Path(__file__).parent / "templates"
DETECTION = ("auc", "average_precision", "share")
# What the influence is asked to find, and the scores that are asked: of validation.known_errors.
ERRORS = {
    "mislabel": "planted flips",
    "teacher_error": "errors of the warmed-up teacher on train",
    "teacher_error_transfer": "its errors on transfer",
}
OF_THE_TEACHER = {
    "influence": "influence under the teacher",
    "likelihood": "the student's probability of the teacher's class",
    "confidence": "the teacher's confidence",
}
SCORES = {
    "mislabel": {
        "influence": "influence under the label",
        "influence_per_unit": "the same, per unit of p − y",
        "likelihood": "the student's probability of the label",
    },
    "teacher_error": OF_THE_TEACHER,
    "teacher_error_transfer": OF_THE_TEACHER,
}
# Why a row without a label was left out, by what prepare counts.
LEFT_OUT = {
    "empty": "empty",
    "in_other_role": "in another role too",
    "group_held_out": "of a group of feedback, selection or test",
    "duplicates": "there before",
    "left_out": "beyond `prepare.max_transfer`",
}


def content(
    *,
    task: str,
    pair: str,
    seeds: list[int],
    summary: dict[str, Any],
    parts: list[str],
    metrics: Metrics,
    helpful: pd.DataFrame,
    harmful: pd.DataFrame,
    heard: list[str],
    keep: str,
    answers: bool,
    without_curve: list[str],
    descriptions: dict[str, str],
    recalls: pd.DataFrame,
    confusions: pd.DataFrame,
) -> dict[str, Any]:
    """What the templates say, in words and markdown.

    summary: of prepare (labels, metrics, roles, transfer, crossing, label_noise); parts: of the test role; metrics: of
    summarise, with significance as `tests` (in from_warm too), differing as `environments`, share_helpful in
    `influence`, validity as `validation`, summarise_choices as `choices`, summarise_moved as `moved` and recommend as
    `recommendation`; helpful, harmful: of extremes, with texts and labels; heard: the arms that heard of the feedback
    labels; keep: which student distill keeps; answers: whether the teacher is a file of answers; without_curve: the
    phases that are not drawn; descriptions: of the arms, a sentence each; recalls, confusions: of classes.
    """
    from_warm = metrics["from_warm"] | {"environments": metrics["environments"]}
    differences, tests = metrics["differences"], metrics["tests"]
    labels, official = summary["labels"], summary["metrics"][0]
    validity = metrics["validation"]
    return {
        "task": task,
        "pair": pair,
        "seeds": seeds,
        "test_rows": summary["roles"]["test"]["rows"],
        "cautions": [
            *cautions.mixed_environments(metrics["environments"]),
            *cautions.of_models(metrics, official, keep, answers=answers),
            *cautions.clean_feedback(summary["label_noise"], heard),
            *cautions.few_rows(summary["roles"]),
            *cautions.failed_checks(metrics["influence"]["checks"]),
            *cautions.crossing_roles(summary),
        ],
        "recommendation": metrics["recommendation"],
        "tailoring": tailoring_helped(metrics, official),
        "parts": parts,
        "roles": tables.roles_table(summary),
        "transfer": summary["transfer"],
        "left_out": [
            f"{summary['transfer'][why]:,} {said}" for why, said in LEFT_OUT.items() if summary["transfer"][why]
        ],
        "label_noise": summary["label_noise"],
        "crossing_groups": summary["crossing"]["groups"],
        "official": NAMES[official],
        "warmup": WARMUP,
        "majority": MAJORITY,
        "baselines": BASELINES,
        "verdicts": _verdicts(metrics, official),
        "gains": _verdicts(from_warm, official),
        "significance": SIGNIFICANCE,
        "fewest": FEWEST_SEEDS,
        "tests": tables.tests_table(differences, tests, official),
        "comparisons": len(tests),
        "seeds_for_half": next((test["seeds_for_half"] for test in tests.values()), None),
        "students": tables.students_table(metrics, official),
        "descriptions": descriptions,
        "teachers": tables.teachers_table(metrics, official),
        "unsaved": _unsaved_teachers(metrics),
        "moved": tables.moved_table(metrics["moved"]),
        "truth_known": bool(summary["label_noise"]["fraction"]),
        "without_curve": without_curve,
        "choices": metrics["choices"],
        "choice_tables": {arm: tables.choice_table(choice, official) for arm, choice in metrics["choices"].items()},
        "differences": tables.differences_table(from_warm["differences"] | differences),
        "recalls": tables.recalls_table(recalls, labels),
        "classes_shown": min(len(recalls), classes.SHOWN),
        "classes_left": max(len(recalls) - classes.SHOWN, 0),
        "matrix": len(labels) <= LARGEST_MATRIX,
        "confusions": tables.confusions_table(confusions, labels),
        "share_helpful": {role: show(share) for role, share in metrics["influence"]["share_helpful"].items()},
        "helpful": tables.samples_table(helpful, labels, len(seeds)),
        "unhelpful": list(dict.fromkeys(helpful.loc[helpful["influence"] <= 0, "role"])),
        "harmful": tables.samples_table(harmful, labels, len(seeds)),
        "rounds": tables.rounds_table(metrics, official) if "rounds" in metrics else None,
        "costs": metrics["cost"],
        "cost_table": tables.cost_table(metrics["cost"]),
        "sizes": tables.sizes_table(metrics),
    } | validation(validity)


def _verdicts(compared: Metrics, official: str) -> list[str]:
    return [
        verdict(name, compared["differences"][name][official], compared["tests"].get(name), decision)
        for name, decision in decisions(compared, official).items()
    ]


def _unsaved_teachers(metrics: Metrics) -> str:
    """The arms that trained teachers of which no network is left to be evaluated, in words."""
    teachers, costs = metrics["teachers"], metrics["cost"]
    arms = [f"`{arm}`" for arm, cost in costs.items() if cost["teacher_backward"] and arm not in teachers]
    return listed(arms) if arms else ""


def validation(validity: Metrics) -> dict[str, Any]:
    """What the validation stage found, for its template; validity: of the function of that name."""
    errors = [
        [ERRORS[kind], SCORES[kind][score], *(show(found[name]) for name in DETECTION), str(found["auc"]["n"])]
        for kind in ERRORS
        for score, found in validity.get(kind, {}).items()
    ]
    removals = validity.get("removals", {})
    fractions = list(next(iter(removals.values()), {}))
    changes = [
        [f"{100 * float(fraction):g} %", *(show(part[fraction], "nll", signed=True) for part in removals.values())]
        for fraction in fractions
    ]
    return {
        "errors": errors and markdown_table(["to find", "low score", "AUC", "precision", "share", "seeds"], errors),
        "lds": show(validity["lds"]) if "lds" in validity else None,
        "by_seed": [show(score) for score in validity.get("lds_by_seed", {}).values()],
        "nothing_dropped": show(validity["nothing_dropped"], "nll") if removals else None,
        "removals": removals and markdown_table(["dropped", *removals], changes),
        "retrained": bool(removals) or "lds" in validity,
    }


def spoken(said: dict[str, Any]) -> dict[str, list[str]]:
    """What reports/summary.json has in words; lists, which `dvc exp show` and `lgtm.compare` give no column.

    said: of content. recommendation: what to ship and why, whether tailoring helped, what to try next.
    """
    found = said["recommendation"]
    tailoring = [f"Did tailoring help? {answer['said']}. {answer['why']}" for answer in said["tailoring"]]
    return {
        "recommendation": [f"Ship: {found['ship']}. {found['why']}", *tailoring, *found["next"]],
        "cautions": said["cautions"],
    }


def render(name: str, said: dict[str, Any]) -> str:
    """A page from its template; said: of content, and what the template asks for beside it."""
    return environment().get_template(name).render(said)


def environment() -> jinja2.Environment:
    """The templates: those of HTML escape what is put in, in those of markdown text.escape has."""
    for path in sorted(TEMPLATES.iterdir()):
        watch(path)
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        autoescape=lambda name: bool(name) and name.endswith(".html.j2"),
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["markdown"] = to_html
    return found
