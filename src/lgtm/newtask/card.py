"""The cards that are written, with comments: of a task, and of a pair whose teacher is a file of answers."""

import io
import json
from pathlib import Path
from typing import Any

import jinja2
from ruamel.yaml import YAML

from lgtm.newtask.columns import Columns
from lgtm.newtask.facts import Facts
from lgtm.newtask.raw import Raw

TEMPLATES = Path(__file__).parent / "templates"


def task_card(name: str, raw: Raw, columns: Columns, found: Facts, metrics: list[str], files: dict[str, str]) -> str:
    """The text of a task.yaml; files: split -> the file beside it."""
    named = columns.texts | {"label": columns.label}
    if columns.group:
        named["group"] = columns.group
    return _render(
        "task.yaml.j2",
        name=name,
        source=raw.path.name,
        rows=found.rows,
        files=files,
        separator=raw.separator,
        quoted=raw.quoted,
        columns=named,
        paired=columns.text_pair is not None,
        labels=list(found.classes),
        metrics=metrics,
        words=found.words,
        max_length=found.max_length,
    )


def pair_card(name: str, source: str, said: dict[str, Any], ready: Path) -> str:
    """The text of a pair's card: the answers as the teacher, the student of a ready card beside them."""
    yaml = YAML()
    yaml.width = 120
    card = yaml.load(ready.read_text(encoding="utf-8"))
    student = {"tokenizer": card["tokenizer"]} if "config" in card["student"] else {}
    text = io.StringIO()
    yaml.dump(student | {"student": card["student"]}, text)
    return _render("pair.yaml.j2", name=name, source=source, said=said, ready=ready.stem, student=text.getvalue())


def _render(template: str, **values: Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # What is JSON is YAML.
    environment.filters["yaml"] = lambda value: json.dumps(value, ensure_ascii=False)
    return environment.get_template(template).render(**values)
