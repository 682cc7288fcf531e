"""A task's data as tables with class ids, from files, the Hugging Face hub or a generator."""

import re
import unicodedata
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from lgtm.config import parse
from lgtm.data.columns import Table, as_strings, check_columns, some
from lgtm.data.files import read_file
from lgtm.data.hub import hub_data, hub_split
from lgtm.data.tasks import CARD, TaskCard, beside
from lgtm.errors import UserError


@dataclass(frozen=True)
class RawTask:
    """A task's data as it was published, before roles are given.

    labels: class names in the order of their ids. splits: train, [validation], [test] -> a table with the columns
    sample_id, text, [text_pair], [group], label and true_label (int64 class ids), and in test also part; rows in raw
    order. grouped_by: the column that group was; group_named: whether by the card, not by being a pair's first text.
    files: what messages call a file or hub split -> its rows, and how many of its fields have several lines.
    """

    labels: list[str]
    splits: dict[str, pd.DataFrame]
    grouped_by: str | None = None
    group_named: bool = False
    files: dict[str, dict[str, int]] = field(default_factory=dict)


class _Classes(NamedTuple):
    """The task's classes, and the id of every way of writing them in the data. `origin` says who lists them."""

    names: list[str]
    ids: dict[str, int]
    origin: str


def read_splits(card: TaskCard, folder: Path) -> RawTask:
    """Read the data that the card of the task in `folder` names: from its files, the hub or the generator.

    A missing text becomes an empty one, for assign_roles to drop and count. Raises UserError with the file and the
    row or line for data that cannot be read, columns that are not there, and labels that are missing or unknown.
    """
    read = {"local": _read_local, "hub": _read_hub, "generated": _generate}[card.source]
    tables, class_names = read(card, folder)
    path = folder / CARD
    for table in tables:
        check_columns(table, card.columns.used(), path)
    labels = [_label_strings(table, card.columns.label) for table in tables]
    classes = _classes(card, class_names, tables[0], labels[0], path)
    _check_f1(card, classes, path)

    splits: dict[str, list[pd.DataFrame]] = {}
    for table, strings in zip(tables, labels, strict=True):
        splits.setdefault(table.split, []).append(_standard(table, card, strings, classes))
    _check_train(splits["train"][0], tables[0], classes)
    return RawTask(
        classes.names,
        {split: pd.concat(parts, ignore_index=True) for split, parts in splits.items()},
        card.columns.grouped_by,
        bool(card.columns.group),
        {table.source: {"rows": len(table.frame), "multi_line_fields": _multi_line(table.frame)} for table in tables},
    )


def read_leaderboard(card: TaskCard, folder: Path) -> pd.DataFrame:
    """The rows of the card's leaderboard, in raw order: file (of predictions), index (from 0), text, [text_pair].

    Their labels are hidden, so none is asked for, and one that is there is not read. A missing text becomes an empty
    one: every row is to be predicted. No rows where the card has no leaderboard. Raises UserError as read_splits does.
    """
    columns = card.columns.texts()
    frames = [pd.DataFrame(columns=["file", "index", *columns])]
    if card.leaderboard is not None:
        read = partial(hub_split, hub_data(card, folder)) if card.source == "hub" else _file
        for name, place in card.leaderboard.files.items():
            table = Table("leaderboard", place, *read(card, folder, f"leaderboard.files.{name}", place))
            check_columns(table, columns, folder / CARD)
            texts = {ours: as_strings(table, theirs) for ours, theirs in columns.items()}
            frames.append(pd.DataFrame({"file": name, "index": range(len(table.frame)), **texts}))
    return pd.concat(frames, ignore_index=True).astype({"index": "int64"} | dict.fromkeys(["file", *columns], "str"))


# --- Sources: each gives its tables, train first, and the class names where the source itself has them. ---


def _read_local(card: TaskCard, folder: Path) -> tuple[list[Table], None]:
    return [
        Table(split, part, *_file(card, folder, f"files.{split}", place)) for split, part, place in card.files.places()
    ], None


def _file(card: TaskCard, folder: Path, field: str, place: str) -> tuple[str, pd.DataFrame]:
    """What messages call a file beside the card, and its rows."""
    path = beside(folder, place, folder / CARD)
    return str(path), read_file(path, card.separator, card.quoting is None, folder / CARD)


def _read_hub(card: TaskCard, folder: Path) -> tuple[list[Table], list[str] | None]:
    data, splits = hub_data(card, folder), card.hub.splits
    tables = [
        Table(split, part, *hub_split(data, card, folder, f"hub.splits.{split}", place))
        for split, part, place in splits.places()
    ]
    # Only a ClassLabel has names.
    return tables, getattr(data[splits.train].features.get(card.columns.label), "names", None)


