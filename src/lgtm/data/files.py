"""Data files as tables: csv, tsv, JSON lines and parquet, with one line for what is wrong in them."""

import csv
import io
import json
import re
import sys
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from lgtm.errors import UserError, one_line
from lgtm.inputs import watch

SEPARATORS = {".csv": ",", ".tsv": "\t"}
FORMATS = (*SEPARATORS, ".jsonl", ".parquet")
PIECE = 2**13  # rows that are in memory at once where a file is streamed
LFS_POINTER = b"version https://git-lfs"


def read_file(path: Path, separator: str | None, quoted: bool, card: Path) -> pd.DataFrame:
    """A data file as a table of its own columns; csv and tsv give strings.

    separator: of a csv file, None for a comma; a first line `sep=;`, as spreadsheets write it, overrules it. quoted:
    whether csv and tsv have double quotes around texts; else a quote is a letter. card: the file to name in remedies.
    Raises UserError with the file, the line where there is one, and what would be right.
    """
    (frame,) = read_pieces(path, separator, quoted, card, size=sys.maxsize)
    return frame


def read_pieces(
    path: Path, separator: str | None, quoted: bool, card: Path, size: int = PIECE
) -> Iterator[pd.DataFrame]:
    """As read_file, but `size` rows at a time, so that memory does not grow with the file."""
    _require_data(path, card)
    watch(path)
    match path.suffix.lower():
        case ".jsonl":
            pieces = _jsonl_pieces(path, size)
        case ".parquet":
            pieces = _parquet_pieces(path, size)
        case suffix:
            own = separator if suffix == ".csv" else None
            pieces = _csv_pieces(path, own or SEPARATORS[suffix], quoted, card, size)
    for number, frame in enumerate(pieces):
        if frame.empty and number == 0:
            raise UserError(f"{path}: the file has no rows, only the names of {len(frame.columns)} columns")
        yield frame


def counted(pieces: Iterable[pd.DataFrame]) -> Iterator[tuple[int, pd.DataFrame]]:
    """Every piece after the number of rows that are before it."""
    before = 0
    for piece in pieces:
        yield before, piece
        before += len(piece)


def _require_data(path: Path, card: Path) -> None:
    """Raise UserError for a file that is not there, is empty, or stands for one that was not fetched."""
    if not path.is_file():
        there = sorted(file.name for file in path.parent.glob("*") if file.suffix.lower() in FORMATS)
        raise UserError(f"{path}: no such file, but {card} names it; data files there: {', '.join(there) or 'none'}")
    if not path.stat().st_size:
        raise UserError(f"{path}: the file is empty")
    with path.open("rb") as file:
        if file.read(len(LFS_POINTER)) == LFS_POINTER:
            raise UserError(f"{path}: a pointer of Git LFS in place of the data; fetch it with git lfs pull")


def _csv_pieces(path: Path, separator: str, quoted: bool, card: Path, size: int) -> Iterator[pd.DataFrame]:
    # The csv module, because pandas turns texts such as "NA" into gaps, fills short rows, and takes the first column
    # for an index when rows are longer than the header.
    csv.field_size_limit(2**31 - 1)
    lines = _lines_of(path, newline="")
    first = next(lines, "")
    if declared := re.match(r"sep=(.)\r?\n", first, re.IGNORECASE):
        separator, first = declared[1], "\n"
    records = _records(chain([first], lines), separator, quoted, path, card)
    header = [name.strip() for name in next(records, ("", []))[1]]
    _check_separator(header, separator, path, card)
    rows = (_checked(where, fields, len(header), separator, quoted, path, card) for where, fields in records)
    yield pd.DataFrame(list(islice(rows, size)), columns=header, dtype=object)
    while piece := list(islice(rows, size)):
        yield pd.DataFrame(piece, columns=header, dtype=object)


