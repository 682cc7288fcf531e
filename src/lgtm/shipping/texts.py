"""Texts to be predicted: from arguments, lines or a table, as tables of text, [text_pair] and what came with them."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from lgtm.data.columns import Table, as_strings, require_column
from lgtm.data.files import FORMATS, PIECE, counted, read_pieces
from lgtm.errors import UserError

LINES = ".txt"


class Columns(NamedTuple):
    """Which columns of a file have the texts, and who says so; text_pair: None for single texts."""

    text: str
    text_pair: str | None
    said_by: str

    def by_name(self) -> dict[str, str]:
        """Our name of each column, with its name in the file."""
        return {ours: name for ours in ("text", "text_pair") if (name := getattr(self, ours))}


class Piece(NamedTuple):
    """Some rows: their texts, and the table that they came in; `first` rows are before them."""

    texts: pd.DataFrame
    table: pd.DataFrame
    first: int


def of_arguments(texts: list[str], pairs: bool) -> Piece:
    """Texts of the command line; pairs: two and two belong together."""
    if pairs and len(texts) % 2:
        raise UserError(f"{len(texts)} texts, which makes no pairs; give two for each")
    frame = pd.DataFrame({"text": texts[::2], "text_pair": texts[1::2]} if pairs else {"text": texts}, dtype=object)
    table = Table("", "text", "the command line", frame)
    frame = pd.DataFrame({name: as_strings(table, name) for name in frame})
    return Piece(frame, frame, 0)


def of_lines(lines: Iterable[bytes], source: str, pairs: bool) -> Iterator[Piece]:
    """A text a line; pairs: two of them, with a tab between. Raises UserError for a line that is not UTF-8."""
    numbered, first = enumerate(lines, start=1), 0
    while rows := [_fields(line, number, source, pairs) for number, line in islice(numbered, PIECE)]:
        frame = pd.DataFrame(rows, columns=["text", "text_pair"][: len(rows[0])], dtype=object)
        yield Piece(frame, frame, first)
        first += len(frame)


def _fields(line: bytes, number: int, source: str, pairs: bool) -> list[str]:
    try:
        text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{source}: line {number}: not UTF-8 text (byte {error.start})") from error
    fields = text.split("\t") if pairs else [text]
    if pairs and len(fields) != 2:
        raise UserError(f"{source}: line {number}: {len(fields)} texts; expected two with a tab between")
    return fields


def of_file(path: Path, columns: Columns, separator: str | None, quoted: bool, card: Path) -> Iterator[Piece]:
    """The rows of a data file, in pieces; card: the file to name in remedies. Raises UserError as read_file does."""
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if path.suffix.lower() == LINES:
        with path.open("rb") as file:
            yield from of_lines(file, str(path), pairs=columns.text_pair is not None)
        return
    if path.suffix.lower() not in FORMATS:
        raise UserError(f"{path}: not a file of a known kind ({', '.join([*FORMATS, LINES])})")
    for first, frame in counted(read_pieces(path, separator, quoted, card)):
        frame.columns = [str(name) for name in frame.columns]
        for name in columns.by_name().values():
            require_column(frame, name, path, columns.said_by)
        table = Table("", path.stem, str(path), frame, first)
        texts = {ours: as_strings(table, name) for ours, name in columns.by_name().items()}
        yield Piece(pd.DataFrame(texts), frame.reset_index(drop=True), first)
