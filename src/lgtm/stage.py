"""The frame around a stage script: arguments, one process at a time, a user's mistake as one line.

PYTHONPATH=src python -m lgtm.stage distill --seed 1 --arm kd
"""

import argparse
import gc
import importlib
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path

from lgtm.errors import UserError
from lgtm.inputs import STAGES, altered, watch_code

OWN = ("lgtm", "stages")


def run() -> None:
    """Run the `main` of the stage script that the command line names, its parameters taken from there too.

    A lock per stage and cell keeps a second run from writing beside an orphaned first one. A UserError ends in one
    line on stderr and exit status 1, and so does a run whose settings or code changed under it: DVC records nothing.
    """
    # Fast tokenizers warn about forked workers; no stage forks.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    # What torch and transformers make on their way in stays; to search it for garbage takes a third of their time.
    gc.set_threshold(100_000, 50, 100)
    # The number of threads changes the bytes: one, unless it is said, whether cells run side by side or not.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    script, *options = sys.argv[1:] or ["--help"]
    if not (STAGES / f"{script}.py").is_file():
        sys.exit("usage: python -m lgtm.stage <script of stages/> [--seed 1 --arm kd]; dvc.yaml has the commands")
    watch_code()
    try:
        main = importlib.import_module(f"stages.{script}").main
        arguments = _parse(main, script, options)
        _run_alone("-".join([script, *map(str, arguments.values())]), lambda: main(**arguments))
        if changed := altered():
            raise UserError(f"{_shown(changed[0])}: changed while {script} ran with what it was before; run it again")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in OWN:
            raise
        sys.exit(f"error: {sys.executable} has no {error.name}; activate the environment: . .venv/bin/activate")
    except UserError as error:
        sys.exit(f"error: {error}")
    gc.freeze()  # Nor is it searched on the way out.


def _run_alone(name: str, work: Callable[[], None]) -> None:
    from filelock import FileLock, Timeout

    lock = Path(".locks") / f"{name}.lock"
    lock.parent.mkdir(exist_ok=True)
    try:
        with FileLock(lock, timeout=0):
            work()
    except Timeout as error:
        raise UserError(f"{name} is already running in this folder; wait for it or stop it") from error


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _parse(main: Callable[..., None], script: str, options: list[str]) -> dict[str, int | str]:
    parser = argparse.ArgumentParser(prog=script, description=inspect.getdoc(sys.modules[main.__module__]))
    for parameter in inspect.signature(main).parameters.values():
        parser.add_argument(f"--{parameter.name}", type=parameter.annotation, required=True)
    return vars(parser.parse_args(options))


if __name__ == "__main__":
    run()
