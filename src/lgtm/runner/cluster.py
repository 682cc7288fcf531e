"""Cells on Dask's workers, as docs/clusters.md starts them: in this folder, or each in a clone of its own."""

import json
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from lgtm.errors import UserError
from lgtm.runner.graph import Entry, Graph
from lgtm.runner.local import run_cell, run_module
from lgtm.runner.schedule import Outcome
from lgtm.runner.warm import WarmPython

_WARM: dict[Path, WarmPython] = {}
_LOCK = threading.Lock()
OnWorker = Callable[..., Outcome]  # a function and its arguments


def end_all() -> None:
    """On a worker: end its warm pythons, which have read this run's code and settings."""
    with _LOCK:
        while _WARM:
            _WARM.popitem()[1].__exit__()


@contextmanager
def dask_cluster(address: str) -> Iterator[tuple[OnWorker, Callable[[], int]]]:
    """What runs a function on a worker of the Dask scheduler and waits for it, and how many run at a time just now.

    Raises UserError where there is no such scheduler, or no distributed.
    """
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise UserError("--scheduler needs Dask: pip install distributed") from error
    try:
        client = Client(address, timeout=10)
    except (OSError, ValueError) as error:
        raise UserError(f"--scheduler {address}: no Dask scheduler there ({error})") from error

    # Not a function of a module: the scheduler reads what it passes on, and need not have this project.
    def call(function: str, *arguments: object) -> object:
        from importlib import import_module

        return getattr(import_module("lgtm.runner.cluster"), function)(*arguments)

    with client:
        try:
            yield (
                lambda function, *arguments: client.submit(call, function.__name__, *arguments, pure=False).result(),
                lambda: max(1, sum(client.nthreads().values())),
            )
        finally:  # also of cells that still run
            client.run(call, end_all.__name__)


class Shared:
    """Runs cells on workers that share this folder, as the home of a cluster is shared."""

    def __init__(self, on_worker: OnWorker):
        self.on_worker = on_worker

    def __call__(self, name: str) -> Outcome:
        """Run a cell there."""
        return self.on_worker(run_shared, str(Path.cwd()), name)


class Apart:
    """Runs cells on workers that have clones of their own, of the same commit with the same settings.

    What reads the user's files, or writes or reads what git keeps, is run here: there it would not be.
    """

    def __init__(self, graph: Graph, on_worker: OnWorker, here: WarmPython, remote: str | None):
        self.graph, self.on_worker, self.here, self.remote = graph, on_worker, here, remote
        self.push = cache(lambda name: graph.push(name, remote))

    def __call__(self, name: str) -> Outcome:
        """Run a cell where it belongs; its outputs are here afterwards. What was made of other inputs has failed."""
        if not self.graph.needs[name] or any(map(self.graph.is_kept_by_git, [name, *self.graph.needs[name]])):
            outcome = run_cell(self.here, name)
            if outcome.entry:
                self.graph.adopt(name, outcome.entry)
            return outcome
        for needed in self.graph.needs[name]:
            self.push(needed)
        needs = {needed: self.graph.entry(needed) for needed in self.graph.needs[name]}
        outcome = self.on_worker(run_apart, name, needs, self.remote)
        if outcome.entry:
            self.graph.fetch(name, outcome.entry, self.remote)
            if self.graph.changed([name]):
                return Outcome(name, outcome.seconds, failure="the worker's clone has other code, settings or files")
        return outcome


def run_shared(folder: str, name: str) -> Outcome:
    """On a worker: run a cell in the folder."""
    return run_cell(_warm(Path(folder)), name)


def run_apart(name: str, needs: dict[str, Entry], remote: str | None) -> Outcome:
    """On a worker: run a cell in the worker's own folder."""
    warm = _warm(Path.cwd())
    with tempfile.NamedTemporaryFile("w", suffix=".json") as request:
        json.dump({"needs": needs, "remote": remote}, request)
        request.flush()
        return run_module(warm, "lgtm.runner.apart", name, request.name)


def _warm(folder: Path) -> WarmPython:
    """The warm python of a worker for a folder; it ends when the worker does."""
    with _LOCK:
        if folder not in _WARM:
            _WARM[folder] = WarmPython(folder).__enter__()
        return _WARM[folder]
