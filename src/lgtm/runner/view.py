"""One view of all cells: a line for each that runs, on a terminal; a line for each that has ended, elsewhere."""

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import fmean

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lgtm.errors import visible
from lgtm.runner.local import last_line, log_of
from lgtm.runner.schedule import Outcome, Progress


class View:
    """What a run of cells shows; a context, and lgtm.runner.schedule.Show. places: how many run at a time."""

    def __init__(self, cells: Sequence[str], places: Callable[[], int]):
        self.cells, self.places = cells, places
        self.console = Console(stderr=True)
        self.live = (
            Live(console=self.console, refresh_per_second=2, transient=True) if self.console.is_terminal else None
        )
        self.began = time.monotonic()

    def __enter__(self) -> "View":
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.live:
            self.live.stop()

    def __call__(self, progress: Progress, ended: Outcome | None = None) -> None:
        """Show where the run stands, and what has just ended."""
        if ended and ended.failure:
            self.console.print(Text(f"{ended.name} failed: {ended.failure}", style="red"), soft_wrap=True)
        elif ended and not self.live:
            left = clock(self.left(progress))
            print(
                f"{progress.settled}/{progress.total}  {ended.name}  {ended.seconds:.1f} s  ETA {left}", file=sys.stderr
            )
        if self.live:
            self.live.update(self._table(progress))

    def say(self, line: str) -> None:
        """Show a line beside the cells."""
        self.console.print(Text(visible(line), style="yellow"), soft_wrap=True)

    def conclude(self, progress: Progress) -> None:
        """Say what has come of it."""
        took = clock(time.monotonic() - self.began)
        if progress.total == len(progress.unchanged):
            self.console.print(f"{progress.total} cells, all up to date")
        else:
            self.console.print(f"{len(progress.done)} cells run, {len(progress.unchanged)} up to date, in {took}")

    def left(self, progress: Progress) -> float:
        """Seconds to the end, if each cell that is left takes as long as those of its stage did."""
        seconds = defaultdict(list)
        for outcome in progress.done:
            seconds[stage_of(outcome.name)].append(outcome.seconds)
        usual = fmean(outcome.seconds for outcome in progress.done) if progress.done else 0.0
        settled = {outcome.name for outcome in [*progress.done, *progress.failed]}
        settled |= {*progress.unchanged, *progress.left_out}
        total = 0.0
        for name in set(self.cells) - settled:
            known = seconds[stage_of(name)]
            total += fmean(known) if known else usual
            total -= time.monotonic() - progress.running.get(name, time.monotonic())
        return max(0.0, total) / self.places()

    def _table(self, progress: Progress) -> Group:
        table = Table.grid(padding=(0, 1))
        table.add_row(
            ProgressBar(total=progress.total, completed=progress.settled, width=30),
            f"{progress.settled}/{progress.total} cells, {clock(time.monotonic() - self.began)}, "
            f"ETA {clock(self.left(progress))}",
        )
        lines = Table.grid(padding=(0, 2))
        for name, since in progress.running.items():
            shown = Text(last_line(log_of(name)), overflow="ellipsis", no_wrap=True, style="dim")
            lines.add_row(name, clock(time.monotonic() - since), shown)
        return Group(table, lines)


def stage_of(name: str) -> str:
    """The stage of a cell: distill of distill@1-kd."""
    return name.partition("@")[0]


def clock(seconds: float) -> str:
    """Minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
