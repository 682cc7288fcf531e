"""The model card of an exported student: a template beside this module, filled with what is known of it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
from huggingface_hub import EvalResult, ModelCardData

from lgtm.networks.encoding import READS_PADDING
from lgtm.report.names import NAMES, SIZES, WARMUP, Metrics
from lgtm.report.text import escape, markdown_table, show
from lgtm.shipping.forms import SIZES as BATCHES
from lgtm.shipping.forms import TOLERANCE, Measured
from lgtm.shipping.lineage import Lineage
from lgtm.shipping.student import Student

TEMPLATES = Path(__file__).parent / "templates"
FIGURES = NAMES | {"nll": "NLL, nats", "ece": "calibration error", "agreement": "agreement with the teacher"}


@dataclass(frozen=True)
class Results:
    """What the run measured on the test. metrics: reports/metrics.json; arm: of the student, or warmup.

    own: this student's own figures, by metric, where evaluate has measured it.
    """

    metrics: Metrics
    arm: str
    seeds: list[int]
    own: dict[str, float]


@dataclass(frozen=True)
class Origin:
    """Where a student comes from. what: in words; task, pair: names and cards; data: prepare's summary.

    selection: the official metric there by seed, the student's own first; empty where the folder was named by hand.
    """

    what: str
    task: str
    task_card: dict[str, Any]
    pair: str
    pair_card: dict[str, Any]
    data: dict[str, Any]
    selection: dict[int, float] = field(default_factory=dict)


def model_card(
    student: Student,
    origin: Origin,
    results: Results | None,
    lineage: Lineage,
    forms: list[Measured],
    transformers_differs: float,
    differs: list[str],
) -> str:
    """The card as markdown, with the front matter that the hub reads.

    transformers_differs: by how much the logits of transformers alone differ; differs: what is not as dvc.lock says.
    """
    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    environment.filters["escape"] = escape
    environment.filters["show"] = show
    config = student.model.config
    return environment.get_template("model_card.md.j2").render(
        front=_front_matter(origin, results),
        student=student,
        origin=origin,
        results=results,
        results_table=results and results_table(results),
        official=FIGURES[origin.data["metrics"][0]],
        roles=roles_table(origin.data, student.labels),
        lineage=lineage,
        forms=forms_table(forms, origin.data["metrics"]),
        names=[form.name for form in forms],
        parameters=sum(parameter.numel() for parameter in student.model.parameters()),
        kind=config.model_type,
        pooling=getattr(config, "pooling", None),
        plain=transformers_differs <= TOLERANCE,
        transformers_differs=transformers_differs,
        padded=config.model_type in READS_PADDING,
        tolerance=TOLERANCE,
        differs=differs,
    )


def results_table(results: Results) -> str:
    """By metric: the student over seeds, this file, the warm student, the teacher, and the most frequent class."""
    metrics = results.metrics
    student = metrics["warm_student"] if results.arm == WARMUP else metrics["arms"][results.arm]
    teachers = metrics["teachers"]
    teacher = teachers.get(results.arm, teachers.get(WARMUP, {}))
    rows = []
    for name, value in student.items():
        if name in SIZES:
            continue
        scale, digits = (1, 3) if name.startswith("nll") else (100, 1)
        own = f"{scale * results.own[name]:.{digits}f}" if name in results.own else "–"
        others = [show(found[name], name) if name in found else "–" for found in (metrics["warm_student"], teacher)]
        majority = metrics["majority"].get(name)
        least = "–" if majority is None else f"{scale * majority:.{digits}f}"
        rows.append([FIGURES.get(name, name), show(value, name), own, *others, least])
    header = ["on the test", f"mean of {len(results.seeds)} seeds", "this file", "warm student", "teacher", "majority"]
    return markdown_table(header, rows)


def roles_table(data: dict[str, Any], labels: list[str]) -> str:
    """Rows and classes of every role, and what the role is for."""
    rows = [[role, f"{found['rows']:,}", *(f"{found['classes'].get(label, 0):,}" for label in labels)]
            for role, found in data["roles"].items()]  # fmt: skip
    rows.append(["transfer", f"{data['transfer']['rows']:,}", *("–" for _ in labels)])
    return markdown_table(["role", "rows", *map(escape, labels)], rows)


def forms_table(forms: list[Measured], metrics: list[str]) -> str:
    """Every form of the student: its size, how it does on selection, its logits, and its speed."""
    header = ["form", "MB", *(f"{FIGURES[name]}, selection" for name in metrics), "says the same", "largest Δ logit"]
    header += [f"ms, batch of {size}" for size in BATCHES]
    rows = [
        [
            form.name,
            f"{form.megabytes:.1f}",
            *(f"{100 * form.values[name]:.2f}" for name in metrics),
            f"{100 * form.values['agreement']:.2f} %",
            f"{form.difference:.1e}",
            *(f"{form.milliseconds[size]:.2f}" for size in BATCHES),
        ]
        for form in forms
    ]
    return markdown_table(header, rows)


def _front_matter(origin: Origin, results: Results | None) -> str:
    """What the hub reads of a card; written by its own library, so that no name of a task breaks it."""
    official = origin.data["metrics"][0]
    evaluated = []
    if results and official in results.own:
        where = {"task_type": "text-classification", "dataset_type": origin.task, "dataset_name": origin.task}
        value = round(results.own[official], 4)
        evaluated = [EvalResult(**where, dataset_split="test", metric_type=official, metric_value=value)]
    named = {"model_name": f"{origin.task}-student", "eval_results": evaluated} if evaluated else {}
    tags = ["knowledge-distillation", "lgtm"]
    return ModelCardData(library_name="transformers", pipeline_tag="text-classification", tags=tags, **named).to_yaml()