def _checked(
    where: str, fields: list[str], width: int, separator: str, quoted: bool, path: Path, card: Path
) -> list[str]:
    """The fields of a record. Raises UserError where they are not as many as the header's."""
    if len(fields) == width:
        return fields
    remedy = f"put a text that contains {separator!r} in double quotes"
    if not quoted:
        remedy = f"without quoting, no text may contain {separator!r}"
    elif where.startswith("lines"):
        remedy = _mind_the_quotes(card)
    raise UserError(f"{path}: {where}: {len(fields)} fields, but the header has {width}; {remedy}")


def _records(
    lines: Iterable[str], separator: str, quoted: bool, path: Path, card: Path
) -> Iterator[tuple[str, list[str]]]:
    """Every record that is not blank, after the lines it stands on."""
    quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    reader = csv.reader(lines, delimiter=separator, quoting=quoting, strict=True)
    while True:
        first = reader.line_num + 1
        try:
            fields = next(reader, None)
        except csv.Error as error:
            where, what = _lines(first, reader.line_num), str(error)
            if "unexpected end" in what:
                opening = _opening_line(_text(path), first, separator)
                where, what = f"line {opening}", "a double quote opens that never closes"
            raise UserError(f"{path}: {where}: {what}; {_mind_the_quotes(card)}") from error
        if fields is None:
            return
        if fields:
            yield _lines(first, reader.line_num), fields


def _opening_line(text: str, first: int, separator: str) -> int:
    """The line on which the quote opens that is never closed, in a record that begins on line `first`."""
    lines = list(io.StringIO(text, newline=""))[first - 1 :]
    *closed, _ = next(csv.reader(lines, delimiter=separator))
    return first + sum(len(re.findall(r"\r\n?|\n", field)) for field in closed)


def _mind_the_quotes(card: Path) -> str:
    return f'inside a quoted text, write ""; if quotes are a part of the texts, set quoting: none in {card}'


def _lines(first: int, last: int) -> str:
    return f"line {first}" if first == last else f"lines {first} to {last}"


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


def _jsonl_pieces(path: Path, size: int) -> Iterator[pd.DataFrame]:
    records = _json_records(path)
    piece = list(islice(records, size))
    if not piece:
        raise UserError(f"{path}: the file is empty")
    while piece:
        names = dict.fromkeys(name for record in piece for name in record)
        # As objects, because pandas would turn integers with a gap among them into floats.
        yield pd.DataFrame({name: pd.Series([record.get(name) for record in piece], dtype=object) for name in names})
        piece = list(islice(records, size))


def _json_records(path: Path) -> Iterator[dict]:
    # Lines end in "\n" alone: other separators may stand inside a text.
    for number, line in enumerate(_lines_of(path, newline="\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{path}: line {number}: not valid JSON: {error.msg} at column {error.colno}") from error
        except RecursionError as error:
            raise UserError(f"{path}: line {number}: JSON within JSON too often to be read") from error
        if not isinstance(record, dict):
            raise UserError(f'{path}: line {number}: expected one object a line, such as {{"text": ..., "label": ...}}')
        yield record


def _parquet_pieces(path: Path, size: int) -> Iterator[pd.DataFrame]:
    to_pandas = {"integer_object_nulls": True, "ignore_metadata": True}
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            if file.metadata.num_rows <= size:
                yield file.read().to_pandas(**to_pandas)
                return
            for batch in file.iter_batches(size):
                yield batch.to_pandas(**to_pandas)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: not a parquet file: {one_line(error)}") from error


def _lines_of(path: Path, newline: str) -> Iterator[str]:
    """The lines of a UTF-8 file, their ends as they are; newline: as of open()."""
    try:
        with path.open(encoding="utf-8-sig", newline=newline) as file:
            yield from file
    except UnicodeDecodeError:
        _text(path)  # which says where


def _text(path: Path) -> str:
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UserError(f"{path}: line {line}: not UTF-8 text (byte {error.start}); save the file as UTF-8") from error
