"""A task's folder and a pair's card, written from what was seen, and tried as a run would read them."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from lgtm.checks.findings import Findings
from lgtm.checks.preparation import look_at_rows, thrown_away
from lgtm.data.files import PIECE
from lgtm.data.sources import read_splits
from lgtm.data.tasks import CARD, TaskCard, load_card
from lgtm.demands import what_cannot_be_done
from lgtm.errors import UserError
from lgtm.handover import writing
from lgtm.networks.pairs import load_pair
from lgtm.newtask import answers
from lgtm.newtask.card import pair_card, task_card
from lgtm.newtask.columns import Ask, Columns, choose
from lgtm.newtask.facts import Facts, facts, told
from lgtm.newtask.raw import look
from lgtm.newtask.transfer import put_transfer
from lgtm.params import load_params
from lgtm.values import a_name

TASKS, PAIRS = Path("tasks"), Path("pairs")
WHOLE = 10**9  # rows: all


@dataclass
class Wanted:
    """What the user asks for; None for what is to be seen or asked."""

    data: Path | None
    name: str | None = None
    text: str | None = None
    text_pair: str | None = None
    label: str | None = None
    group: str | None = None
    separator: str | None = None
    encoding: str | None = None
    metrics: list[str] = field(default_factory=list)
    transfer: list[Path] = field(default_factory=list)
    predictions: Path | None = None
    pair: str | None = None


@dataclass
class Made:
    """What was written, what was seen, and what to run next."""

    seen: list[str] = field(default_factory=list)
    cautions: list[str] = field(default_factory=list)
    written: list[Path] = field(default_factory=list)
    settings: list[str] = field(default_factory=list)


def make(wanted: Wanted, ask: Ask) -> Made:
    """Write what is wanted. Nothing is left behind where it cannot be read, and nothing that is there is changed.

    Raises UserError for what is there already, what cannot be read, and what a run would refuse.
    """
    made = Made()
    params = load_params()
    name = _name(wanted)
    folder = TASKS / name
    ready = PAIRS / f"{wanted.pair or params.pair}.yaml"
    load_pair(ready.stem)
    with _undone_on_error(made.written):
        card = _existing(folder, wanted) if wanted.data is None else _task(wanted, name, folder, ask, made)
        made.settings = [f"task={name}"]
        pair = wanted.pair or params.pair
        if wanted.predictions:
            pair = _answers(wanted.predictions, name, folder, card, ready, made)
        if pair != params.pair:
            made.settings.append(f"pair={pair}")
        tried = params.model_copy(update={"task": name, "pair": pair})
        if any(what_cannot_be_done(load_pair(pair), tried)) and wanted.predictions:
            able = [arm for arm in params.arms if not getattr(params.teacher_tailored, arm).trains_teacher] or ["kd"]
            made.settings.append(f"arms=[{','.join(able)}]")
        _try(tried, card, made, wanted, folder)
    return made


def _name(wanted: Wanted) -> str:
    if wanted.data is None and not (wanted.name and wanted.predictions):
        raise UserError(
            "lgtm new-task: no data; give a file of labelled rows, or for a task that is there --name and --predictions"
        )
    name = wanted.name or re.sub(r"[^\w-]+", "-", wanted.data.stem).strip("-_").lower()
    try:
        a_name("a folder of tasks/")(name)
    except ValueError as error:
        raise UserError(f"--name {name!r}: {error}") from error
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise UserError(f"--name {name!r}: give letters, digits, '-' and '_'")
    if wanted.data is not None and (TASKS / name).exists():
        raise UserError(f"{TASKS / name}: there is a task of this name, which stays as it is; give another --name")
    return name


def _existing(folder: Path, wanted: Wanted) -> TaskCard:
    """The card of a task that gets answers beside it, and nothing else."""
    of_answers = {"data", "name", "predictions", "pair"}
    if given := [flag for flag, value in vars(wanted).items() if value and flag not in of_answers]:
        flag = {"metrics": "metric"}.get(given[0], given[0]).replace("_", "-")
        raise UserError(f"--{flag}: {folder / CARD} is there and stays as it is; write it there by hand")
    return load_card(folder)


# --- the task ---


def _task(wanted: Wanted, name: str, folder: Path, ask: Ask, made: Made) -> TaskCard:
    raw = look(wanted.data, wanted.separator, wanted.encoding)
    with TemporaryDirectory() as scratch:
        table = raw.table(Path(scratch), WHOLE)
    columns = choose(
        table, str(wanted.data), ask,
        text=wanted.text, text_pair=wanted.text_pair, label=wanted.label, group=wanted.group,
    )  # fmt: skip
    found = facts(table, columns)
    _require_labels(found, wanted, columns)
    made.seen += told(raw, table.columns, columns, found)
    with writing(folder):
        folder.mkdir(parents=True)
        made.written.append(folder)
        raw.write(folder / raw.path.name)
        files = {"train": raw.path.name}
        places = [put_transfer(path, folder, raw, columns, made.seen) for path in wanted.transfer]
        if places:
            files["transfer"] = places[0] if len(places) == 1 else places
        text = task_card(name, raw, columns, found, wanted.metrics or found.metrics, files)
        (folder / CARD).write_text(text, encoding="utf-8")
    return load_card(folder)


def _require_labels(found: Facts, wanted: Wanted, columns: Columns) -> None:
    if found.unlabelled:
        raise UserError(
            f"{wanted.data}: {found.unlabelled:,} of {found.rows:,} rows have no label in {columns.label!r}; put them"
            " into a file of their own, and give it as --transfer"
        )
    if len(found.classes) < 2:
        raise UserError(
            f"{wanted.data}: {columns.label!r} has one class, {next(iter(found.classes), '')!r}; a task has two or more"
        )


# --- the pair ---


def _answers(path: Path, name: str, folder: Path, card: TaskCard, ready: Path, made: Made) -> str:
    """Put a file of answers beside the task's card, and write the pair's card; its name."""
    pair = f"{name}-{re.sub(r'[^a-zA-Z0-9_-]+', '-', path.stem).strip('-').lower() or 'answers'}"
    target, place = PAIRS / f"{pair}.yaml", folder / path.name
    if target.exists():
        raise UserError(f"{target}: is there already, and stays as it is; rename {path}")
    if place.exists():
        raise UserError(f"{place}: is there already, and stays as it is; rename {path}")
    raw = look(path, None, None)
    with TemporaryDirectory() as scratch:
        table = raw.table(Path(scratch), PIECE)
    said = answers.describe(table, str(path), card.columns.texts(), read_splits(card, folder).labels)
    more = {"separator": raw.separator} if raw.separator else {}
    more |= {} if raw.quoted else {"quoting": "none"}
    with writing(folder):
        made.written += [place, target]
        raw.write(place)
        text = pair_card(
            f"Answers of {path.name}, to the student of {ready.stem}",
            path.name,
            {"file": place.name} | more | said,
            ready,
        )
        target.write_text(text, encoding="utf-8")
    load_pair(pair)
    shown = ", ".join(f"{key} {value!r}" for key, value in said.items())
    made.seen.append(f"predictions: {path}: {shown}")
    return pair


# --- the trial ---


def _try(params, card: TaskCard, made: Made, wanted: Wanted, folder: Path) -> None:
    """Read the rows as prepare does. Raises UserError with all that is wrong, by the names of the user's own files."""
    found, pair = Findings(), load_pair(params.pair)
    with thrown_away():
        look_at_rows(found, params, card, pair)
    if found.problems:
        own = {
            str(folder / path.name): str(path) for path in (wanted.data, wanted.predictions, *wanted.transfer) if path
        }
        lines = []
        for line in found.problems:
            for ours, theirs in own.items():
                line = line.replace(ours, theirs)
            lines.append(line)
        raise UserError(lines[0], lines)
    made.seen += found.seen
    made.cautions += found.cautions


@contextmanager
def _undone_on_error(written: list[Path]) -> Iterator[None]:
    """Remove what was written where this ends in an error, or is stopped."""
    try:
        yield
    except BaseException:
        for path in written:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        raise
