"""Where a sample was read: the file or hub split and the row in it, and what stands there now."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from lgtm.data.columns import Table, as_strings
from lgtm.data.files import counted, read_pieces
from lgtm.data.tasks import CARD, TaskCard, beside, load_card


@dataclass(frozen=True)
class Origin:
    """The place of a row, as messages name it.

    read: whether its file has such a row; unseen: whether that cannot be told, as there is no file; now: our columns
    as they stand there today; files: the local files that it may be in.
    """

    place: str
    read: bool = False
    unseen: bool = False
    now: dict[str, str] = field(default_factory=dict)
    files: tuple[Path, ...] = ()


def origin(sample_id: str, task: str) -> Origin:
    """Where a sample comes from, by its name: the split or part of the test, and the place there from 0."""
    folder = Path("tasks") / task
    card, (part, _, number) = load_card(folder), sample_id.rpartition("-")
    if card.source == "generated":
        return Origin(f"row {int(number) + 1} of the generated {part}, by {folder / CARD}", unseen=True)
    splits = card.files if card.source == "local" else card.hub.splits
    places = [place for _, name, place in splits.places() if name == part]
    places = places or (splits.transfer or [] if part == "transfer" else [])
    if not places:
        names = [name for _, name, _ in splits.places()] + (["transfer"] if splits.transfer else [])
        return Origin(f"{folder / CARD} has no split {part!r}; there are {', '.join(names)}")
    if card.source == "hub":
        of = f"{card.hub.path}{f', {card.hub.name}' if card.hub.name else ''}, commit {card.hub.revision[:12]}"
        row = f"row {int(number) + 1} of " if len(places) == 1 else f"row {int(number) + 1}, counted on over "
        return Origin(f"{row}{', '.join(places)} of the hub's {of}", unseen=True)
    files = tuple(beside(folder, place, folder / CARD) for place in places)
    return _in_files(files, int(number), part, card, folder)


def _in_files(files: tuple[Path, ...], number: int, part: str, card: TaskCard, folder: Path) -> Origin:
    """The row of so many local files that has this number, counted on from file to file."""
    rows = 0
    for path in files:
        first = rows
        for before, frame in counted(read_pieces(path, card.separator, card.quoting is None, folder / CARD)):
            rows = first + before + len(frame)
            if number < rows:
                index = number - first - before
                now = dict(_cells(frame.iloc[[index]], card, part))
                return Origin(f"row {number - first + 1} of {path}", read=True, now=now, files=files)
    return Origin(f"{', '.join(map(str, files))} has {rows:,} rows, {part}-0 to {part}-{rows - 1}", files=files)


def _cells(row: pd.DataFrame, card: TaskCard, part: str) -> Iterator[tuple[str, str]]:
    """Our columns of one row as strings, without what the file does not have."""
    table = Table(part, part, "", row.reset_index(drop=True))
    for ours, theirs in card.columns.used().items():
        if theirs in row.columns:
            yield ours, as_strings(table, theirs).iloc[0]
