"""What a student was made of and by which commands: from dvc.lock, git and the note of the environment beside it."""

import importlib.metadata
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from lgtm.git import git

LOCK = Path("dvc.lock")
PACKAGES = ("lgtm", "torch", "transformers", "tokenizers", "onnx", "onnxruntime")


@dataclass
class Lineage:
    """stage: the cell of dvc.lock that wrote the folder, None where none did; read, made: path and md5 each.

    commit: of git, with changed where tracked files were not as committed. trained_with: the environment's note.
    """

    stage: str | None = None
    command: str | None = None
    read: list[tuple[str, str]] = field(default_factory=list)
    made: list[tuple[str, str]] = field(default_factory=list)
    commit: str | None = None
    changed: bool = False
    trained_with: dict[str, Any] = field(default_factory=dict)
    exported_with: dict[str, str] = field(default_factory=dict)


def lineage(folder: Path) -> Lineage:
    """All that is known of how a student's folder came to be; nothing is hashed anew (`lgtm verify` does that)."""
    commit = git("rev-parse", "HEAD")
    note = folder / "environment.json"
    found = Lineage(
        commit=commit and commit.strip(),
        changed=bool(commit and git("status", "--porcelain", "--untracked-files=no")),
        trained_with=json.loads(note.read_text(encoding="utf-8")) if note.is_file() else {},
        exported_with=_versions(),
    )
    stages = YAML(typ="safe").load(LOCK.read_text(encoding="utf-8")).get("stages", {}) if LOCK.is_file() else {}
    for name, cell in stages.items():
        made = _hashes(cell.get("outs", []))
        if folder.resolve() in [Path(path).resolve() for path, _ in made]:
            found.stage, found.command, found.made = name, cell["cmd"], made
            found.read = _hashes(cell.get("deps", []))
    return found


def _hashes(entries: list[dict]) -> list[tuple[str, str]]:
    return [(entry["path"], entry.get("md5", "")) for entry in entries]


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
