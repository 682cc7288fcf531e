"""Cells of a file of answers: rows, texts and numbers, with one line for what is wrong in them."""

import unicodedata
from collections.abc import Iterator
from numbers import Number
from pathlib import Path
from types import NoneType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from lgtm.data import files
from lgtm.data.columns import require_column
from lgtm.errors import UserError


class Rows(NamedTuple):
    """Where rows of a file are: how many of its rows are before them."""

    source: Path
    before: int

    def row(self, index: int) -> str:
        """What messages call a row, by its place among these."""
        return f"{self.source}: row {self.before + index + 1}"


class Piece(NamedTuple):
    """Some rows of a file with their cells. card: what messages call the part of the card that names the columns."""

    rows: Rows
    frame: pd.DataFrame
    card: str

    def row(self, index: int) -> str:
        """What messages call a row."""
        return self.rows.row(index)

    def has(self, column: str) -> bool:
        """Whether it has a column."""
        return column in self.frame.columns

    def column(self, name: str, key: str) -> pd.Series:
        """A column; key: what names it in the card."""
        require_column(self.frame, name, self.rows.source, f"{self.card}.{key}")
        return self.frame[name]

    def strings(self, name: str, key: str) -> list[str]:
        """A column as strings without white space around them, none of them empty."""
        strings = []
        for index, value in enumerate(self.column(name, key).tolist()):
            if not isinstance(value, (str, Number, NoneType)):
                raise UserError(f"{self.row(index)}: {name} is a {type(value).__name__}; expected a text or a number")
            strings.append("" if _is_missing(value) else str(value).strip())
            if not strings[-1]:
                raise UserError(f"{self.row(index)}: {name} is empty; fill it in, or leave the row out")
        return strings

    def numbers(self, name: str, key: str) -> np.ndarray:
        """A column as float64, NaN for what is missing."""
        column = self.column(name, key)
        if column.dtype.kind in "fiu":
            return column.to_numpy(np.float64)
        return np.array([self.number(value, index, name) for index, value in enumerate(column.tolist())], np.float64)

    def number(self, value: Any, index: int, what: str) -> float:
        """A cell as a number, NaN for a missing one."""
        if _is_missing(value):
            return np.nan
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise UserError(f"{self.row(index)}: {what} is {value!r}; expected a number") from error


def read_pieces(path: Path, separator: str | None, quoted: bool, card: Path, section: str) -> Iterator[Piece]:
    """The rows of a file in pieces. Raises UserError as read_file does."""
    for before, frame in files.counted(files.read_pieces(path, separator, quoted, card)):
        frame.columns = [unicodedata.normalize("NFC", str(name)) for name in frame.columns]
        yield Piece(Rows(path, before), frame, f"in {card}: {section}")


def _is_missing(value: Any) -> bool:
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, float) and np.isnan(value))
