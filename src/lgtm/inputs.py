"""What a process has read, held against the files when it ends.

DVC records the parameters, cards, data and code of a stage as they are when the stage ends; the stage read them when it
began. Where they changed in between, the record would be of a run that never was, which the cache would hand out later.
"""

import hashlib
import sys
from pathlib import Path

Digest = str
STAGES = Path("stages")  # their scripts, in the project's folder
_read: dict[Path, Digest] = {}
_code: dict[Path, Digest] = {}


def watch(path: Path) -> None:
    """Remember a file as it is now: call it before reading what a result depends on."""
    _read.setdefault(path.absolute(), digest(path))


def watch_code() -> None:
    """Remember the project's own Python files as they are now: call it before importing the stages.

    What a process has remembered, its forks have too: they run what it imported.
    """
    for folder in (STAGES, Path(__file__).parent):
        for path in folder.absolute().rglob("*.py"):
            if path not in _code:
                _code[path] = digest(path)


def altered() -> list[Path]:
    """Watched files and imported modules that are no longer as they were read; a module not imported may change."""
    imported = {
        Path(module.__file__).absolute() for module in list(sys.modules.values()) if getattr(module, "__file__", None)
    }
    before = _read | {path: known for path, known in _code.items() if path in imported}
    return sorted(path for path, known in before.items() if not path.is_file() or digest(path) != known)


def digest(path: Path) -> Digest:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
