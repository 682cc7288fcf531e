"""Run all cells that have to run, side by side, and leave what `dvc repro` leaves.

PYTHONPATH=src python -m lgtm.runner --jobs 4
"""

import argparse
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from lgtm.config import read_yaml
from lgtm.errors import UserError, told, visible
from lgtm.handover import require_project

if TYPE_CHECKING:
    from lgtm.runner.schedule import Progress

SHOWN = 6  # names of cells in a line
REPORT = "report"  # the cell whose page has the recommendation
WAITING = 1000  # threads, each of which waits for a cell, at most


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="lgtm.runner", description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", help="stages, as in dvc repro; none: all")
    parser.add_argument("--jobs", type=positive, help="cells at a time; without it as many as the machine carries")
    parser.add_argument(
        "--scheduler", metavar="ADDRESS", help="of Dask, whose workers run the cells (docs/clusters.md)"
    )
    parser.add_argument(
        "--remote", help="DVC's remote between here and the workers, where they have clones of their own"
    )
    parser.add_argument(
        "-S", dest="changes", action="append", default=[], metavar="KEY=VALUE",
        help="a setting to write into params.yaml first, as in dvc exp run -S",
    )  # fmt: skip
    parser.add_argument("--name", help="keep the run as a DVC experiment of this name")
    options = parser.parse_args()
    if options.remote and not options.scheduler:
        parser.error("--remote goes with --scheduler")
    if options.name is not None and options.targets:
        parser.error("--name keeps a run of all stages, not of targets")
    with told("stopped; what is done is kept: run again to go on", kept="; what is done is kept"):
        alone(lambda: run(**vars(options)))


def positive(text: str) -> int:
    """A number from 1 on. Raises ValueError, which argparse tells."""
    if int(text) < 1:
        raise ValueError(text)
    return int(text)


def alone(work: Callable[[], None]) -> None:
    """Do the work unless it is done in this folder already. Raises UserError then, and where this is no project."""
    require_project()
    lock = Path(".locks/runner.lock")
    try:
        lock.parent.mkdir(exist_ok=True)
        held = FileLock(lock, timeout=0).acquire()
    except Timeout as error:
        raise UserError("the cells of this folder are run already; wait for that or stop it") from error
    except OSError as error:
        raise UserError(f"{lock}: cannot be written: {error.strerror}") from error
    with held:
        work()


def require_cards() -> None:
    """Raise UserError, with the names there are, for a task or pair that is not there: DVC would fail on its folder."""
    params = read_yaml("params.yaml")
    task, pair = (str(params.get(name)) for name in ("task", "pair"))
    if not Path("tasks", task, "task.yaml").is_file() or not Path("pairs", f"{pair}.yaml").is_file():
        from lgtm.checks.project import require_settings

        require_settings()


def run(
    targets: list[str],
    jobs: int | None,
    scheduler: str | None,
    remote: str | None,
    changes: list[str],
    name: str | None,
) -> None:
    """Run the cells with these settings, and keep them as this experiment. Raises UserError where one fails."""
    from lgtm import processes
    from lgtm.runner.experiment import change, keep, require_free

    processes.asked()
    if name is not None:
        require_free(name)
    if changes:
        change(changes)
    run_graph(targets, jobs, scheduler, remote)
    if name is not None:
        keep(name)


def run_graph(targets: list[str], jobs: int | None, scheduler: str | None, remote: str | None) -> None:
    """Run the cells, so many at a time. Raises UserError where one fails."""
    from lgtm.runner.beforehand import Beforehand
    from lgtm.runner.cluster import Apart, Shared, dask_cluster
    from lgtm.runner.conclusion import conclusion
    from lgtm.runner.graph import Graph
    from lgtm.runner.jobs import default_jobs
    from lgtm.runner.local import run_cell
    from lgtm.runner.schedule import run_cells
    from lgtm.runner.view import View
    from lgtm.runner.warm import WarmPython

    require_cards()
    graph = Graph(targets)
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(WAITING))
        warm = stack.enter_context(WarmPython(Path.cwd()))
        if scheduler:
            on_worker, at_a_time = stack.enter_context(dask_cluster(scheduler))
            work = Apart(graph, on_worker, warm, remote) if remote else Shared(on_worker)
            places = lambda: WAITING  # noqa: E731  # all that is ready: a cluster grows with what waits
        else:
            places = at_a_time = (lambda: jobs) if jobs else default_jobs()
            work = lambda name: run_cell(warm, name)  # noqa: E731
        view = stack.enter_context(View(list(graph.stages), at_a_time))
        look = Beforehand(at_a_time, here=not scheduler, say=view.say)

        def submit(name: str) -> Future:
            look(name)
            return pool.submit(work, name)

        progress = run_cells(graph, submit, places, view)
        view.conclude(progress)
    if progress.failed:
        raise UserError(failed := which_failed(progress), [*reasons(progress), failed])
    graph.settle()
    if REPORT in graph.stages:
        print("\n".join(conclusion()))


def which_failed(progress: "Progress") -> str:
    """The cells that failed, and what was left out for them, in a line."""
    names = ", ".join(outcome.name for outcome in progress.failed)
    more = f" and {len(progress.left_out) - SHOWN} more" if len(progress.left_out) > SHOWN else ""
    return f"failed: {names}; left out for it: {', '.join(progress.left_out[:SHOWN]) or 'nothing'}{more}"


def reasons(progress: "Progress") -> list[str]:
    """Why cells failed, a line each, once more at the end, where other cells have run since."""
    told = [outcome for outcome in progress.failed if outcome is not progress.last]
    lines = {outcome.name: outcome.failure.strip().splitlines() for outcome in told}
    return [f"{name}: {visible(each[max(0, len(each) - 2)])}" for name, each in lines.items()]


if __name__ == "__main__":
    main()
