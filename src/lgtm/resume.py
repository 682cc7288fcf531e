"""What a cell has done, kept while it runs: stopped at any moment, it goes on from there and ends in the same bytes.

The work of a cell is a sequence of units (a training, a prediction, what is made of several), numbered as they begin,
which is in the same order each time. A unit that runs keeps its state now and then, one that has ended its result, and
the next run of the cell takes them in place of doing the work again: a file each in .resume/<cell>/, outside what DVC
knows of (lgtm.states). The folder is of one digest of all that the result stands on (lgtm.premises), and that of any
other is removed unread. It goes when the cell has ended well. Outside a stage, and in several processes, nothing is
kept.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from lgtm import processes
from lgtm.premises import Premises
from lgtm.states import Kept, Tree, mapped, random_state, read, set_random_state, settle, whole, write

FOLDER = Path(".resume")
LEAST = 0.5  # seconds between two states
TIMES = 20  # as long as a state took to write, at least, between two: so that keeping them costs a twentieth at most
SHELLS = ("sh", "bash", "dash", "zsh", "fish")
FORGOTTEN = 7 * 24 * 3600.0  # seconds until the state of a cell that nobody has run again goes


class Cell:
    """What is kept of a cell, and for how long it has worked, the lives before this one included."""

    def __init__(self, folder: Path, premises: Premises):
        self.folder, self.premises = folder, premises
        self.key: str | None = None  # found out when it is needed: large inputs take a while to read
        self.closed = False
        self.waiting: dict[str, Tree] = {}  # results that are not written yet
        self.began, self.before = time.perf_counter(), 0.0
        self.written, self.took = self.began, 0.0
        self.starter = _starter()
        _forget_old()
        if folder.is_dir():
            self.key = premises.digest()
            if self.key is None or _text(folder / "key") != self.key:
                shutil.rmtree(folder, ignore_errors=True)
                self.key = None

    def clock(self) -> float:
        """Seconds of work that led to where the cell is: what a stop has lost is not in them."""
        return time.perf_counter() - self.began + self.before

    def due(self) -> bool:
        """Whether it is time to write again."""
        return not self.closed and time.perf_counter() - self.written > max(LEAST, TIMES * self.took)

    def find(self, unit: str) -> Kept | None:
        """What an earlier run has kept of a unit, if all of it is there and whole."""
        found = read(self.folder, unit) if self.key else None
        if found is None or not all(whole(self.folder, f"{unit}.{name}") for name in found.asides):
            return None
        self.before += max(0.0, found.clock - self.clock())
        return found

    def keep(self, unit: str, tree: Tree, **how: bool | tuple[str, ...]) -> None:
        """Write a unit's state, and before it the results that wait; how: of Kept."""
        self._write((unit, Kept(tree, self.clock(), **how)))

    def end(self, unit: str, tree: Tree) -> None:
        """Keep the result of a unit, which waits until it is time to write, in place of what was kept of its parts."""
        for part in [part for part in self.waiting if part.startswith(f"{unit}.")]:
            del self.waiting[part]
        if not self.closed:
            self.waiting[unit] = tree
        if self.due():
            self.flush()

    def flush(self) -> None:
        """Write the results that wait."""
        if self.waiting:
            self._write()

    def leave(self) -> None:
        """The cell has ended well. Where whoever started it is gone, nobody takes its outputs: it will run again."""
        if _starter() == self.starter:
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            self.flush()

    def forget_parts(self, unit: str) -> None:
        """Remove what is kept of the parts of a unit that has ended."""
        for path in self.folder.glob(f"{unit}.*"):
            path.unlink(missing_ok=True)

    def _write(self, *running: tuple[str, Kept]) -> None:
        """Write the results that wait, then these states. A full disk ends the keeping, and not the work."""
        from safetensors import SafetensorError

        began = time.perf_counter()
        try:
            if self.key or self._begin():
                for unit in list(self.waiting):
                    write(self.folder, unit, Kept(self.waiting.pop(unit), self.clock(), ended=True))
                    self.forget_parts(unit)
                for unit, state in running:
                    write(self.folder, unit, state)
        except (OSError, SafetensorError):
            self._close()
        self.written = time.perf_counter()
        self.took = self.written - began

    def _begin(self) -> bool:
        """Make the folder; whether what the cell stands on is still what it was when it began."""
        key = self.premises.digest()
        if key is None:
            self._close()
            return False
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.folder / "key.part"
        part.write_text(key)
        settle(part, self.folder / "key")
        self.key = key
        return True

    def _close(self) -> None:
        self.closed = True
        self.waiting.clear()
        for part in self.folder.glob("*.part"):
            part.unlink(missing_ok=True)


