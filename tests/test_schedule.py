"""Which cell runs when, what a failure stops, and what is written of it: with a graph of made-up cells."""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from lgtm.errors import UserError
from lgtm.runner.__main__ import reasons, which_failed
from lgtm.runner.schedule import Outcome, run_cells

#     a - b - d - e        f alone
#      \ c /
NEEDS = {"a": set(), "b": {"a"}, "c": {"a"}, "d": {"b", "c"}, "e": {"d"}, "f": set()}
FOLLOWERS = {"a": 4, "b": 2, "c": 2, "d": 1, "e": 0, "f": 0}


class Cells:
    """A graph of cells, its executor, and what was asked of them."""

    def __init__(self, up_to_date=(), failing=(), places=2):
        self.needs, self.followers = NEEDS, FOLLOWERS
        self.up_to_date, self.failing = up_to_date, failing
        self.began, self.ended, self.recorded, self.most = [], [], {}, 0
        self.lock = threading.Lock()
        self.places = places

    def changed(self, names: list[str]) -> set[str]:
        for name in names:
            assert self.needs[name] <= {*self.ended, *self.up_to_date}, "asked before what it needs was there"
        return {*names} - {*self.up_to_date}

    def record(self, entries: dict) -> None:
        self.recorded |= entries

    def work(self, name: str) -> Outcome:
        with self.lock:
            self.began.append(name)
            self.most = max(self.most, len(self.began) - len(self.ended))
        time.sleep(0.02)
        with self.lock:
            self.ended.append(name)
        if name in self.failing:
            return Outcome(name, 0.02, failure="no")
        return Outcome(name, 0.02, entry={"cmd": name})

    def run(self):
        with ThreadPoolExecutor() as pool:
            show = lambda progress, ended=None: None  # noqa: E731
            return run_cells(self, lambda name: pool.submit(self.work, name), lambda: self.places, show, every=0.01)


@pytest.mark.parametrize("places", [1, 2, 6])
def test_every_cell_runs_once_after_what_it_needs_and_no_more_than_there_are_places(places):
    cells = Cells(places=places)
    progress = cells.run()
    assert sorted(cells.began) == sorted(NEEDS)
    for name, needs in NEEDS.items():
        assert all(cells.began.index(need) < cells.began.index(name) for need in needs)
    assert cells.most <= places
    assert cells.recorded == {name: {"cmd": name} for name in NEEDS}
    assert (progress.settled, progress.total, progress.failed) == (6, 6, [])


def test_the_cell_that_most_wait_for_goes_first():
    cells = Cells(places=1)
    cells.run()
    assert cells.began[0] == "a"
    assert cells.began[-1] in ("e", "f")


def test_what_is_up_to_date_is_not_run_and_lets_go_what_needs_it():
    cells = Cells(up_to_date=("a", "b", "f"))
    progress = cells.run()
    assert sorted(cells.began) == ["c", "d", "e"]
    assert sorted(progress.unchanged) == ["a", "b", "f"]


def test_a_failure_leaves_out_what_needs_it_and_nothing_else():
    cells = Cells(failing=("b",))
    progress = cells.run()
    assert sorted(cells.began) == ["a", "b", "c", "f"]
    assert [outcome.name for outcome in progress.failed] == ["b"]
    assert sorted(progress.left_out) == ["d", "e"]
    assert sorted(cells.recorded) == ["a", "c", "f"]


def test_a_cell_whose_executor_breaks_has_failed():
    broken = Future()
    broken.set_exception(OSError("worker lost"))
    cells = Cells()
    progress = run_cells(cells, lambda name: broken, lambda: 1, lambda progress, ended=None: None)
    assert {outcome.failure for outcome in progress.failed} == {"OSError: worker lost"}


def test_what_is_done_is_written_though_the_run_is_stopped():
    cells = Cells(places=1)

    def show(progress, ended=None):
        if ended and ended.name == "b":
            raise KeyboardInterrupt

    with ThreadPoolExecutor() as pool, pytest.raises(KeyboardInterrupt):
        run_cells(cells, lambda name: pool.submit(cells.work, name), lambda: 1, show)
    assert {"a", "b"} <= set(cells.recorded)


def test_a_disk_that_is_full_is_told_once_and_does_not_hide_what_ended_the_run():
    cells = Cells(places=1)

    def full(entries):
        raise UserError("dvc.lock: cannot be written: No space left on device")

    cells.record = full
    with pytest.raises(UserError, match="No space left"):
        cells.run()

    def refuse(name):
        raise UserError(f"{name}: no room")

    with pytest.raises(UserError, match="a: no room"):
        run_cells(cells, refuse, lambda: 1, lambda progress, ended=None: None)


def test_the_reasons_of_cells_are_told_again_at_the_end():
    cells = Cells(failing=("b", "f"), places=1)
    progress = cells.run()
    progress.failed[0] = Outcome("b", 1.0, failure="the loss is nan\x1b")
    assert reasons(progress)[0] == "b: the loss is nan\\x1b"
    progress.failed[0] = Outcome("b", 1.0, failure="Traceback\nValueError: 3\nexited with 1")
    assert reasons(progress)[0] == "b: ValueError: 3"
    assert which_failed(progress) == "failed: b, f; left out for it: d, e"
    progress.last = progress.failed[1]  # just told
    assert [line.partition(":")[0] for line in reasons(progress)] == ["b"]
