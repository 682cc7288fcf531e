"""DVC's lock file, to which the entries of many cells are added at a time."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from dvc.utils.serialize import dump_yaml
from dvc.utils.serialize._yaml import parse_yaml_for_update

from lgtm.inputs import digest

Entry = dict  # of a cell in dvc.lock


class LockFile:
    """dvc.lock in the current folder. `dvc repro` puts what is new behind the others, in its own order.

    A run that is stopped or fails leaves a part of what is new, and the next one adds to it: which entries were there
    before is noted until a run has ended well. The note holds for the same targets and the file as it was left.
    """

    def __init__(self, order: Sequence[str], targets: Sequence[str], note: Path):
        self.path, self.order, self.targets, self.note = Path("dvc.lock"), order, list(targets), note

    def record(self, entries: Mapping[str, Entry]) -> None:
        """Add or change entries. The file is the old one or the new one, whenever this is stopped."""
        text = self.path.read_text(encoding="utf-8") if self.path.is_file() else ""
        lock = parse_yaml_for_update(text, str(self.path)) if text else {"schema": "2.0"}
        stages = lock.setdefault("stages", {})
        before = self._before(list(stages))
        stages.update(entries)
        for name in self.order:
            if name in stages and name not in before:
                stages[name] = stages.pop(name)
        new = self.note.with_name("dvc.lock.new")
        dump_yaml(str(new), lock)
        left = [digest(path) for path in (self.path, new) if path.is_file()]  # whichever a kill lets stand
        _replace(self.note, json.dumps({"before": before, "targets": self.targets, "left": left}))
        new.replace(self.path)

    def settle(self) -> None:
        """Call it when all has run: what is new from now on is new to the file as it is now."""
        self.note.unlink(missing_ok=True)

    def _before(self, now: list[str]) -> list[str]:
        """The entries that were there before this run, or before the first of those that were stopped."""
        try:
            note = json.loads(self.note.read_text())
        except (FileNotFoundError, ValueError):
            return now
        as_left = not self.path.is_file() or digest(self.path) in note["left"]
        return note["before"] if as_left and note["targets"] == self.targets else now


def _replace(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)
