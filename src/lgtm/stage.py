"""The frame around a stage script: arguments, one process at a time, a user's mistake as one line.

PYTHONPATH=src:stages python -m lgtm.stage distill --seed 1 --arm kd
"""

import argparse
import gc
import importlib
import inspect
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from lgtm.errors import UserError

SECONDS = Path("work/seconds")


def run() -> None:
    """Run the `main` of the stage script that the command line names, its parameters taken from there too.

    A lock per stage and cell keeps a second run from writing beside an orphaned first one. A UserError ends in one
    line on stderr and exit status 1.
    """
    # cuBLAS is deterministic only with a fixed workspace, which has to be set before CUDA starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # Fast tokenizers warn about forked workers; no stage forks.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    # What torch and transformers make on their way in stays; to search it for garbage takes a third of their time.
    gc.set_threshold(100_000, 50, 100)
    script, *options = sys.argv[1:]
    main = importlib.import_module(script).main
    arguments = _parse(main, script, options)
    name = "-".join([script, *map(str, arguments.values())])
    lock = Path(".locks") / f"{name}.lock"
    lock.parent.mkdir(exist_ok=True)
    try:
        with FileLock(lock, timeout=0):
            start = time.perf_counter()
            main(**arguments)
            _note_seconds(name, time.perf_counter() - start)
    except Timeout:
        sys.exit(f"error: {name} is already running in this folder; wait for it or stop it")
    except UserError as error:
        sys.exit(f"error: {error}")
    gc.freeze()  # Nor is it searched on the way out.


def _note_seconds(name: str, seconds: float) -> None:
    """Write down how long a stage took, imports left out: no output of it, since it differs from run to run."""
    SECONDS.mkdir(parents=True, exist_ok=True)
    (SECONDS / name).write_text(f"{seconds:.3f}\n")


def read_seconds(*name: str | int) -> float | None:
    """How long a stage took when it last ran here: read_seconds("distill", 1, "kd"). None if it never did."""
    path = SECONDS / "-".join(map(str, name))
    return float(path.read_text()) if path.is_file() else None


def _parse(main: Callable[..., None], script: str, options: list[str]) -> dict[str, int | str]:
    parser = argparse.ArgumentParser(prog=script, description=inspect.getdoc(sys.modules[main.__module__]))
    for parameter in inspect.signature(main).parameters.values():
        parser.add_argument(f"--{parameter.name}", type=parameter.annotation, required=True)
    return vars(parser.parse_args(options))


if __name__ == "__main__":
    run()