@dataclass
class Place:
    """Where in a cell's work the next unit begins: in which unit, after how many others."""

    cell: Cell
    unit: str = ""
    begun: int = 0

    def next(self) -> str:
        """The name of the next unit: 3, and within it 3.1."""
        self.begun += 1
        return f"{self.unit}.{self.begun}".removeprefix(".")


_place: ContextVar[Place | None] = ContextVar("place", default=None)


@contextmanager
def kept(name: str, script: str, arguments: dict[str, int | str]) -> Iterator[None]:
    """Keep what is done in here, the work of a cell, and go on from what was kept of it; gone when it ends well."""
    premises = _premises(script, arguments)
    if premises is None:
        yield
        return
    cell = Cell(FOLDER / name, premises)
    with _within(Place(cell)):
        yield
    cell.leave()


def _premises(script: str, arguments: dict[str, int | str]) -> Premises | None:
    """What the cell stands on; None where nothing is kept."""
    if processes.count() > 1:
        return None
    try:
        return Premises(script, arguments)
    except Exception:  # what is wrong with the settings, the stage says itself
        return None


def clock() -> float:
    """Seconds since some moment, without those of which a stop has lost the work."""
    place = _place.get()
    return place.cell.clock() if place else time.perf_counter()


class Unit:
    """A unit of work that keeps its state as it goes; `found` is what an earlier run has kept, None if nothing.

    Without a cell it keeps nothing.
    """

    def __init__(self, cell: Cell | None, name: str):
        self.cell, self.name = cell, name
        found = cell.find(name) if cell else None
        self.found, self.ended = (found.tree, found.ended) if found else (None, False)
        self.asides = list(found.asides) if found else []

    def keep(self, state: Callable[[], Tree]) -> None:
        """Keep the state if it is time to; call it as often as you like."""
        if self.cell and self.cell.due():
            self.cell.keep(self.name, state(), asides=tuple(self.asides))

    def put_aside(self, name: str, tree: Callable[[], Tree]) -> None:
        """Keep something beside the state, at once and once for all."""
        if self.cell and not self.cell.closed:
            self.cell.keep(f"{self.name}.{name}", tree())
            self.asides.append(name)

    def aside(self, name: str) -> Tree:
        """What was put aside."""
        return read(self.cell.folder, f"{self.name}.{name}").tree

    def end(self, state: Callable[[], Tree]) -> None:
        """Keep the last state, unless it is the one that was found; with what was put aside, at once."""
        if not self.cell or self.ended:
            return
        if self.asides:
            self.cell.keep(self.name, state(), ended=True, asides=tuple(self.asides))
        else:
            self.cell.end(self.name, state())


@contextmanager
def unit() -> Iterator[Unit]:
    """The next unit of the cell's work. What would be a unit within it is none: it may not begin each time."""
    place = _place.get()
    with _within(None):
        yield Unit(place.cell, place.next()) if place else Unit(None, "")


def once(work: Callable[[], Tree]) -> Tree:
    """The tree that the work returns, from an earlier run if one has done it, with the random numbers as after it.

    The work may be of several units; what they have kept goes when it is done.
    """
    place = _place.get()
    if place is None:
        return work()
    own = Unit(place.cell, place.next())
    if own.found is None:
        with _within(Place(place.cell, own.name)):
            tree = work()
        # A copy: it is written later, and who asked for it may change it until then.
        own.end(lambda: {"tree": mapped(tree, lambda tensor: tensor.clone()), "random": random_state()})
        return tree
    place.cell.forget_parts(own.name)
    set_random_state(own.found["random"])
    return own.found["tree"]


@contextmanager
def _within(place: Place | None) -> Iterator[None]:
    outside = _place.set(place)
    try:
        yield
    finally:
        _place.reset(outside)


def _starter() -> int | None:
    """The process that waits for this one: DVC, behind the shell that it may have put between."""
    import psutil  # not where a stage starts: without its environment it has a line to say

    with suppress(psutil.Error):
        parent = psutil.Process().parent()
        return parent and (parent.ppid() if parent.name() in SHELLS else parent.pid)


def _text(path: Path) -> str | None:
    return path.read_text() if path.is_file() else None


def _forget_old() -> None:
    """Remove what is kept of cells that nobody has gone on with for long: they may be no cells any more."""
    with suppress(OSError):
        for folder in FOLDER.iterdir():
            if folder.stat().st_mtime < time.time() - FORGOTTEN:
                shutil.rmtree(folder, ignore_errors=True)
