"""What a user may ask about: a figure in a file, a file or folder that a stage writes, a sample."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from lgtm.errors import UserError
from lgtm.handover import existing

SAMPLE = re.compile(r"[\w.-]+-\d+")
SOME = 12


class Target(NamedTuple):
    """A path, with the key in it and its value where one figure is asked about; or the id of a sample."""

    path: str = ""
    key: str = ""
    value: Any = None
    sample: str = ""


def parse_target(text: str) -> Target:
    """What is asked about. Raises UserError for what is none of these, and for a key that the file has not."""
    path, _, key = text.partition(":")
    if key:
        return Target(path, key, _value(Path(path), key))
    if not Path(text).exists() and "/" not in text and SAMPLE.fullmatch(text):
        return Target(sample=text)
    return Target(text.rstrip("/") or text)


def _value(path: Path, key: str) -> Any:
    if path.suffix != ".json":
        raise UserError(f"{path}:{key}: a figure's key is of a .json file, such as reports/metrics.json")
    value = json.loads(existing(path).read_text(encoding="utf-8"))
    done: list[str] = []
    rest = key
    while rest:
        # A name may have a dot in it, as `0.5` has: the longest that is there.
        names = sorted(value, key=len, reverse=True) if isinstance(value, dict) else []
        found = next((name for name in names if rest == name or rest.startswith(f"{name}.")), None)
        if found is None:
            there = ", ".join(sorted(names)[:SOME]) + (", …" if len(names) > SOME else "") or "nothing below it"
            where = ".".join(done) or "the file"
            raise UserError(f"{path}: no key {rest!r} in {where}; it has {there}")
        value, done, rest = value[found], [*done, found], rest[len(found) + 1 :]
    return value


def arm_of(target: Target, arms: list[str]) -> str | None:
    """The arm that a figure is of alone: `arms.<arm>.…` and `teachers.<arm>.…` of reports/metrics.json."""
    parts = target.key.split(".")
    if Path(target.path).name == "metrics.json" and parts[0] in ("arms", "teachers") and parts[1:2]:
        return parts[1] if parts[1] in arms else None
    return None
