"""What git and DVC's cache still have of a run: its settings, and any output that its dvc.lock names."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from dvc.repo import Repo
from dvc.utils.serialize import parse_yaml as parse_quickly

from lgtm.compare.runs import WORKSPACE, Run, content, flat, read_run
from lgtm.config import cards, parse_yaml
from lgtm.errors import UserError
from lgtm.git import git

LOCK = "dvc.lock"
CODE = ("src/", "stages/")


@dataclass
class Revision:
    """A run by the name that the user gives it; commit: of git, or WORKSPACE."""

    name: str
    commit: str
    cache: "Cache"
    run: Run = field(init=False)

    def __post_init__(self) -> None:
        try:
            self.run = read_run(self.name, "", self.commit, "test")
        except FileNotFoundError as error:
            raise UserError(f"{self.name}: has no params.yaml; name a commit or experiment of this project") from error

    @cached_property
    def settings(self) -> dict[str, Any]:
        """All settings, flat: params.yaml's by their keys, the cards' behind pair and task."""
        found = dict(self.run.settings)
        params = parse_yaml(content(self.commit, "params.yaml"), Path("params.yaml"))
        for kind, card in zip(("pair", "task"), cards(params), strict=True):
            found |= {f"{kind}: {key}": value for key, value in flat(self._card(card)).items()}
        return found

    def _card(self, path: str) -> dict[str, Any]:
        try:
            return parse_yaml(content(self.commit, path), Path(path))
        except FileNotFoundError:
            return {}

    @cached_property
    def stages(self) -> dict[str, dict[str, Any]]:
        """The entries of dvc.lock by cell; none where there is no dvc.lock."""
        try:
            text = content(self.commit, LOCK)
        except FileNotFoundError:
            return {}
        return parse_quickly(text, LOCK).get("stages", {})

    @cached_property
    def inputs(self) -> dict[str, str]:
        """The hash of every file or folder of code and data that a cell has read and none has written."""
        outs = {PurePosixPath(out["path"]) for stage in self.stages.values() for out in stage.get("outs", [])}
        deps = [dep for stage in self.stages.values() for dep in stage.get("deps", [])]
        made = [dep for dep in deps if not outs & {PurePosixPath(dep["path"]), *PurePosixPath(dep["path"]).parents}]
        return {dep["path"]: dep["md5"] for dep in made if "md5" in dep and not dep["path"].startswith("work/")}

    @cached_property
    def outs(self) -> dict[str, str]:
        """The hash of every output."""
        return {out["path"]: out["md5"] for stage in self.stages.values() for out in stage.get("outs", [])}

    def hash_of(self, path: str) -> str | None:
        """The hash of an output or of a file in one; None where it is not known, or its list is not in the cache."""
        for parent in (PurePosixPath(path), *PurePosixPath(path).parents):
            if own := self.outs.get(str(parent)):
                inside = str(PurePosixPath(path).relative_to(parent))
                return own if inside == "." else self.cache.listed(own).get(inside)
        return None

    def cached(self, path: str) -> Path | None:
        """The bytes of an output, or of a file in one, in DVC's cache; None where they are not there."""
        value = self.hash_of(path)
        file = self.cache.file(value) if value else None
        return file if file and file.is_file() else None


class Cache:
    """DVC's cache of the project in the current folder."""

    def __init__(self, repo: Repo):
        self.repo, self.lists = repo, {}

    def file(self, value: str) -> Path:
        """Where the bytes of a hash are, if they are there."""
        return Path(self.repo.cache.local.oid_to_path(value))

    def listed(self, value: str) -> dict[str, str]:
        """The hashes of the files of a folder; none where the list is not there."""
        if value not in self.lists:
            file = self.file(value)
            entries = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
            self.lists[value] = {entry["relpath"]: entry["md5"] for entry in entries}
        return self.lists[value]


def find(name: str) -> str:
    """The commit of a revision of git or of an experiment, or WORKSPACE. Raises UserError for none and for several."""
    if name == WORKSPACE:
        return name
    if not name.startswith("-") and (commit := git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")):
        return commit.strip()
    lines = (git("for-each-ref", "--format=%(objectname) %(refname)", "refs/exps") or "").splitlines()
    known = {}
    for commit, _, ref in (line.partition(" ") for line in lines):
        parts = ref.split("/")  # refs/exps/<two digits>/<the others>/<name>; others are DVC's own
        if len(parts) == 5:
            known.setdefault(parts[-1], []).append(commit)
    found = known.get(name, [])
    if len(found) > 1:
        raise UserError(f"{name}: {len(found)} experiments are called so; give the commit: {', '.join(found)}")
    if not found:
        there = ", ".join(sorted(known)) or "none"
        raise UserError(f"{name}: no commit, branch, tag or experiment; give one, or {WORKSPACE}; experiments: {there}")
    return found[0]
