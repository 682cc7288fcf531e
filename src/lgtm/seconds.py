"""How long the work of a cell took: noted beside its folder, where DVC does not see it, since it differs by run.

Of a cell that was stopped and went on, the seconds of all its runs but for the work that a stop has lost.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lgtm.handover import writing
from lgtm.inputs import digest
from lgtm.processes import by_main
from lgtm.resume import clock


@contextmanager
def timed(output: Path) -> Iterator[None]:
    """Note how long the work takes that writes a cell's output."""
    start = clock()
    yield
    _note(output, clock() - start)


def read_seconds(output: Path) -> float | None:
    """How long the work took that made a cell's output; None where what lies there is not what it made then."""
    path = _path(output)
    if not path.is_file() or not output.is_file():
        return None
    try:
        note = json.loads(path.read_text())
    except ValueError:  # a run was killed while it noted it
        return None
    return note["seconds"] if note["sha256"] == digest(output) else None


@by_main
def _note(output: Path, seconds: float) -> None:
    with writing(_path(output)):
        _path(output).write_text(json.dumps({"seconds": seconds, "sha256": digest(output)}) + "\n")


def _path(output: Path) -> Path:
    return output.parent.with_suffix(".seconds")  # .dvcignore has it
