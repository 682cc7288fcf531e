"""The results as a markdown page: the templates beside this module, filled with tables."""

from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from lgtm.inputs import watch
from lgtm.report import cautions
from lgtm.report import page_tables as tables
from lgtm.report.names import MAJORITY, NAMES, WARMUP, Metrics
from lgtm.report.statistics import FEWEST_SEEDS, SIGNIFICANCE
from lgtm.report.text import listed, markdown_table, show
from lgtm.report.verdicts import BASELINES, decisions, verdict

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


def results_page(
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
) -> str:
    """The results as a markdown page.

    summary: of prepare (labels, metrics, roles, transfer, crossing, label_noise); parts: of the test role; metrics: of
    summarise, with significance as `tests` (in from_warm too), differing as `environments`, share_helpful in
    `influence`, validity as `validation`, summarise_choices as `choices` and recommend as `recommendation`; helpful,
    harmful: of extremes, with texts and labels; heard: the arms that heard of the feedback labels; keep: which student
    distill keeps; answers: whether the teacher is a file of answers; without_curve: the phases that are
    not drawn; descriptions: of the arms, a sentence each.
    """
    from_warm = metrics["from_warm"] | {"environments": metrics["environments"]}
    differences, tests = metrics["differences"], metrics["tests"]
    labels, official = summary["labels"], summary["metrics"][0]
    return _render(
        "results.md.j2",
        task=task,
        pair=pair,
        seeds=seeds,
        test_rows=summary["roles"]["test"]["rows"],
        cautions=[
            *cautions.mixed_environments(metrics["environments"]),
            *cautions.of_models(metrics, official, keep, answers=answers),
            *cautions.clean_feedback(summary["label_noise"], heard),
            *cautions.few_rows(summary["roles"]),
            *cautions.failed_checks(metrics["influence"]["checks"]),
            *cautions.crossing_roles(summary),
        ],
        recommendation=metrics["recommendation"],
        parts=parts,
        roles=tables.roles_table(summary),
        transfer=summary["transfer"],
        left_out=[f"{summary['transfer'][why]:,} {said}" for why, said in LEFT_OUT.items() if summary["transfer"][why]],
        label_noise=summary["label_noise"],
        crossing_groups=summary["crossing"]["groups"],
        official=NAMES[official],
        warmup=WARMUP,
        majority=MAJORITY,
        baselines=BASELINES,
        verdicts=_verdicts(metrics, official),
        gains=_verdicts(from_warm, official),
        significance=SIGNIFICANCE,
        fewest=FEWEST_SEEDS,
        tests=tables.tests_table(differences, tests, official),
        comparisons=len(tests),
        seeds_for_half=next((test["seeds_for_half"] for test in tests.values()), None),
        students=tables.students_table(metrics, official),
        descriptions=descriptions,
        teachers=tables.teachers_table(metrics, official),
        unsaved=_unsaved_teachers(metrics),
        without_curve=without_curve,
        choices=metrics["choices"],
        choice_tables={arm: tables.choice_table(choice, official) for arm, choice in metrics["choices"].items()},
        differences=tables.differences_table(from_warm["differences"] | differences),
        share_helpful={role: show(share) for role, share in metrics["influence"]["share_helpful"].items()},
        validation=validation_section(metrics["validation"]),
        helpful=tables.samples_table(helpful, labels, len(seeds)),
        harmful=tables.samples_table(harmful, labels, len(seeds)),
        rounds=tables.rounds_table(metrics, official) if "rounds" in metrics else None,
        costs=metrics["cost"],
        cost_table=tables.cost_table(metrics["cost"]),
        sizes=tables.sizes_table(metrics),
    )


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


def _render(name: str, **content: Any) -> str:
    watch(TEMPLATES / name)
    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    return environment.get_template(name).render(**content)


def validation_section(validity: Metrics) -> str:
    """The page's section on what the validation stage found; validity: of the function of that name."""
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
    return _render(
        "validation.md.j2",
        errors=errors and markdown_table(["to find", "low score", "AUC", "precision", "share", "seeds"], errors),
        lds=show(validity["lds"]) if "lds" in validity else None,
        by_seed=[show(score) for score in validity.get("lds_by_seed", {}).values()],
        nothing_dropped=show(validity["nothing_dropped"], "nll") if removals else None,
        removals=removals and markdown_table(["dropped", *removals], changes),
    )
