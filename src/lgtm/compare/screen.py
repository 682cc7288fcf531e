"""Tables on a terminal or in a pipe, never wider than a screen."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from lgtm.errors import visible

WIDEST = 120
NAME, CELL = 30, 44  # letters of a first column and of another, after which it is folded
BESIDE = 3  # what a border and the space around a cell take


def console() -> Console:
    """What is printed to: no wider than the terminal is, nor than WIDEST."""
    own = Console()
    return Console(width=min(WIDEST, own.width) if own.is_terminal else WIDEST, highlight=False)


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], to: Console | None = None) -> None:
    """Print a table; in several, each with the first column, where its columns are too many for the width.

    Cells are text as it stands: no markup, no escapes.
    """
    to = to or console()
    for columns in blocks(header, rows, to.width):
        part = Table(*(_column(header[index], index) for index in columns))
        for row in rows:
            part.add_row(*(Text("\n".join(map(visible, row[index].split("\n")))) for index in columns))
        to.print(part)


def blocks(header: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[list[int]]:
    """The columns of each table that fits the width, by their places; the first one in all of them."""
    widths = [_width([name, *(row[index] for row in rows)], index) for index, name in enumerate(header)]
    found = [[0]]
    for index in range(1, len(header)):
        taken = 1 + sum(widths[column] for column in found[-1])
        if taken + widths[index] > width and len(found[-1]) > 1:
            found.append([0])
        found[-1].append(index)
    return found


def _width(cells: Sequence[str], index: int) -> int:
    return BESIDE + min(NAME if index == 0 else CELL, max(len(line) for cell in cells for line in cell.split("\n")))


def _column(name: str, index: int) -> Column:
    return Column(Text(visible(name)), overflow="fold", max_width=CELL if index else NAME)
