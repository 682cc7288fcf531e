"""Files of texts without labels, put beside a task's card."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from lgtm.data.columns import Table, as_strings
from lgtm.data.files import PIECE, read_pieces
from lgtm.data.tasks import CARD
from lgtm.errors import UserError
from lgtm.newtask.columns import Columns, text_like
from lgtm.newtask.raw import Raw, look


def put_transfer(path: Path, folder: Path, raw: Raw, columns: Columns, seen: list[str]) -> str:
    """Put texts without labels beside the card: the file itself where the card's words fit it, else its texts anew.

    raw, columns: of the labelled rows; seen: gets a line of what was done. Returns the name of the file there. Raises
    UserError where a column is not to be found.
    """
    own = look(path, None, None)
    wanted = columns.texts | ({"group": columns.group} if columns.group else {})
    with TemporaryDirectory() as scratch:
        table = own.table(Path(scratch), PIECE)
        named = _named(table, str(path), wanted)
        if _fits(own, raw) and named == wanted:
            target, how = _free(folder / path.name), "as it is"
            own.write(target)
        else:
            target, copy = _free(folder / f"{path.stem}.jsonl"), Path(scratch) / f"all{path.suffix.lower()}"
            own.write(copy)
            rows = _rewrite(copy, own, named, wanted, target)
            how = f"{rows:,} rows of {', '.join(named.values())}, as json lines"
    unknown = f"; no column {columns.group!r}: their groups are not known" if len(named) < len(wanted) else ""
    converted = f", converted from {own.encoding}" if own.content is not None else ""
    seen.append(f"transfer: {path}: {how}{converted}{unknown}")
    return target.name


def _fits(own: Raw, raw: Raw) -> bool:
    """Whether what the card says of the labelled file's separator and quotes holds for this one."""
    return own.path.suffix.lower() in (".jsonl", ".parquet") or (own.separator, own.quoted) == (
        raw.separator,
        raw.quoted,
    )


def _named(table: pd.DataFrame, source: str, wanted: dict[str, str]) -> dict[str, str]:
    """Our name -> the file's, of the columns that it has of those that are wanted; only the group may be missing."""
    names = [str(name) for name in table.columns]
    named = {ours: theirs for ours, theirs in wanted.items() if theirs in names}
    like = names if len(names) == 1 else text_like(table, names)
    if "text" not in named and "text_pair" not in wanted and len(like) == 1:
        named = {"text": like[0]} | named
    if lacking := [theirs for ours, theirs in wanted.items() if ours != "group" and ours not in named]:
        raise UserError(
            f"{source}: no column {lacking[0]!r}, as the labelled rows have; found {', '.join(names)}; rename one"
        )
    return named


def _rewrite(copy: Path, own: Raw, named: dict[str, str], wanted: dict[str, str], target: Path) -> int:
    """Write the wanted columns as JSON lines, piece by piece, "" for a group that is not known; how many rows."""
    rows = 0
    with target.open("w", encoding="utf-8") as file:
        for frame in read_pieces(copy, own.separator, own.quoted, Path(CARD)):
            piece = Table("transfer", "transfer", str(own.path), frame.reset_index(drop=True), rows)
            values = [as_strings(piece, named[ours]) if ours in named else [""] * len(frame) for ours in wanted]
            for cells in zip(*values, strict=True):
                file.write(json.dumps(dict(zip(wanted.values(), cells, strict=True)), ensure_ascii=False) + "\n")
            rows += len(frame)
    return rows


def _free(path: Path) -> Path:
    """The path, or one with a number where it is taken."""
    tries = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in range(2, 1000))
    return path if not path.exists() else next(other for other in tries if not other.exists())
