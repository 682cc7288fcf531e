"""Tasks: the schema of tasks/<name>/task.yaml, and a task's data as tables with class ids."""

import csv
import difflib
import io
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Number
from pathlib import Path, PurePosixPath
from types import NoneType
from typing import Annotated, Any, Literal, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
from pydantic import BeforeValidator, Field, field_validator, model_validator

from lgtm.config import Strict, parse, read_yaml
from lgtm.errors import UserError

CARD = "task.yaml"
SEPARATORS = {".csv": ",", ".tsv": "\t"}
FORMATS = (*SEPARATORS, ".jsonl", ".parquet")

# A single test set is a mapping with one part, and a class may be written as a number.
Parts = Annotated[
    dict[str, str],
    BeforeValidator(lambda value: {"test": value} if isinstance(value, str) else value),
    Field(min_length=1),
]
ClassName = Annotated[str, BeforeValidator(lambda value: str(value) if type(value) is int else value)]


class Splits(Strict):
    """Where the splits are: files, or splits of the hub data set. `test` may be a mapping of part to place."""

    train: str
    validation: str | None = None
    test: Parts | None = None

    def places(self) -> list[tuple[str, str, str]]:
        """(split, part, place) of every table, train first. Outside test, the part is the split itself."""
        single = [(split, split, place) for split in ("train", "validation") if (place := getattr(self, split))]
        return single + [("test", part, place) for part, place in (self.test or {}).items()]

    @model_validator(mode="after")
    def _distinct(self) -> "Splits":
        places = [place for _, _, place in self.places()]
        repeated = next((place for place in places if places.count(place) > 1), None)
        if repeated:
            raise ValueError(f"{repeated!r} is named twice; a split may be read in one role only")
        if clash := {"train", "validation"} & set(self.test or {}):
            raise ValueError(f"test: a part may not be called {clash.pop()}")
        return self


class Files(Splits):
    """Splits as files beside the card."""

    @model_validator(mode="after")
    def _readable(self) -> "Files":
        for split, _, place in self.places():
            path = PurePosixPath(place)
            if path.suffix.lower() not in FORMATS:
                known = ", ".join(FORMATS)
                raise ValueError(f"{split}: {place!r} is not a file of a known kind ({known})")
            if path.is_absolute() or ".." in path.parts:
                raise ValueError(f"{split}: {place!r} is not beside the card; copy the file there")
        return self


class Hub(Strict):
    """A data set on the Hugging Face hub, pinned to a commit."""

    path: str
    name: str | None = None
    revision: str
    splits: Splits

    @field_validator("revision")
    @classmethod
    def _is_commit(cls, revision: str) -> str:
        if not re.fullmatch("[0-9a-f]{40}", revision):
            raise ValueError("give the commit to pin to, 40 hexadecimal digits")
        return revision


class Columns(Strict):
    """Names of the columns in the raw data."""

    text: str
    text_pair: str | None = None
    label: str

    @model_validator(mode="after")
    def _distinct(self) -> "Columns":
        names = self.used().values()
        if len(set(names)) < len(names):
            raise ValueError("text, text_pair and label have to be different columns")
        return self

    def used(self) -> dict[str, str]:
        """Our name of every column that is read, with its name in the raw data."""
        return {ours: theirs for ours in ("text", "text_pair", "label") if (theirs := getattr(self, ours))}


class TaskCard(Strict):
    """tasks/<name>/task.yaml: where a task's data is and how it is read and measured."""

    description: str
    source: Literal["generated", "hub", "local"]
    files: Files | None = None
    separator: str | None = None
    hub: Hub | None = None
    generated: dict[str, Any] | None = None
    columns: Columns
    labels: Annotated[list[ClassName], Field(min_length=2)] | None = None
    metrics: Annotated[list[Literal["accuracy", "f1", "macro_f1", "matthews"]], Field(min_length=1)]
    max_length: Annotated[int, Field(ge=4)]
    label_noise: Annotated[float, Field(ge=0.0, lt=1.0)]

    @field_validator("separator")
    @classmethod
    def _one_character(cls, separator: str | None) -> str | None:
        if separator is not None and (len(separator) != 1 or separator in '"\r\n'):
            raise ValueError("give one character, such as ';', or \"\\t\" in double quotes for a tab")
        return separator

    @field_validator("labels", "metrics")
    @classmethod
    def _no_repeats(cls, values: list[str] | None) -> list[str] | None:
        if values is not None and len(set(values)) < len(values):
            raise ValueError("each item may stand in the list once")
        return values

    @field_validator("labels")
    @classmethod
    def _stripped(cls, labels: list[str] | None) -> list[str] | None:
        if any(label != label.strip() or not label for label in labels or []):
            raise ValueError("a label may not be blank, nor begin or end with a space")
        return labels

    @model_validator(mode="after")
    def _source_and_its_keys(self) -> "TaskCard":
        wanted = {"local": "files", "hub": "hub", "generated": "generated"}[self.source]
        if getattr(self, wanted) is None:
            raise ValueError(f"source is {self.source}, so the card needs the key {wanted}")
        for key in ("files", "hub", "generated"):
            if key != wanted and getattr(self, key) is not None:
                raise ValueError(f"source is {self.source}, so the card may not have the key {key}")
        if self.separator is not None and not self._has_csv():
            raise ValueError("separator is for local csv files, and the card names none")
        return self

    def _has_csv(self) -> bool:
        return self.files is not None and any(place.lower().endswith(".csv") for _, _, place in self.files.places())


