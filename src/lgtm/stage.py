"""The frame around a stage script: arguments, one process at a time, a user's mistake as one line.

PYTHONPATH=src python -m lgtm.stage distill --seed 1 --arm kd
"""

import argparse
import gc
import hashlib
import importlib
import inspect
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from lgtm.errors import UserError

START = time.perf_counter()
STAGES = Path("stages")
SECONDS = Path("work/seconds")
# What an arm costs in seconds: these stages, and the file by which their output is known.
TIMED = {"teacher_tailored": "teacher/targets.parquet", "distill": "student/model.safetensors"}


def run() -> None:
    """Run the `main` of the stage script that the command line names, its parameters taken from there too.

    A lock per stage and cell keeps a second run from writing beside an orphaned first one. A UserError ends in one
    line on stderr and exit status 1.
    """
    # Fast tokenizers warn about forked workers; no stage forks.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    # What torch and transformers make on their way in stays; to search it for garbage takes a third of their time.
    gc.set_threshold(100_000, 50, 100)
    script, *options = sys.argv[1:] or ["--help"]
    if not (STAGES / f"{script}.py").is_file():
        sys.exit("usage: python -m lgtm.stage <script of stages/> [--seed 1 --arm kd]; dvc.yaml has the commands")
    main = importlib.import_module(f"stages.{script}").main
    arguments = _parse(main, script, options)
    name = "-".join([script, *map(str, arguments.values())])
    lock = Path(".locks") / f"{name}.lock"
    lock.parent.mkdir(exist_ok=True)
    try:
        with FileLock(lock, timeout=0):
            main(**arguments)
            if script in TIMED:
                _note_seconds(name, _timed_output(script, **arguments))
    except Timeout:
        sys.exit(f"error: {name} is already running in this folder; wait for it or stop it")
    except UserError as error:
        sys.exit(f"error: {error}")
    gc.freeze()  # Nor is it searched on the way out.


def _note_seconds(name: str, output: Path) -> None:
    """Write down how long this process took, and for which output: not in it, since it differs from run to run."""
    SECONDS.mkdir(parents=True, exist_ok=True)
    (SECONDS / name).write_text(f"{time.perf_counter() - START:.3f} {_digest(output)}\n")


def read_seconds(script: str, seed: int, arm: str) -> float | None:
    """How long the process took that made a cell's output, imports included.

    None where the output that lies there was not made here by that process: it came from the cache.
    """
    note, output = SECONDS / f"{script}-{seed}-{arm}", _timed_output(script, seed, arm)
    if not note.is_file() or not output.is_file():
        return None
    seconds, digest = note.read_text().split()
    return float(seconds) if digest == _digest(output) else None


def _timed_output(script: str, seed: int, arm: str) -> Path:
    return Path("work/runs", str(seed), arm, TIMED[script])


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _parse(main: Callable[..., None], script: str, options: list[str]) -> dict[str, int | str]:
    parser = argparse.ArgumentParser(prog=script, description=inspect.getdoc(sys.modules[main.__module__]))
    for parameter in inspect.signature(main).parameters.values():
        parser.add_argument(f"--{parameter.name}", type=parameter.annotation, required=True)
    return vars(parser.parse_args(options))


if __name__ == "__main__":
    run()
