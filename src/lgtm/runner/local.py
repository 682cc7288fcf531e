"""Cells in this folder, beside each other."""

import json
import re
import time
from pathlib import Path

from lgtm.errors import visible
from lgtm.runner.schedule import Outcome
from lgtm.runner.warm import WarmPython

LOGS = Path("work/logs")
LINES = 12  # of a failed cell's output


def run_cell(warm: WarmPython, name: str) -> Outcome:
    """Run a cell in a fork of the warm python."""
    return run_module(warm, "lgtm.runner.cell", name)


def run_module(warm: WarmPython, module: str, name: str, *arguments: str) -> Outcome:
    """Run a module for a cell in a fork of the warm python; its output goes to a file of LOGS.

    The module is given the cell's name, the further arguments, and where it writes the cell's entry.
    """
    began = time.monotonic()
    log, result = warm.project / log_of(name), warm.folder / f"{name}.json"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    status = warm.run(module, name, *arguments, str(result), log=log)
    seconds = time.monotonic() - began
    if status:
        return Outcome(name, seconds, failure=_reason(log, status))
    return Outcome(name, seconds, entry=json.loads(result.read_text()))


def log_of(name: str) -> Path:
    """The file of a cell's output."""
    return LOGS / f"{name}.log"


def last_line(log: Path) -> str:
    """What the cell shows last: of progress bars, which write over themselves, the last state."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 2**12))
            lines = file.read().decode(errors="replace").replace("\r", "\n").splitlines()
    except OSError:
        return ""
    return visible(next((line.strip() for line in reversed(lines) if line.strip()), ""))


def _reason(log: Path, status: int) -> str:
    """Why a cell failed: its error in one line where it has one, and else the end of its output."""
    lines = [visible(line) for line in log.read_text(errors="replace").replace("\r", "\n").splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    reason = errors[0] if errors else "\n".join([*lines[-LINES:], f"exited with {status}"])
    return re.sub(r"exited with (2[0-5]\d|19[3-9])", lambda found: f"killed by signal {256 - int(found[1])}", reason)
