"""Where the report comes from: the graph of stages, each with a digest of what it left that the report read."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict

from lgtm.inputs import digest

SHOWN = 12  # letters of a digest
# The graph of dvc.yaml in its order, one line of it beside another: what each stage does.
LEVELS = (
    {"prepare": "cuts the rows into roles and brings both networks to their start"},
    {
        "teacher_warmup": "trains the teacher on the labels",
        "student_warmup": "trains the student on the labels",
    },
    {"influence": "scores every row: does imitating the teacher on it help the student?"},
    {
        "teacher_tailored": "lets each arm make its teacher",
        "validation": "retrains students on parts of train, to see what the scores are worth",
    },
    {"distill": "trains each arm's student by its teacher"},
    {"rounds": "goes on: scores the new student, teaches and distils again"},
    {"evaluate": "reads the test, once"},
    {"report": "made this page"},
)


class Step(TypedDict):
    """A stage of the graph: what it does, how many files the report read of it, and the digest of all of them."""

    name: str
    does: str
    files: int
    digest: str


def lineage(read: dict[str, list[Path]]) -> list[list[Step]]:
    """The graph line by line; read: by stage, the files of it that the report read. A stage without any is left out.

    report itself, which ends it, has none. The digest is the SHA-256 of the files' own, in the order of their paths.
    """
    levels = [
        [_step(name, does, read.get(name, [])) for name, does in level.items() if name == "report" or read.get(name)]
        for level in LEVELS
    ]
    return [level for level in levels if level]


def _step(name: str, does: str, paths: list[Path]) -> Step:
    return Step(name=name, does=does, files=len(paths), digest=combined(paths)[:SHOWN] if paths else "")


def combined(paths: Iterable[Path]) -> str:
    """One digest of several files: of the lines `digest  path`, as sha256sum writes them."""
    lines = "".join(f"{digest(path)}  {path.as_posix()}\n" for path in sorted(paths))
    return hashlib.sha256(lines.encode()).hexdigest()
