"""A copy of the project with a tiny task, driven as a user drives it."""

import copy
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import tiny_project
import yaml
from tiny_project import ROOT


class Project:
    """The copy, in a git repository of its own; calling it runs a command there and returns its output."""

    def __init__(self, root: Path):
        self.root = root
        self.path = [Path(sys.executable).parent]
        self.environment: dict[str, str] = {}
        tracked = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        for name in tracked.stdout.splitlines():
            if (ROOT / name).is_file() and name != "dvc.lock" and not name.startswith("reports/"):
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, root / name)
        tiny_project.write_cards(root)
        self.params = tiny_project.settings(seeds=[1], arms=["kd", "tailored"])
        self.edit({"distill.keep": "last"})  # the best of so short a training may be its start
        self("git", "init", "--quiet")
        self("git", "add", "--all")
        self("git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "--message", "start")

    @classmethod
    def clone(cls, other: "Project", root: Path) -> "Project":
        """A clone of another's git repository: what its host has."""
        project = cls.__new__(cls)
        project.root, project.path, project.params = root, list(other.path), copy.deepcopy(other.params)
        project.environment = dict(other.environment)
        other("git", "clone", "--quiet", other("git", "remote", "get-url", "origin").strip(), str(root))
        return project

    def edit(self, changes: dict) -> None:
        tiny_project.edit(self.params, changes)
        (self.root / "params.yaml").write_text(yaml.safe_dump(self.params, sort_keys=False))

    def __call__(self, *command: str, check: bool = True) -> str:
        environment = os.environ | {"PATH": ":".join([*map(str, self.path), os.environ["PATH"]])} | self.environment
        done = subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True)
        output = done.stdout + done.stderr
        assert not check or done.returncode == 0, output
        assert check or done.returncode != 0, output
        return output

    def run(self, *options: str) -> set[str]:
        """Run `dvc repro` and return the stages that really ran."""
        return set(re.findall(r"Running stage '(.+)':", self("dvc", "repro", *options)))

    def repro(self, *options: str) -> set[str]:
        """The same, and nothing is left to run, which a run that runs nothing says as well."""
        ran = self.run(*options)
        assert self("dvc", "status").strip() == "Data and pipelines are up to date."
        return ran

    def metrics(self) -> dict:
        return json.loads((self.root / "reports/metrics.json").read_text())


GATHER = {"selection", "report", "ship"}


def cells(seed: int, *arms: str) -> set[str]:
    warm = {"teacher_warmup", "student_warmup", "influence", "validation", "evaluate_warmup"}
    return {f"{stage}@{seed}" for stage in warm} | {
        f"{stage}@{seed}-{arm}" for stage in ("teacher_tailored", "distill", "evaluate") for arm in arms
    }
