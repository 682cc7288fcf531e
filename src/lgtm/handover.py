"""What one stage hands to the next: written, and looked at before it is read, with one line for what is wrong."""

import csv
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lgtm.config import read_yaml
from lgtm.errors import UserError, one_line

GRAPH = Path("dvc.yaml")
LENGTH = 8  # bytes in which a safetensors file says how long its header is


def require_project() -> None:
    """Raise UserError where the current folder is no project."""
    if not GRAPH.is_file():
        raise UserError(f"{Path.cwd()}: no {GRAPH} here; run it in the project's folder")


def existing(path: Path, *wanted: str) -> Path:
    """The path of a stage's output that is there and whole: no killed run, full disk or copy has left half of it.

    wanted: columns of a table, or keys of a JSON mapping, that it has to have. Only a table's footer and a weight
    file's header are read. Raises UserError with the stage that writes the file.
    """
    if not path.is_file():
        raise UserError(f"{path}: not there; {remedy(path)}")
    try:
        found = _READERS.get(path.suffix, lambda path: wanted)(path)
    except Exception as error:  # what a file can be wrong in, and what its reader raises then, has no end
        kind = {".tsv": "a table"}.get(path.suffix, f"a whole {path.suffix[1:]} file")
        raise UserError(f"{path}: not {kind} ({one_line(error)}); {remedy(path)}") from error
    if lacking := [name for name in wanted if not isinstance(found, (dict, list, tuple)) or name not in found]:
        raise UserError(f"{path}: has no {lacking[0]!r}; {remedy(path)}")
    return path


@contextmanager
def writing(path: Path, *also: type[Exception]) -> Iterator[None]:
    """Raise UserError, with the file or folder that is written, where the disk is full or may not be written.

    also: what a library raises then that is no OSError.
    """
    try:
        yield
    except (OSError, *also) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else one_line(error)
        raise UserError(f"{path}: cannot be written: {reason}") from error


def remedy(path: Path) -> str:
    """How to get a file that is missing or wrong: from the stage that writes it, by dvc.yaml."""
    stage = _writer(path)
    return f"the stage {stage} writes it: run dvc repro" if stage else "run dvc repro"


def _writer(path: Path) -> str | None:
    """The stage among whose outputs in dvc.yaml a file is; None where there is none."""
    stages = read_yaml(GRAPH)["stages"] if GRAPH.is_file() else {}
    found = {}
    for name, stage in stages.items():
        for out in stage.get("outs", []):
            folder = re.sub(r"\\\$\\\{.*?\\\}", "[^/]+", re.escape(out))
            if re.match(f"{folder}(/|$)", path.as_posix()):
                found[out] = name
    # What is said the most exactly: warmup and <arm>-rounds could be arms.
    return found[max(found, key=lambda out: len(re.sub(r"\$\{.*?\}", "", out)))] if found else None


def _columns(path: Path) -> list[str]:
    import pyarrow.parquet as pq

    return pq.read_schema(path).names


def _content(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _header(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return next(csv.reader(file, delimiter="\t"))


def _weights(path: Path) -> list[str]:
    """Names of the tensors of a safetensors file. Raises ValueError where the file does not end where they do."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(LENGTH), "little")
        size = path.stat().st_size
        if LENGTH + length > size:
            raise ValueError(f"it ends after {size} bytes")
        tensors = json.loads(file.read(length))
    tensors.pop("__metadata__", None)
    end = LENGTH + length + max((tensor["data_offsets"][1] for tensor in tensors.values()), default=0)
    if end != size:
        raise ValueError(f"it has {size} bytes, and its header says {end}")
    return list(tensors)


_READERS = {".parquet": _columns, ".json": _content, ".safetensors": _weights, ".tsv": _header}
