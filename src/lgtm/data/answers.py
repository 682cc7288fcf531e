"""A teacher as a file of its answers: of any black box that was asked about the task's rows, a language model too."""

import unicodedata
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import BeforeValidator, Field, model_validator

from lgtm.config import Strict
from lgtm.data.cells import Piece, Rows, read_pieces
from lgtm.data.distributions import as_logits, label_logits
from lgtm.data.duplicates import normalise, text_hashes
from lgtm.data.tasks import ClassName as Name
from lgtm.data.tasks import Separator, beside, check_place
from lgtm.errors import UserError

EXCERPT = 40  # letters of a text that a message shows


class Answers(Strict):
    """What a teacher answered, in one file or several beside the task's card: csv, tsv, jsonl or parquet.

    A row is found by the column `id`, its name here (its split, or part of the test, and its place there from 0, such
    as train-17 or transfer-3), or by the column `text`, with `text_pair` in tasks of pairs: the same but for case,
    white space and Unicode's ways of writing an accent. Rows that the task does not have are ignored.

    kind: `probabilities`, `log_probabilities` (natural) or `logits`, of which each class has a column of its name, or
    that `columns` (class: column) gives it; or one column, `scores`, has in jsonl and parquet a mapping of class to
    value, or a list in the order of the task's classes. `top: true` lets classes be missing or null: what the others
    leave of the probability 1 is spread evenly over them, and left out where none is missing.
    kind `label`: the column `label` names the class. Of its probability, the part `smoothing` is spread evenly over all
    classes; with 0.0 it is learnt as a label is.
    labels: the file's name of a class: the task's, where they differ. separator, quoting: as in a task's card.
    """

    file: Annotated[
        list[str], BeforeValidator(lambda value: [value] if isinstance(value, str) else value), Field(min_length=1)
    ]
    separator: Separator | None = None
    quoting: Literal["none"] | None = None
    id: Name | None = None
    text: Name | None = None
    text_pair: Name | None = None
    kind: Literal["probabilities", "log_probabilities", "logits", "label"]
    columns: Annotated[dict[Name, Name], Field(min_length=1)] | None = None
    scores: Name | None = None
    top: bool = False
    label: Name | None = None
    smoothing: Annotated[float, Field(ge=0.0, le=0.5)] | None = None
    labels: Annotated[dict[Name, Name], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _files(self) -> "Answers":
        for place in self.file:
            check_place("file", place)
            if self.file.count(place) > 1:
                raise ValueError(f"file: {place!r} is named twice")
            if self.scores and PurePosixPath(place).suffix.lower() not in (".jsonl", ".parquet"):
                raise ValueError(f"scores is for jsonl and parquet; in {place!r}, give each class a column")
        return self

    @model_validator(mode="after")
    def _one_way_to_find_a_row(self) -> "Answers":
        if (self.id is None) == (self.text is None):
            raise ValueError("give either id or text, the column by which a row is found")
        if self.text_pair and self.text is None:
            raise ValueError("text_pair goes with text, not with id")
        return self

    @model_validator(mode="after")
    def _keys_of_the_kind(self) -> "Answers":
        own = {"label": ["label", "smoothing"], "logits": ["columns", "scores"]}
        allowed = own.get(self.kind, ["columns", "scores", "top"])
        for key in ("columns", "scores", "top", "label", "smoothing"):
            given = getattr(self, key)
            if given is not None and given is not False and key not in allowed:
                raise ValueError(f"kind is {self.kind}, so {key} may not be given; {', '.join(allowed)} may")
        for key in own["label"]:
            if self.kind == "label" and getattr(self, key) is None:
                raise ValueError(f"kind is label, so {key} has to be given")
        if self.columns and (self.scores or self.labels):
            raise ValueError("columns says where every class is; leave out scores and labels")
        one_to_one = self.columns or (self.labels if self.kind != "label" else None) or {}
        if len(set(one_to_one.values())) < len(one_to_one):
            raise ValueError(
                f"{'columns' if self.columns else 'labels'}: a class has one column, and a column one class"
            )
        return self

    def texts(self) -> dict[str, str]:
        """Our name of every column of texts by which a row is found, with its name in the file."""
        return {ours: theirs for ours in ("text", "text_pair") if (theirs := getattr(self, ours))}


@dataclass(frozen=True)
class AnswerTable:
    """A teacher's answers in memory, by 64-bit hashes of what they are found by: 16 + 4 C bytes an answer.

    keys (sorted) and order: the hashes, and the place of each one's answer in logits (M × C float32). found_by: our
    columns. sources: the files, and example: what a row is found by in them, both for messages.
    """

    keys: np.ndarray
    order: np.ndarray
    logits: np.ndarray
    found_by: list[str]
    sources: str
    example: str
    answered: dict[str, bool] = field(default_factory=dict)

    def logits_for(self, frame: pd.DataFrame, role: str, required: bool) -> np.ndarray | None:
        """The logits of a role's rows (N × C float32); None where none is answered and none has to be.

        frame: sample_id, text, [text_pair]; the whole role, or pieces of it one after the other. Raises UserError where
        rows that are required have no answer, and where some rows of a role have one and others not.
        """
        keys = _keys({column: frame[column] for column in self.found_by})
        hashes = text_hashes(keys)
        places = np.searchsorted(self.keys, hashes).clip(max=len(self.keys) - 1)
        found = self.keys[places] == hashes
        answered = self.answered.setdefault(role, required or bool(found.any()))
        if not answered and not found.any():
            return None
        if not answered or not found.all():
            remedy = f"answer every row of {role}" + ("" if required else ", or none")
            raise UserError(f"{self.sources}: {self._without(frame, keys, found, role)}; {remedy}")
        return self.logits[self.order[places]]

    def _without(self, frame: pd.DataFrame, keys: list[str], found: np.ndarray, role: str) -> str:
        """What to say of rows that should have been found all, or none."""
        if found.all():
            return f"{frame['sample_id'].iloc[0]} has an answer, but rows of {role} before it have none"
        first = int(found.argmin())
        by = " and ".join("id" if column == "sample_id" else column for column in self.found_by)
        if not found.any():
            theirs, ours = (_excerpt(key) for key in (self.example, keys[first]))
            return f"none of {len(found)} rows of {role} is there by its {by}: the file has {theirs}, the task {ours}"
        name = frame["sample_id"].iloc[first]
        shown = "" if keys[first] == name else f" ({_excerpt(keys[first])})"
        return f"{(~found).sum()} of {len(found)} rows of {role} have no answer, the first is {name}{shown}"


def read_answers(
    answers: Answers, folder: Path, labels: list[str], paired: bool, card: Path, section: str
) -> AnswerTable:
    """Read what a teacher answered from the files in the task's `folder`.

    labels: the task's classes, in order. paired: whether its rows have two texts. card, section: the file that names
    the answers, and where in it, for messages. Raises UserError with file, row and column for what cannot be read,
    what is no answer, and a row that is answered twice; by its text it may be, if both answers are the same.
    """
    classes = _Classes(answers, labels, f"{card}: {section}")
    if answers.text and paired != bool(answers.text_pair):
        remedy = "name the column of second texts" if paired else "leave it out: the task has no second texts"
        raise UserError(f"{card}: {section}.text_pair: {remedy}")
    found_by = answers.texts() or {"sample_id": answers.id}
    pieces = (
        piece
        for place in answers.file
        for piece in read_pieces(beside(folder, place, card), answers.separator, answers.quoting is None, card, section)
    )
    hashes, logits, rows, example = [], [], [], ""
    for piece in pieces:
        keys = _keys({ours: piece.strings(name, "id" if answers.id else ours) for ours, name in found_by.items()})
        example = example or keys[0]
        rows.append((sum(map(len, hashes)), piece.rows))
        hashes.append(text_hashes(keys))
        logits.append(classes.logits(piece))
    unsorted, matrix = np.concatenate(hashes), np.concatenate(logits)
    order = np.argsort(unsorted, kind="stable")
    sources = ", ".join(str(folder / place) for place in answers.file)
    table = AnswerTable(unsorted[order], order, matrix, list(found_by), sources, example)
    _require_once(table, rows, bool(answers.text))
    return table


class _Classes:
    """What the file calls the task's classes, and how its cells become logits."""

    def __init__(self, answers: Answers, labels: list[str], where: str):
        """Raise UserError for a class that the task does not have, and for one of the task without a name here."""
        self.answers, self.labels, self.where = answers, labels, where
        given = answers.columns or answers.labels or {}
        for name in given if answers.columns else given.values():
            if name not in labels:
                key = "columns" if answers.columns else "labels"
                raise UserError(f"{where}.{key}: {name!r} is not a class of the task; it has {', '.join(labels)}")
        if answers.columns:
            self.ids = {column: labels.index(name) for name, column in answers.columns.items()}
        else:
            renamed = set(given.values())
            self.ids = {name: index for index, name in enumerate(labels) if name not in renamed}
            self.ids |= {theirs: labels.index(ours) for theirs, ours in given.items()}
        unnamed = [name for index, name in enumerate(labels) if index not in self.ids.values()]
        if unnamed and not (answers.top and answers.columns):
            key = "columns" if answers.columns else "labels"
            raise UserError(f"{where}.{key}: nothing is the class {unnamed[0]!r}; say what it is called in the file")

    def logits(self, piece: Piece) -> np.ndarray:
        """What the piece says, N × C float32."""
        if self.answers.kind == "label":
            return label_logits(self.answers.smoothing, len(self.labels))[self._label_ids(piece)]
        values = self._scores(piece) if self.answers.scores else self._columns(piece)
        return as_logits(values, self.answers.kind, self.answers.top, self.labels, piece.row)

    def _label_ids(self, piece: Piece) -> list[int]:
        names = piece.strings(self.answers.label, "label")
        return [self._id(name, piece, index, self.answers.label) for index, name in enumerate(names)]

    def _id(self, name: str, piece: Piece, index: int, column: str) -> int:
        known = self.ids.get(unicodedata.normalize("NFC", name))
        if known is None:
            raise UserError(
                f"{piece.row(index)}: {column}: {name!r} is not among the classes {', '.join(self.ids)}; "
                f"say which it is in {self.where}.labels"
            )
        return known

    def _columns(self, piece: Piece) -> np.ndarray:
        values = np.full((len(piece.frame), len(self.labels)), np.nan)
        may_lack = self.answers.top and not self.answers.columns  # a column that the card names has to be there
        present = [column for column in self.ids if piece.has(column)] if may_lack else []
        for column in present or self.ids:
            values[:, self.ids[column]] = piece.numbers(column, "columns")
        return values

    def _scores(self, piece: Piece) -> np.ndarray:
        """The values of a column of mappings or lists."""
        column, size = self.answers.scores, len(self.labels)
        values = np.full((len(piece.frame), size), np.nan)
        for index, scores in enumerate(piece.column(column, "scores").tolist()):
            if isinstance(scores, dict):
                ids = [self._id(name, piece, index, column) for name in scores]
                scores = list(scores.values())
            elif isinstance(scores, (list, np.ndarray)) and len(scores) == size:
                ids = range(size)
            else:
                found = f"has {len(scores)} values" if isinstance(scores, (list, np.ndarray)) else f"is {scores!r}"
                right = f"expected a mapping of classes, or a list of {size} values"
                raise UserError(f"{piece.row(index)}: {column} {found}; {right}")
            for place, score in zip(ids, scores, strict=True):
                values[index, place] = piece.number(score, index, f"{column}: {self.labels[place]}")
        return values


def _keys(columns: dict[str, Iterable[str]]) -> list[str]:
    """What every row is found by: its id, or its normalised texts in their order."""
    if "sample_id" in columns:
        return list(columns["sample_id"])
    # The unit separator counts as white space, so it cannot occur in either text.
    return ["\x1f".join(map(normalise, texts)) for texts in zip(*columns.values(), strict=True)]


def _excerpt(key: str) -> str:
    text = key.replace("\x1f", " | ")
    return repr(text if len(text) <= EXCERPT else text[:EXCERPT] + "…")


def _require_once(table: AnswerTable, rows: list[tuple[int, Rows]], by_text: bool) -> None:
    """Raise UserError where a row is answered twice, for the first such; by its text, only if the answers differ.

    rows: how many answers are before those of every piece, and where the piece is.
    """
    again = np.flatnonzero(table.keys[1:] == table.keys[:-1]) + 1
    first, second = table.order[again - 1], table.order[again]
    differ = (table.logits[first] != table.logits[second]).any(axis=1)
    wrong = np.flatnonzero(differ | (not by_text))
    if not len(wrong):
        return
    chosen = wrong[second[wrong].argmin()]

    def name(index: int) -> str:
        before, own = rows[bisect_right(rows, index, key=itemgetter(0)) - 1]
        return own.row(index - before)

    how = ", and otherwise" if differ[chosen] else ""
    remedy = "keep one of them" + (", or let rows be found by id" if by_text else "")
    raise UserError(f"{name(second[chosen])}: answered before{how}, in {name(first[chosen])}; {remedy}")