@dataclass(frozen=True)
class RawTask:
    """A task's data as it was published, before roles are given.

    labels: class names in the order of their ids. splits: train, [validation], [test] -> a table with the columns
    sample_id, text, [text_pair], label and true_label (int64 class ids), and in test also part; rows in raw order.
    """

    labels: list[str]
    splits: dict[str, pd.DataFrame]


class _Table(NamedTuple):
    """One file or hub split. `source` is what messages call it."""

    split: str
    part: str
    source: str
    frame: pd.DataFrame

    def row(self, index: int) -> str:
        return f"{self.source}: row {index + 1} ({self.part}-{index})"


class _Classes(NamedTuple):
    """The task's classes, and the id of every way of writing them in the data. `origin` says who lists them."""

    names: list[str]
    ids: dict[str, int]
    origin: str


def load_card(folder: Path) -> TaskCard:
    """Read and validate the card of the task in `folder`.

    Raises UserError, with the names there are, for a task that is not there, and for any mistake in the card.
    """
    path = folder / CARD
    if not folder.is_dir():
        cards = sorted(card.parent.name for card in folder.parent.glob(f"[!_]*/{CARD}"))
        raise UserError(f"params.yaml: task: no folder {folder}; there are {', '.join(cards) or 'none'}")
    if not path.is_file():
        raise UserError(
            f"{path}: no such file; every task needs its card, such as {folder.parent / '_template' / CARD}"
        )
    return parse(TaskCard, read_yaml(path), path)


def read_splits(card: TaskCard, folder: Path) -> RawTask:
    """Read the data that the card of the task in `folder` names: from its files, the hub or the generator.

    A missing text becomes an empty one, for assign_roles to drop and count. Raises UserError with the file and the
    row or line for data that cannot be read, columns that are not there, and labels that are missing or unknown.
    """
    read = {"local": _read_local, "hub": _read_hub, "generated": _generate}[card.source]
    tables, class_names = read(card, folder)
    path = folder / CARD
    for table in tables:
        _check_columns(table, card.columns, path)
    labels = [_label_strings(table, card.columns.label) for table in tables]
    classes = _classes(card, class_names, tables[0], labels[0], path)
    _check_f1(card, classes, path)

    splits: dict[str, list[pd.DataFrame]] = {}
    for table, strings in zip(tables, labels, strict=True):
        splits.setdefault(table.split, []).append(_standard(table, card, strings, classes))
    _check_train(splits["train"][0], tables[0], classes)
    return RawTask(classes.names, {split: pd.concat(parts, ignore_index=True) for split, parts in splits.items()})


# --- Sources: each gives its tables, train first, and the class names where the source itself has them. ---


def _read_local(card: TaskCard, folder: Path) -> tuple[list[_Table], None]:
    return [
        _Table(split, part, str(folder / place), _read_file(folder / place, card.separator, folder / CARD))
        for split, part, place in card.files.places()
    ], None


