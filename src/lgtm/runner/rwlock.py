"""DVC's note of who reads and writes what, which killed processes leave behind."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from dvc.lock import make_lock
from dvc.repo import Repo

SLACK = 2.0  # seconds that a process may seem to have started after it wrote the note
Holder = dict[str, Any]  # a process in the note: pid and cmd


def forget_dead_locks(repo: Repo) -> None:
    """Take what killed processes have left out of the note: DVC would refuse to run.

    It takes a process that has ended for alive until it is reaped, or where its number is another's now, and fails
    where a kill has left half of the note.
    """
    note = _note(repo)
    hardlink = repo.config["core"].get("hardlink_lock", False)
    with repo.lock, make_lock(f"{note}.lock", tmp_dir=repo.tmp_dir, hardlink_lock=hardlink):
        try:
            held, written = json.loads(note.read_text()), note.stat().st_mtime
        except FileNotFoundError:
            return
        except ValueError:
            note.unlink()
            return
        alive = lambda holder: is_alive(holder, written)  # noqa: E731
        reads = {path: list(filter(alive, readers)) for path, readers in held.get("read", {}).items()}
        writes = {path: writer for path, writer in held.get("write", {}).items() if alive(writer)}
        note.write_text(json.dumps({"read": {path: who for path, who in reads.items() if who}, "write": writes}))


def running(repo: Repo) -> Holder | None:
    """A process that runs a stage just now, by the note."""
    try:
        note = _note(repo)
        held, written = json.loads(note.read_text()), note.stat().st_mtime
    except (FileNotFoundError, ValueError):
        return None
    return next((holder for holder in _holders(held) if is_alive(holder, written)), None)


def is_alive(holder: Holder, written: float) -> bool:
    """Whether the process that DVC has noted still runs. written: when the note was, in seconds since the epoch.

    A process that started later has the number of one that has ended. A cell of the runner is a fork of a warm python.
    """
    try:
        process = psutil.Process(holder["pid"])
        of_runner = "runner/cell.py" in holder["cmd"] or "runner/apart.py" in holder["cmd"]
        other = of_runner and "lgtm.runner.warm" not in process.cmdline()
        later = process.create_time() > written + SLACK
        return process.status() != psutil.STATUS_ZOMBIE and not other and not later
    except psutil.NoSuchProcess:
        return False


def _note(repo: Repo) -> Path:
    return Path(repo.tmp_dir) / "rwlock"


def _holders(held: dict[str, Any]) -> Iterator[Holder]:
    yield from held.get("write", {}).values()
    for readers in held.get("read", {}).values():
        yield from readers
