"""The frame around a stage script: arguments, one run at a time, in one or several processes, a mistake as one line.

PYTHONPATH=src python -m lgtm.stage distill --seed 1 --arm kd
"""

import argparse
import gc
import importlib
import inspect
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from lgtm import processes
from lgtm.environment import set_defaults
from lgtm.errors import UserError, one_line
from lgtm.inputs import STAGES, altered, watch_code
from lgtm.resume import kept

OWN = ("lgtm", "stages")
INTERRUPTED = 128 + signal.SIGINT  # the exit status by which a shell knows of Ctrl-C
# Stages that have nothing to share among processes.
SINGLE = ("prepare", "report", "selection", "ship")


def run() -> None:
    """Run the `main` of the stage script that the command line names, its parameters taken from there too.

    A lock per stage and cell keeps a second run from writing beside an orphaned first one. A UserError ends in one
    line on stderr and exit status 1, and so does a run that finds no room on the disk or in memory, or whose settings
    or code changed under it: DVC records nothing. What was stopped goes on from where it was (lgtm.resume). In several
    processes where the environment asks for them (lgtm.processes).
    """
    set_defaults()
    # What torch and transformers make on their way in stays; to search it for garbage takes a third of their time.
    gc.set_threshold(100_000, 50, 100)
    # Nothing is asked of who runs it: a library that asks whether to run a checkpoint's code is told no.
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    script, *options = sys.argv[1:] or ["--help"]
    if not (STAGES / f"{script}.py").is_file():
        sys.exit("usage: python -m lgtm.stage <script of stages/> [--seed 1 --arm kd]; dvc.yaml has the commands")
    watch_code()
    try:
        main = importlib.import_module(f"stages.{script}").main
        arguments = _parse(main, script, options)
        name = "-".join([script, *map(str, arguments.values())])
        with _alone(name):
            _in_processes(script, lambda: _run_kept(name, script, lambda: main(**arguments), arguments))
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in OWN:
            raise
        sys.exit(f"error: {sys.executable} has no {error.name}; activate the environment: . .venv/bin/activate")
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print(f"{script}: stopped; run it again to go on", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except OSError as error:
        sys.exit(f"error: {error.filename or f'{script} in {Path.cwd()}'}: {error.strerror or one_line(error)}")
    except Exception as error:
        if not _lacks_memory(error):
            raise
        sys.exit(f"error: {script}: no memory left; lower its batch_size in params.yaml ({one_line(error)})")
    gc.freeze()  # Nor is it searched on the way out.


def _lacks_memory(error: Exception) -> bool:
    """Whether it is Python's, a GPU's or torch's own way to say that there is no memory left."""
    return isinstance(error, MemoryError) or any(
        words in f"{type(error).__name__}: {error}" for words in ("OutOfMemoryError", "can't allocate memory")
    )


@contextmanager
def _alone(name: str) -> Iterator[None]:
    from filelock import FileLock, Timeout

    if not processes.is_main():
        yield
        return
    lock = Path(".locks") / f"{name}.lock"
    lock.parent.mkdir(exist_ok=True)
    try:
        held = FileLock(lock, timeout=0).acquire()
    except Timeout as error:
        raise UserError(f"{name} is already running in this folder; wait for it or stop it") from error
    with held:
        yield


def _in_processes(script: str, work: Callable[[], None]) -> None:
    if script in SINGLE:
        if processes.count() > 1:
            raise UserError(f"{script} has nothing to share among processes; start it by itself")
        work()
    elif processes.count() > 1:  # a launcher has started this one and the others
        processes.meet()
        work()
    elif (number := processes.asked()) > 1:
        processes.launch(work, number)
    else:
        work()


def _run_kept(name: str, script: str, work: Callable[[], None], arguments: dict[str, int | str]) -> None:
    """Do the work, going on from where an earlier run of it was stopped. Raises UserError where its premises change."""
    with nullcontext() if script in SINGLE else kept(name, script, arguments):
        work()
        if changed := altered():
            raise UserError(f"{_shown(changed[0])}: changed while {script} ran with what it was before; run it again")


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _parse(main: Callable[..., None], script: str, options: list[str]) -> dict[str, int | str]:
    parser = argparse.ArgumentParser(prog=script, description=inspect.getdoc(sys.modules[main.__module__]))
    for parameter in inspect.signature(main).parameters.values():
        parser.add_argument(f"--{parameter.name}", type=parameter.annotation, required=True)
    return vars(parser.parse_args(options))


if __name__ == "__main__":
    run()
