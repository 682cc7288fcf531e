"""Which cell runs when: whatever is ready, as many at a time as there are places, those that most wait for first."""

import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from lgtm.errors import UserError
from lgtm.runner.graph import Entry, Graph


@dataclass(frozen=True)
class Outcome:
    """How a cell ended: its entry of dvc.lock, None where it was up to date or failed; why it failed; its seconds."""

    name: str
    seconds: float
    entry: Entry | None = None
    failure: str | None = None


@dataclass
class Progress:
    """Where a run of cells stands: what runs, what is done (not run where it was up to date), failed, or left out."""

    total: int
    running: dict[str, float] = field(default_factory=dict)  # since when
    unchanged: list[str] = field(default_factory=list)
    done: list[Outcome] = field(default_factory=list)
    failed: list[Outcome] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    last: Outcome | None = None  # that has ended

    @property
    def settled(self) -> int:
        """Cells of which nothing more is to come."""
        return len(self.unchanged) + len(self.done) + len(self.failed) + len(self.left_out)


class Show(Protocol):
    """What is told of a run while it goes on: at every end of a cell, and in between."""

    def __call__(self, progress: Progress, ended: Outcome | None = None) -> None:
        """Show where the run stands, and what has just ended."""


def run_cells(
    graph: Graph, submit: Callable[[str], Future], places: Callable[[], int], show: Show, every: float = 0.5
) -> Progress:
    """Run all cells of the graph that have to run, each after those that it needs; what needs a failed one is left out.

    submit: begins a cell whose needs are there, and promises its Outcome. places: how many may run just now. dvc.lock
    is written now and then, at most a twentieth of the time, and in the end, however that comes: a cell that it lacks
    is in DVC's run-cache and is not run again.
    """
    run = _Run(graph, submit, places, show)
    try:
        run.fill()
        while run.futures:
            finished, _ = wait(run.futures, timeout=every, return_when=FIRST_COMPLETED)
            for future in finished:
                run.end(future)
            run.fill()
            run.record(sparingly=True)
            show(run.progress)
    except BaseException:
        with suppress(UserError):  # a full disk, say, of which the first error is told
            run.record()
        raise
    run.record()
    return run.progress


class _Run:
    """The state of one run of cells."""

    def __init__(self, graph: Graph, submit, places, show: Show):
        self.graph, self.submit, self.places, self.show = graph, submit, places, show
        self.waits = {name: set(needs) for name, needs in graph.needs.items()}
        self.progress = Progress(len(self.waits))
        self.due: list[str] = []  # ready, and to run
        self.futures: dict[Future, str] = {}
        self.entries: dict[str, Entry] = {}
        self.quiet_until = 0.0

    def fill(self) -> None:
        """Give every free place a cell that is ready and has to run."""
        self._look()
        while self.due and len(self.futures) < self.places():
            name = most_awaited(self.graph, self.due)
            self.due.remove(name)
            self.progress.running[name] = time.monotonic()
            self.futures[self.submit(name)] = name

    def _look(self) -> None:
        """Find out which of the cells that have become ready have to run; the others let go what waits for them."""
        while ready := [name for name, needs in self.waits.items() if not needs]:
            changed = self.graph.changed(ready)
            for name in ready:
                del self.waits[name]
                if name in changed:
                    self.due.append(name)
                else:
                    self.progress.unchanged.append(name)
                    self._release(name)

    def end(self, future: Future) -> None:
        """Take a cell's outcome: let go what waited for it, or leave that out."""
        name = self.futures.pop(future)
        began = self.progress.running.pop(name)
        outcome = future.result() if not future.exception() else _broken(name, began, future.exception())
        self.progress.last = outcome
        if outcome.failure:
            self.progress.failed.append(outcome)
            self._leave_out(name)
        else:
            self.progress.done.append(outcome)
            self._release(name)
            if outcome.entry:
                self.entries[name] = outcome.entry
        self.show(self.progress, outcome)

    def record(self, sparingly: bool = False) -> None:
        """Write what is not yet in dvc.lock; sparingly: unless the last time is too short ago for what it took."""
        began = time.monotonic()
        if self.entries and not (sparingly and began < self.quiet_until):
            self.graph.record(self.entries)
            self.entries.clear()
            now = time.monotonic()
            self.quiet_until = now + 20 * (now - began)

    def _release(self, name: str) -> None:
        for needs in self.waits.values():
            needs.discard(name)

    def _leave_out(self, name: str) -> None:
        for other in [other for other, needs in self.waits.items() if name in needs]:
            if self.waits.pop(other, None) is not None:
                self.progress.left_out.append(other)
                self._leave_out(other)


def most_awaited(graph: Graph, ready: list[str]) -> str:
    """The cell that most others wait for, the one that was ready first of them."""
    return max(ready, key=lambda name: graph.followers[name])


def _broken(name: str, began: float, error: BaseException) -> Outcome:
    """The outcome of a cell that its executor lost."""
    reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    return Outcome(name, time.monotonic() - began, failure=reason)