def _read_hub(card: TaskCard, folder: Path) -> tuple[list[_Table], list[str] | None]:
    import datasets

    hub, path = card.hub, folder / CARD
    what = " ".join(filter(None, [hub.path, hub.name]))
    try:
        builder = datasets.load_dataset_builder(hub.path, hub.name, revision=hub.revision)
        # Without network, datasets falls back to the newest revision in its cache, whichever that is.
        if not Path(hub.path).is_dir() and builder.hash != hub.revision:
            raise ConnectionError(f"the cache has {builder.hash}")
        builder.download_and_prepare()
        data = builder.as_dataset()
    except ConnectionError as error:
        raise UserError(
            f"{path}: hub: {what} at {hub.revision} needs the hub once: run with network, without HF_HUB_OFFLINE "
            f"({_one_line(error)})"
        ) from error
    # What can go wrong comes from datasets, huggingface_hub, httpx or pyarrow, with no base class of their own.
    except Exception as error:
        raise UserError(f"{path}: hub: cannot load {what} at {hub.revision}: {_one_line(error)}") from error

    tables = []
    for split, part, place in hub.splits.places():
        if place not in data:
            raise UserError(f"{path}: hub.splits.{split}: {what} has no split {place!r}; it has {', '.join(data)}")
        frame = data[place].with_format("arrow")[:].to_pandas(integer_object_nulls=True)
        tables.append(_Table(split, part, f"{what}, split {place}", frame))
    feature = data[hub.splits.train].features.get(card.columns.label)
    return tables, feature.names if isinstance(feature, datasets.ClassLabel) else None


def _generate(card: TaskCard, folder: Path) -> tuple[list[_Table], None]:
    from lgtm.demo import GeneratorSettings, generate

    path = folder / CARD
    frames = generate(parse(GeneratorSettings, card.generated, path, "generated"))
    order = [split for split in ("train", "validation", "test") if split in frames]
    return [_Table(split, split, f"{path}: generated {split}", frames[split]) for split in order], None


# --- Files ---


def _read_file(path: Path, separator: str | None, card: Path) -> pd.DataFrame:
    if not path.is_file():
        there = sorted(file.name for file in path.parent.glob("*") if file.suffix.lower() in FORMATS)
        raise UserError(f"{path}: no such file, but {card} names it; data files there: {', '.join(there) or 'none'}")
    if not path.stat().st_size:
        raise UserError(f"{path}: the file is empty")
    match path.suffix.lower():
        case ".jsonl":
            frame = _read_jsonl(path)
        case ".parquet":
            frame = _read_parquet(path)
        case suffix:
            own = separator if suffix == ".csv" else None
            frame = _read_csv(path, own or SEPARATORS[suffix], card)
    if frame.empty:
        raise UserError(f"{path}: the file has no rows, only the names of {len(frame.columns)} columns")
    return frame


def _read_csv(path: Path, separator: str, card: Path) -> pd.DataFrame:
    # The csv module, because pandas turns texts such as "NA" into gaps, fills short rows, and takes the first column
    # for an index when rows are longer than the header.
    csv.field_size_limit(2**31 - 1)
    reader = csv.reader(io.StringIO(_text(path), newline=""), delimiter=separator, strict=True)
    lines = (fields for fields in reader if fields)
    rows = []
    try:
        header = [name.strip() for name in next(lines, [])]
        _check_separator(header, separator, path, card)
        for fields in lines:
            if len(fields) != len(header):
                raise UserError(
                    f"{path}: line {reader.line_num}: {len(fields)} fields, but the header has {len(header)}; "
                    f"put a text that contains {separator!r} in double quotes"
                )
            rows.append(fields)
    except csv.Error as error:
        raise UserError(
            f'{path}: line {reader.line_num}: {error}; check the double quotes (inside a quoted text, write "")'
        ) from error
    return pd.DataFrame(rows, columns=header, dtype=object)


def _check_separator(header: list[str], separator: str, path: Path, card: Path) -> None:
    if not header:
        raise UserError(f"{path}: the file is empty")
    other = next((mark for mark in ";\t|," if mark != separator and mark in header[0]), None)
    if len(header) > 1 or other is None:
        return
    if path.suffix.lower() == ".csv":
        shown = r'"\t"' if other == "\t" else f"'{other}'"
        remedy = f"set separator: {shown} in {card}"
    else:
        remedy = "name it .csv, or separate its columns with tabs"
    raise UserError(f"{path}: the header is one column, {header[0]!r}, when split at {separator!r}; {remedy}")


def _read_jsonl(path: Path) -> pd.DataFrame:
    records = []
    # Not splitlines(), which also cuts at line separators inside a text.
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{path}: line {number}: not valid JSON: {error.msg} at column {error.colno}") from error
        if not isinstance(record, dict):
            raise UserError(f'{path}: line {number}: expected one object a line, such as {{"text": ..., "label": ...}}')
        records.append(record)
    if not records:
        raise UserError(f"{path}: the file is empty")
    names = dict.fromkeys(name for record in records for name in record)
    # As objects, because pandas would turn integers with a gap among them into floats.
    return pd.DataFrame({name: pd.Series([record.get(name) for record in records], dtype=object) for name in names})


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        table = pyarrow.parquet.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: not a parquet file: {_one_line(error)}") from error
    return table.to_pandas(integer_object_nulls=True, ignore_metadata=True)