def _generate(card: TaskCard, folder: Path) -> tuple[list[Table], None]:
    from lgtm.data.demo import GeneratorSettings, generate

    path = folder / CARD
    settings = parse(GeneratorSettings, card.generated, path, "generated")
    try:
        frames = generate(settings)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    order = [split for split in ("train", "validation", "test") if split in frames]
    return [Table(split, split, f"{path}: generated {split}", frames[split]) for split in order], None


# --- Columns, texts and labels ---


def _multi_line(frame: pd.DataFrame) -> int:
    """How many fields have several lines: texts of that kind, or a quote that swallowed the rows after it."""
    values = (value for _, column in frame.items() for value in column)
    return sum("\n" in value or "\r" in value for value in values if isinstance(value, str))


def _label_strings(table: Table, column: str) -> pd.Series:
    # Two ways of writing an accent are one label.
    strings = as_strings(table, column).str.strip().str.normalize("NFC")
    if (strings == "").any():
        missing = strings == ""
        raise UserError(f"{table.row(missing.argmax())}: no label in column {column!r} ({missing.sum()} such rows)")
    return strings


def _classes(card: TaskCard, class_names: list[str] | None, train: Table, strings: pd.Series, path: Path) -> _Classes:
    """Which classes there are and how the data writes them, decided on train and held to in every split."""
    if class_names is not None:
        class_names = [unicodedata.normalize("NFC", name) for name in class_names]
        if card.labels not in (None, class_names):
            raise UserError(f"{path}: labels: the hub's are {some(class_names)}, in this order; write these, or none")
        return _Classes(class_names, _indices(class_names), f"the indices of the hub's labels, {some(class_names)}")

    written = strings.unique().tolist()
    integers = all(re.fullmatch(r"[+-]?\d+", name) for name in written)
    if card.labels is not None:
        if integers and not set(written) <= set(card.labels):
            return _Classes(card.labels, _indices(card.labels), f"the indices of labels in {path}")
        return _Classes(card.labels, {name: index for index, name in enumerate(card.labels)}, f"labels in {path}")

    decimal = next((name for name in written if re.fullmatch(r"[+-]?\d+\.\d*", name)), None)
    if decimal:
        raise UserError(
            f"{train.source}: the label {decimal} is a decimal number; write classes as integers or names, "
            f"or list them as strings in labels in {path}"
        )
    if len(written) == 1:
        raise UserError(f"{train.source}: every row has the label {written[0]!r}; a task needs two classes or more")
    names = sorted(written, key=int if integers else None)
    return _Classes(names, {name: index for index, name in enumerate(names)}, f"the labels of {train.source}")


def _indices(names: list[str]) -> dict[str, int]:
    return {str(index): index for index in range(len(names))}


def _standard(table: Table, card: TaskCard, labels: pd.Series, classes: _Classes) -> pd.DataFrame:
    """The table with our columns."""
    texts = {ours: as_strings(table, theirs) for ours, theirs in card.columns.used().items() if ours != "label"}
    label = _ids(labels, table, card.columns.label, classes)
    # Only a generator knows the truth behind its labels.
    known = card.source == "generated" and "true_label" in table.frame
    truth = _ids(_label_strings(table, "true_label"), table, "true_label", classes) if known else label
    standard = {"sample_id": table.sample_ids, **texts, "label": label, "true_label": truth}
    return pd.DataFrame(standard | ({"part": table.part} if table.split == "test" else {}))


def _ids(strings: pd.Series, table: Table, column: str, classes: _Classes) -> pd.Series:
    ids = strings.map(classes.ids)
    if ids.isna().any():
        index = int(ids.isna().argmax())
        raise UserError(
            f"{table.row(index)}: {column} {strings[index]!r} is not among {classes.origin}: {some(classes.ids)}"
        )
    return ids.astype("int64")


def _check_train(train: pd.DataFrame, table: Table, classes: _Classes) -> None:
    absent = set(range(len(classes.names))) - set(train["label"].unique())
    if absent:
        written = next(name for name, index in classes.ids.items() if index == min(absent))
        raise UserError(f"{table.source}: no row has the label {written!r}, which is among {classes.origin}")


def _check_f1(card: TaskCard, classes: _Classes, path: Path) -> None:
    if "f1" in card.metrics and len(classes.names) != 2:
        raise UserError(f"{path}: metrics: f1 is for two classes, the task has {len(classes.names)}; use macro_f1")
