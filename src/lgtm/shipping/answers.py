"""What a student said, row by row, as CSV or JSON lines."""

import csv
import json
import math
from collections.abc import Iterable, Iterator
from typing import Any, Protocol, TextIO

import numpy as np
import pandas as pd

from lgtm.errors import UserError, visible
from lgtm.shipping.texts import Piece

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a cell that begins so is run by a spreadsheet
PREDICTED, PROBABILITY = "predicted", "probability"


class Probabilities(Protocol):
    """What says the probabilities of classes, of which it has the names."""

    labels: list[str]

    def probabilities(self, frame: pd.DataFrame, batch_size: int) -> np.ndarray:
        """N × C."""


def answered(piece: Piece, student: Probabilities, batch_size: int) -> pd.DataFrame:
    """The piece's table with the predicted class and the probability of each; both missing for a row without a text.

    Raises UserError where the table has such a column already.
    """
    names = [PREDICTED, *(f"{PROBABILITY}_{label}" for label in student.labels)]
    if clash := [name for name in names if name in piece.table.columns]:
        raise UserError(f"the input has a column {clash[0]!r}, which is to be written; rename it")
    there = ~blank(piece)
    predicted = np.full(len(there), None, dtype=object)
    values = np.full((len(there), len(student.labels)), np.nan)
    if there.any():
        values[there] = student.probabilities(piece.texts[there].reset_index(drop=True), batch_size)
        predicted[there] = [student.labels[index] for index in values[there].argmax(-1)]
    said = pd.DataFrame({PREDICTED: predicted} | dict(zip(names[1:], values.T, strict=True)))
    return pd.concat([piece.table, said], axis=1)


def blank(piece: Piece) -> np.ndarray:
    """Which rows lack a text: nothing, or white space alone. `prepare` leaves such rows out."""
    return np.any([piece.texts[name].str.strip() == "" for name in piece.texts], axis=0)


class CsvWriter:
    """Writes tables as one CSV file.

    A text that a spreadsheet would run as a formula gets an apostrophe in front, as spreadsheets themselves write one:
    who needs the exact texts takes JSON lines.
    """

    def __init__(self, file: TextIO, terminal: bool):
        self.writer, self.show = csv.writer(file, lineterminator="\n"), visible if terminal else str
        self.quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        self.columns: list[str] = []

    def write(self, table: pd.DataFrame) -> None:
        """Append rows; the first call writes the header. Raises UserError for a column that it has not."""
        if not self.columns:
            self.columns = list(table.columns)
            self._row(map(self._text, self.columns))
        if more := [name for name in table.columns if name not in self.columns]:
            raise UserError(f"the input has {more[0]!r} in later rows alone, for which a CSV has no column; take jsonl")
        table = table.reindex(columns=self.columns)  # JSON lines may lack a key, or have another order
        for row in table.itertuples(index=False, name=None):
            self._row(map(self._cell, self.columns, row))

    def _row(self, cells: Iterable[str]) -> None:
        cells = list(cells)
        # With line feeds between rows Python leaves a carriage return bare, which readers take for the end of a row.
        (self.quoted if any("\r" in cell for cell in cells) else self.writer).writerow(cells)

    def _cell(self, column: str, value: Any) -> str:
        if is_missing(value):
            return ""
        if isinstance(value, float) and column.startswith(f"{PROBABILITY}_"):
            return f"{value:.6g}"
        return self._text(str(value))

    def _text(self, text: str) -> str:
        text = self.show(text)
        return f"'{text}" if text.startswith(FORMULA) and not _is_number(text) else text


class JsonWriter:
    """Writes tables as JSON lines, one object a row, texts as they came."""

    def __init__(self, file: TextIO, terminal: bool):
        self.file, self.ascii = file, terminal  # an escape in a text is written out for a terminal

    def write(self, table: pd.DataFrame) -> None:
        """Append rows."""
        for row in _records(table):
            self.file.write(json.dumps(row, ensure_ascii=self.ascii, default=str) + "\n")


def _records(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for row in table.itertuples(index=False, name=None):
        yield {name: None if is_missing(value) else value for name, value in zip(table.columns, row, strict=True)}


def is_missing(value: Any) -> bool:
    """Whether a cell has nothing."""
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text == text.strip()


WRITERS = {"csv": CsvWriter, "jsonl": JsonWriter}