def _text(path: Path) -> str:
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UserError(f"{path}: line {line}: not UTF-8 text (byte {error.start}); save the file as UTF-8") from error


# --- Columns, texts and labels ---


def _check_columns(table: _Table, columns: Columns, card: Path) -> None:
    found = [str(name) for name in table.frame.columns]
    for ours, theirs in columns.used().items():
        if found.count(theirs) > 1:
            raise UserError(f"{table.source}: {found.count(theirs)} columns are called {theirs!r}; rename one")
        if theirs not in found:
            lower = {name.lower(): name for name in found}
            close = difflib.get_close_matches(theirs.lower(), lower, n=1)
            hint = f"; did you mean {lower[close[0]]!r}?" if close else ""
            raise UserError(
                f"{table.source}: no column {theirs!r} (columns.{ours} in {card}); found {_some(found)}{hint}"
            )


def _strings(table: _Table, column: str) -> pd.Series:
    """A column as strings, "" for what is missing."""
    values = table.frame[column].astype(object).reset_index(drop=True)
    _check_scalars(values, table, column)
    strings = [str(value) for value in values.where(values.notna(), "")]
    try:
        return pd.Series(strings, dtype="str")
    except UnicodeEncodeError as error:
        index = next(index for index, text in enumerate(strings) if re.search("[\ud800-\udfff]", text))
        raise UserError(f"{table.row(index)}: {column} has half of a Unicode character; correct the text") from error


def _check_scalars(values: pd.Series, table: _Table, column: str) -> None:
    odd = {kind for kind in set(map(type, values)) if not issubclass(kind, (str, Number, NoneType))}
    if odd:
        index = next(index for index, value in enumerate(values) if type(value) in odd)
        kind = type(values[index]).__name__
        raise UserError(f"{table.row(index)}: {column} is a {kind}; expected a text or a number")


def _label_strings(table: _Table, column: str) -> pd.Series:
    strings = _strings(table, column).str.strip()
    if (strings == "").any():
        missing = strings == ""
        raise UserError(f"{table.row(missing.argmax())}: no label in column {column!r} ({missing.sum()} such rows)")
    return strings


def _classes(card: TaskCard, class_names: list[str] | None, train: _Table, strings: pd.Series, path: Path) -> _Classes:
    """Which classes there are and how the data writes them, decided on train and held to in every split."""
    if class_names is not None:
        if card.labels not in (None, class_names):
            raise UserError(f"{path}: labels: the hub's are {_some(class_names)}, in this order; write these, or none")
        return _Classes(class_names, _indices(class_names), f"the indices of the hub's labels, {_some(class_names)}")

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


def _standard(table: _Table, card: TaskCard, labels: pd.Series, classes: _Classes) -> pd.DataFrame:
    """The table with our columns."""
    texts = {ours: _strings(table, theirs) for ours, theirs in card.columns.used().items() if ours != "label"}
    label = _ids(labels, table, card.columns.label, classes)
    # Only a generator knows the truth behind its labels.
    known = card.source == "generated" and "true_label" in table.frame
    truth = _ids(_label_strings(table, "true_label"), table, "true_label", classes) if known else label
    rows = pd.Series(range(len(table.frame)))
    standard = {"sample_id": table.part + "-" + rows.astype("str"), **texts, "label": label, "true_label": truth}
    return pd.DataFrame(standard | ({"part": table.part} if table.split == "test" else {}))


def _ids(strings: pd.Series, table: _Table, column: str, classes: _Classes) -> pd.Series:
    ids = strings.map(classes.ids)
    if ids.isna().any():
        index = int(ids.isna().argmax())
        raise UserError(
            f"{table.row(index)}: {column} {strings[index]!r} is not among {classes.origin}: {_some(classes.ids)}"
        )
    return ids.astype("int64")


def _check_train(train: pd.DataFrame, table: _Table, classes: _Classes) -> None:
    absent = set(range(len(classes.names))) - set(train["label"].unique())
    if absent:
        written = next(name for name, index in classes.ids.items() if index == min(absent))
        raise UserError(f"{table.source}: no row has the label {written!r}, which is among {classes.origin}")


def _check_f1(card: TaskCard, classes: _Classes, path: Path) -> None:
    if "f1" in card.metrics and len(classes.names) != 2:
        raise UserError(f"{path}: metrics: f1 is for two classes, the task has {len(classes.names)}; use macro_f1")


def _some(names: Iterable[str], limit: int = 12) -> str:
    names = list(names)
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
