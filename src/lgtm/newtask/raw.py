"""A user's file as this project can read it: in UTF-8, its separator and quotes found out."""

import codecs
import csv
import io
import re
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import pandas as pd

from lgtm.data.files import FORMATS, read_pieces
from lgtm.errors import UserError

TEXT_FORMATS = (".csv", ".tsv", ".jsonl")
MARKS = (",", ";", "\t", "|")  # what may separate columns, the likeliest first
TRIED = 2000  # lines by which a separator is judged
BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
WESTERN = ("cp1252", "latin-1")  # the second takes any byte
AROUND = 15  # letters around the first one that is not ASCII


@dataclass
class Raw:
    """A file, and how it is read. content: in UTF-8, None where the file can be copied as it is.

    separator: of a csv, None for a comma; quoted: whether quotes surround texts. encoding: what it was converted from.
    """

    path: Path
    content: bytes | None = None
    separator: str | None = None
    quoted: bool = True
    encoding: str = "UTF-8"
    example: str = ""
    notes: list[str] = field(default_factory=list)

    def write(self, target: Path) -> None:
        """Put it where a task keeps it."""
        target.write_bytes(self.path.read_bytes() if self.content is None else self.content)

    def table(self, folder: Path, rows: int) -> pd.DataFrame:
        """The first rows, read as the project reads them, from a copy in the folder. Raises UserError."""
        copy = folder / f"copy{self.path.suffix.lower()}"
        self.write(copy)
        try:
            return next(read_pieces(copy, self.separator, self.quoted, Path("task.yaml"), rows))
        except UserError as error:
            lines = [line.replace(str(copy), str(self.path)) for line in error.lines]
            raise UserError(lines[0], lines) from error


def look(path: Path, separator: str | None, encoding: str | None) -> Raw:
    """Find out how a file is to be read; separator, encoding: as the user says, None: to be found out.

    Raises UserError for a file that is not there, is of another kind, or that nothing separates.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if path.suffix.lower() not in FORMATS:
        raise UserError(f"{path}: not a file of a known kind ({', '.join(FORMATS)}); save it as one of them")
    if not path.stat().st_size:
        raise UserError(f"{path}: the file is empty")
    raw = Raw(path)
    if path.suffix.lower() not in TEXT_FORMATS:
        if separator:
            raise UserError(f"--separator: is for .csv files, and {path} is none")
        return raw
    text = _decode(raw, encoding)
    if path.suffix.lower() != ".csv" and separator:
        raise UserError(f"--separator: is for .csv files, and {path} is none")
    if path.suffix.lower() in (".csv", ".tsv"):
        _separate(raw, text, separator)
    return raw


def _decode(raw: Raw, encoding: str | None) -> str:
    content = raw.path.read_bytes()
    by_mark = next((name for mark, name in BOMS.items() if content.startswith(mark)), None)
    for name in [encoding] if encoding else [by_mark or "utf-8", *WESTERN]:
        try:
            text = content.decode(name)
        except (UnicodeDecodeError, LookupError) as error:
            if encoding:
                raise UserError(f"--encoding {encoding}: {raw.path} cannot be read so: {error}") from error
            continue
        if "\0" in text:
            raise UserError(f"{raw.path}: has zero bytes, as UTF-16 has or what is no text; give its --encoding")
        if name not in ("utf-8", "utf-8-sig"):
            raw.content, raw.encoding = text.encode(), name
            found = re.search(r"[^\x00-\x7f]", text)
            start = max(0, found.start() - AROUND) if found else 0
            raw.example = " ".join(text[start : start + 2 * AROUND].split()) if found else ""
        return text
    raise AssertionError("latin-1 takes any byte")


def _separate(raw: Raw, text: str, separator: str | None) -> None:
    """Choose the separator, and whether there are quotes, with which the fewest records have another width."""
    if declared := re.match(r"(?:\ufeff)?sep=(.)\r?\n", text, re.IGNORECASE):
        if separator not in (None, declared[1]):
            raise UserError(f"--separator {separator!r}: the first line of {raw.path} says {declared[1]!r}")
        text, separator = text[declared.end() :], declared[1]
    if raw.path.suffix.lower() == ".tsv":
        separator = "\t"
    text = text.removeprefix("\ufeff")
    first = "".join(islice(io.StringIO(text, newline=""), TRIED))
    tried = [
        (wrong, -width, not quoted, place, mark)
        for place, mark in enumerate([separator] if separator else MARKS)
        for quoted in (True, False)
        for width, wrong in [_fits(first, mark, quoted, len(first) < len(text))]
        if width > 1 or separator
    ]
    if not tried:
        tried = [(0, -1, False, 0, ",")]  # one column
    _, _, bare, _, mark = min(tried)
    raw.quoted = not bare
    if raw.path.suffix.lower() == ".csv":
        raw.separator = None if mark == "," or declared else mark


def _fits(text: str, mark: str, quoted: bool, cut: bool) -> tuple[int, float]:
    """How many columns the header has, and the share of records that have another number.

    cut: whether the text may end in the middle of a record. Without quotes it has to fit all records: where neither
    does, the reader's line about quotes says more.
    """
    quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    csv.field_size_limit(2**31 - 1)
    records, wrong, width = -1, 0, 0
    try:
        for fields in csv.reader(io.StringIO(text, newline=""), delimiter=mark, quoting=quoting, strict=True):
            if fields:
                records += 1
                width = width or len(fields)
                wrong += len(fields) != width
    except csv.Error as error:
        if not (cut and records > 0 and "unexpected end" in str(error)):
            return width, 1.0
    share = wrong / max(records, 1)
    return width, share if quoted or not share else 1 + share
