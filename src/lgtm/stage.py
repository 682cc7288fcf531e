"""The frame around a stage script: arguments, one process at a time, a user's mistake as one line."""

import argparse
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from lgtm.errors import UserError


def run(main: Callable[..., None]) -> None:
    """Run a stage's `main` with its parameters taken from the command line (`--seed 1 --arm kd`).

    A lock per stage and cell keeps a second run from writing beside an orphaned first one. A UserError ends in one
    line on stderr and exit status 1.
    """
    # cuBLAS is deterministic only with a fixed workspace, which has to be set before CUDA starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # Fast tokenizers warn about forked workers; no stage forks.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    arguments = _parse(main)
    name = "-".join([Path(sys.argv[0]).stem, *map(str, arguments.values())])
    lock = Path(".locks") / f"{name}.lock"
    lock.parent.mkdir(exist_ok=True)
    try:
        with FileLock(lock, timeout=0):
            main(**arguments)
    except Timeout:
        sys.exit(f"error: {name} is already running in this folder; wait for it or stop it")
    except UserError as error:
        sys.exit(f"error: {error}")


def _parse(main: Callable[..., None]) -> dict[str, int | str]:
    parser = argparse.ArgumentParser(description=inspect.getdoc(sys.modules[main.__module__]))
    for parameter in inspect.signature(main).parameters.values():
        parser.add_argument(f"--{parameter.name}", type=parameter.annotation, required=True)
    return vars(parser.parse_args())
