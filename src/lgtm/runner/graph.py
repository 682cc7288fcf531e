"""DVC's graph of cells, its checks, and its lock file, read once.

`dvc repro` reads params.yaml anew for every stage that it checks, and all of dvc.lock to change one stage in it: three
seconds a cell where there are a hundred. Here the first is read once, and many cells' entries are written together.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import networkx as nx
from dvc.exceptions import DvcException
from dvc.lock import LockBase
from dvc.repo import Repo
from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro
from dvc.stage import PipelineStage
from dvc.stage.loader import StageLoader
from dvc.stage.serialize import to_lockfile
from dvc_data.hashfile.hash_info import HashInfo

from lgtm.errors import UserError, one_line
from lgtm.handover import writing
from lgtm.runner.cache import hashed_cache
from lgtm.runner.lockfile import Entry, LockFile
from lgtm.runner.once import one_look, read_yaml_once
from lgtm.runner.rwlock import forget_dead_locks


class Graph:
    """The cells of the current folder, named as DVC names them, as its files say when this is made.

    targets: the stages that are wanted and what they need, as in `dvc repro`; none: all. Raises UserError with DVC's
    reason where the folder is no project.
    """

    def __init__(self, targets: Sequence[str] = ()):
        with dvc_errors():
            read_yaml_once()
            self.repo = Repo(_wait_for_lock=True)
            self.repo.lock = InLine(self.repo.lock, Path(self.repo.tmp_dir) / "in-line")
            forget_dead_locks(self.repo)
            graph = get_active_graph(self.repo.index.graph)
            wanted = collect_stages(self.repo, targets) if targets else _of_project(self.repo)
            # In the order of `dvc repro`.
            self.stages = {stage.addressing: stage for stage in plan_repro(graph, wanted)}
        self.needs = {name: {other.addressing for other in graph[stage]} for name, stage in self.stages.items()}
        self.followers = {name: len(nx.ancestors(graph, stage)) for name, stage in self.stages.items()}
        self.lock_file = LockFile(list(self.stages), targets, Path(self.repo.tmp_dir) / "entries-before.json")

    def changed(self, names: Iterable[str]) -> set[str]:
        """Those of the cells that have to run, their inputs being what they are now."""
        stages = {name: self.stages[name] for name in names}
        with dvc_errors(), self.repo.lock, one_look(self.repo, stages.values()):
            return {name for name, stage in stages.items() if stage.changed()}

    def reproduce(self, name: str) -> Entry | None:
        """Run the cell as `dvc repro` does, run-cache and all, but write no dvc.lock; returns its entry there.

        None where it is up to date, or where it stands in a file of its own, as of dvc add: that is written. Raises
        UserError where it fails.
        """
        stage = self.stages[name]
        quiet = self.repo.scm_context(autostage=False, quiet=True)
        with dvc_errors(), self.repo.lock, quiet, hashed_cache(self.repo):
            if not stage.reproduce():
                return None
            if isinstance(stage, PipelineStage):
                return to_lockfile(stage)[name]
            return stage.dump(update_pipeline=False)

    def entry(self, name: str) -> Entry:
        """The cell's entry of dvc.lock as it is known here."""
        return to_lockfile(self.stages[name])[name]

    def adopt(self, name: str, entry: Entry) -> None:
        """Know the cell by an entry that another process has made."""
        StageLoader.fill_from_lock(self.stages[name], entry)

    def is_kept_by_git(self, name: str) -> bool:
        """Whether the cell writes what is in no cache, such as the metrics that git keeps."""
        return not all(out.use_cache for out in self.stages[name].outs)

    def push(self, name: str, remote: str | None) -> None:
        """Send the cell's outputs to a DVC remote; None: the default one."""
        with dvc_errors(), self.repo.lock:
            self.repo.cloud.push(self._objects(name, remote), remote=remote)

    def fetch(self, name: str, entry: Entry, remote: str | None) -> None:
        """Get the outputs that a cell has by its entry, from a DVC remote; None: the default one."""
        stage = self.stages[name]
        with dvc_errors(), self.repo.lock, hashed_cache(self.repo):
            self.adopt(name, entry)
            self.repo.cloud.pull(self._objects(name, remote), remote=remote)
            stage.checkout(force=True)

    def _objects(self, name: str, remote: str | None) -> set[HashInfo]:
        """What the cell's outputs consist of: files, and lists of the files in a folder."""
        return set().union(*self.stages[name].get_used_objs(remote=remote).values())

    def record(self, entries: Mapping[str, Entry]) -> None:
        """Write cells' entries into dvc.lock, as `dvc repro` leaves it."""
        with dvc_errors(), self.repo.lock, writing(self.lock_file.path):
            self.lock_file.record(entries)

    def settle(self) -> None:
        """Call it when all has run."""
        self.lock_file.settle()


class InLine(LockBase):
    """DVC's lock, for processes that stand in line for it: its own asks again only every half a second."""

    def __init__(self, lock: LockBase, line: Path):
        super().__init__(line)
        self._lock = lock
        self._line: int | None = None

    def lock(self) -> None:
        """Wait for the others in line, then for DVC's lock."""
        line = os.open(self._lockfile, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        fcntl.flock(line, fcntl.LOCK_EX)  # threads of one process stand in line too
        try:
            self._lock.lock()
        except BaseException:
            os.close(line)
            raise
        self._line = line

    def unlock(self) -> None:
        """Give both back."""
        line, self._line = self._line, None
        self._lock.unlock()
        os.close(line)

    @property
    def is_locked(self) -> bool:
        """Whether this process holds it."""
        return self._lock.is_locked

    def __enter__(self) -> None:
        self.lock()

    def __exit__(self, *error: object) -> None:
        self.unlock()


@cache
def loaded() -> Graph:
    """The whole graph of the current folder, read by the first who asks and by its forks no more."""
    return Graph()


@contextmanager
def dvc_errors() -> Iterator[None]:
    """DVC's errors as ours: one line; those of a full disk too, which DVC lets through from its files and databases."""
    try:
        yield
    except DvcException as error:
        raise UserError(one_line(error)) from error
    except OSError as error:
        raise UserError(f"{error.filename or Path.cwd()}: {error.strerror or one_line(error)}") from error
    except sqlite3.Error as error:
        raise UserError(f"{Path('.dvc/tmp')}: {one_line(error)}") from error


def _of_project(repo: Repo) -> list[PipelineStage]:
    """The stages of dvc.yaml, which `dvc repro` takes without a target and reads a second time."""
    return [stage for stage in repo.index.stages if isinstance(stage, PipelineStage)]
