"""Entries of dvc.lock: where they stand, over runs that are stopped, and that the file is never half of one."""

from pathlib import Path

import pytest
import yaml

from lgtm.runner import lockfile
from lgtm.runner.lockfile import LockFile

ORDER = ["a", "b", "c", "d"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tmp").mkdir()
    return tmp_path


def lock_file(targets=()) -> LockFile:
    """As a new run has it."""
    return LockFile(ORDER, targets, Path("tmp/note.json"))


def entries(*names: str) -> dict:
    return {name: {"cmd": f"run {name}"} for name in names}


def names() -> list[str]:
    return list(yaml.safe_load(Path("dvc.lock").read_text())["stages"])


def test_what_is_new_stands_in_the_graphs_order_whenever_it_came(folder):
    run = lock_file()
    for name in ("c", "a", "d", "b"):
        run.record(entries(name))
    assert names() == ORDER


def test_what_was_there_keeps_its_place_and_new_ones_stand_behind(folder):
    run = lock_file()
    run.record(entries("d", "b"))
    run.settle()
    lock_file().record(entries("c", "a"))
    assert names() == ["b", "d", "a", "c"]
    assert yaml.safe_load(Path("dvc.lock").read_text())["schema"] == "2.0"


def test_a_run_that_goes_on_with_a_stopped_one_puts_all_that_is_new_in_order(folder):
    lock_file().record(entries("d", "b"))
    lock_file().record(entries("c", "a"))
    assert names() == ORDER


@pytest.mark.parametrize("between", ["targets", "another hand", "torn note"])
def test_a_stopped_run_is_forgotten_where_something_else_came_between(folder, between):
    lock_file().record(entries("d", "b"))
    if between == "another hand":
        Path("dvc.lock").write_text(Path("dvc.lock").read_text() + "\n")
    if between == "torn note":
        Path("tmp/note.json").write_text("{")
    lock_file(["a"] if between == "targets" else []).record(entries("c", "a"))
    assert names() == ["b", "d", "a", "c"]


def test_a_kill_while_it_is_written_leaves_the_old_file_and_the_order(folder, monkeypatch):
    lock_file().record(entries("d", "b"))
    before = Path("dvc.lock").read_bytes()
    for step in ("dump_yaml", "_replace"):
        with monkeypatch.context() as patch:
            patch.setattr(lockfile, step, lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                lock_file().record(entries("c"))
        assert Path("dvc.lock").read_bytes() == before
    lock_file().record(entries("c", "a"))
    assert names() == ORDER


def test_a_full_disk_leaves_the_lock_as_it_was(folder):
    lock_file().record(entries("a"))
    before = Path("dvc.lock").read_bytes()
    new = Path("tmp/dvc.lock.new")
    new.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        lock_file().record(entries("b"))
    assert Path("dvc.lock").read_bytes() == before
    new.unlink()  # room again
    lock_file().record(entries("b"))
    assert names() == ["a", "b"]
