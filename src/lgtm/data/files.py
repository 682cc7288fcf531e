"""Data files as tables: csv, tsv, JSON lines and parquet, with one line for what is wrong in them."""

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from lgtm.errors import UserError, one_line
from lgtm.inputs import watch

SEPARATORS = {".csv": ",", ".tsv": "\t"}
FORMATS = (*SEPARATORS, ".jsonl", ".parquet")
LFS_POINTER = b"version https://git-lfs"


def read_file(path: Path, separator: str | None, quoted: bool, card: Path) -> pd.DataFrame:
    """A data file as a table of its own columns; csv and tsv give strings.

    separator: of a csv file, None for a comma; a first line `sep=;`, as spreadsheets write it, overrules it. quoted:
    whether csv and tsv have double quotes around texts; else a quote is a letter. card: the file to name in remedies.
    Raises UserError with the file, the line where there is one, and what would be right.
    """
    if not path.is_file():
        there = sorted(file.name for file in path.parent.glob("*") if file.suffix.lower() in FORMATS)
        raise UserError(f"{path}: no such file, but {card} names it; data files there: {', '.join(there) or 'none'}")
    watch(path)
    if not path.stat().st_size:
        raise UserError(f"{path}: the file is empty")
    with path.open("rb") as file:
        if file.read(len(LFS_POINTER)) == LFS_POINTER:
            raise UserError(f"{path}: a pointer of Git LFS in place of the data; fetch it with git lfs pull")
    match path.suffix.lower():
        case ".jsonl":
            frame = _read_jsonl(path)
        case ".parquet":
            frame = _read_parquet(path)
        case suffix:
            own = separator if suffix == ".csv" else None
            frame = _read_csv(path, own or SEPARATORS[suffix], quoted, card)
    if frame.empty:
        raise UserError(f"{path}: the file has no rows, only the names of {len(frame.columns)} columns")
    return frame


def _read_csv(path: Path, separator: str, quoted: bool, card: Path) -> pd.DataFrame:
    # The csv module, because pandas turns texts such as "NA" into gaps, fills short rows, and takes the first column
    # for an index when rows are longer than the header.
    csv.field_size_limit(2**31 - 1)
    text = _text(path)
    if declared := re.match(r"sep=(.)\r?\n", text, re.IGNORECASE):
        separator, text = declared[1], "\n" + text[declared.end() :]
    records = _records(text, separator, quoted, path, card)
    header = [name.strip() for name in next(records, ("", []))[1]]
    _check_separator(header, separator, path, card)
    rows = []
    for lines, fields in records:
        if len(fields) != len(header):
            remedy = f"put a text that contains {separator!r} in double quotes"
            if not quoted:
                remedy = f"without quoting, no text may contain {separator!r}"
            elif lines.startswith("lines"):
                remedy = _mind_the_quotes(card)
            raise UserError(f"{path}: {lines}: {len(fields)} fields, but the header has {len(header)}; {remedy}")
        rows.append(fields)
    return pd.DataFrame(rows, columns=header, dtype=object)


def _records(text: str, separator: str, quoted: bool, path: Path, card: Path) -> Iterator[tuple[str, list[str]]]:
    """Every record that is not blank, after the lines it stands on."""
    quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, quoting=quoting, strict=True)
    while True:
        first = reader.line_num + 1
        try:
            fields = next(reader, None)
        except csv.Error as error:
            where, what = _lines(first, reader.line_num), str(error)
            if "unexpected end" in what:
                where, what = f"line {_opening_line(text, first, separator)}", "a double quote opens that never closes"
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
        raise UserError(f"{path}: not a parquet file: {one_line(error)}") from error
    return table.to_pandas(integer_object_nulls=True, ignore_metadata=True)


def _text(path: Path) -> str:
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UserError(f"{path}: line {line}: not UTF-8 text (byte {error.start}); save the file as UTF-8") from error
