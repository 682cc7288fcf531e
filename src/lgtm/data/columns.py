"""Columns of raw data: whether they are there, and their values as strings."""

import difflib
import re
from collections.abc import Iterable
from numbers import Number
from pathlib import Path
from types import NoneType
from typing import NamedTuple

import pandas as pd

from lgtm.errors import UserError


class Table(NamedTuple):
    """One file or hub split, or a piece of one. `source` is what messages call it.

    first: how many rows of its source are before it; before: how many of its part, in other sources, too.
    """

    split: str
    part: str
    source: str
    frame: pd.DataFrame
    first: int = 0
    before: int = 0

    @property
    def sample_ids(self) -> pd.Series:
        """The stable name of every row: its part, and its place there."""
        return self.part + "-" + pd.Series(range(len(self.frame))).add(self.first + self.before).astype("str")

    def row(self, index: int) -> str:
        """What messages call a row, by its place in the frame."""
        place = self.first + index
        return f"{self.source}: row {place + 1} ({self.part}-{self.before + place})"


def check_columns(table: Table, columns: dict[str, str], card: Path) -> None:
    """Raise UserError where a table lacks one of the columns (ours -> theirs), or has it twice."""
    for ours, theirs in columns.items():
        require_column(table.frame, theirs, table.source, f"columns.{ours} in {card}")


def require_column(frame: pd.DataFrame, name: str, source: Path | str, where: str) -> None:
    """Raise UserError where a table lacks a column, or has it twice; where: the place in the card that names it."""
    found = [str(other) for other in frame.columns]
    if found.count(name) > 1:
        raise UserError(f"{source}: {found.count(name)} columns are called {name!r}; rename one")
    if name not in found:
        lower = {other.lower(): other for other in found}
        close = difflib.get_close_matches(name.lower(), lower, n=1)
        hint = f"; did you mean {lower[close[0]]!r}?" if close else ""
        raise UserError(f"{source}: no column {name!r} ({where}); found {some(found)}{hint}")


def as_strings(table: Table, column: str) -> pd.Series:
    """A column as strings, "" for what is missing."""
    values = table.frame[column].astype(object).reset_index(drop=True)
    _check_scalars(values, table, column)
    strings = [str(value) for value in values.where(values.notna(), "")]
    try:
        return pd.Series(strings, dtype="str")
    except UnicodeEncodeError as error:
        index = next(index for index, text in enumerate(strings) if re.search("[\ud800-\udfff]", text))
        raise UserError(f"{table.row(index)}: {column} has half of a Unicode character; correct the text") from error


def _check_scalars(values: pd.Series, table: Table, column: str) -> None:
    odd = {kind for kind in set(map(type, values)) if not issubclass(kind, (str, Number, NoneType))}
    if odd:
        index = next(index for index, value in enumerate(values) if type(value) in odd)
        kind = type(values[index]).__name__
        raise UserError(f"{table.row(index)}: {column} is a {kind}; expected a text or a number")


def some(names: Iterable[str], limit: int = 12) -> str:
    """Names on one line, the first of them where they are many."""
    names = list(names)
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
