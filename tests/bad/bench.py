"""Runs a stage on bad input in a fork of this process, as a user's shell would see it, and holds it to one line."""

import copy
import hashlib
import os
import re
import resource
import runpy
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tiny_project
import yaml
from tiny_project import ROOT

from lgtm import inputs, stage

SECONDS = 60  # until a run counts as a hang
MEMORY = 3 * 2**30  # bytes that a run may have beyond those of this process
GRAPH = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
YES = b"y\n" * 20  # on standard input: whoever asks is told yes
CELLS = [
    "prepare", "teacher_warmup --seed 1", "student_warmup --seed 1", "influence --seed 1", "validation --seed 1",
    "teacher_tailored --seed 1 --arm kd", "distill --seed 1 --arm kd", "teacher_tailored --seed 1 --arm tailored",
    "distill --seed 1 --arm tailored", "selection", "evaluate_warmup --seed 1", "evaluate --seed 1 --arm kd",
    "evaluate --seed 1 --arm tailored", "report",
]  # fmt: skip


@dataclass(frozen=True)
class Case:
    """Bad input: what differs from a workspace in which all is well, what is run there, and what the line has to say.

    params, task, pair: changes of the file, keys as in `dvc exp run -S`; `DROP` drops a key. files: a file's new
    content, or what makes it of its path. without: what is not there. inside: what the process does before it begins.
    late: whether the mistake shows only when the stage has begun to write.
    """

    name: str
    says: tuple[str, ...]
    run: str = "prepare"
    params: dict[str, Any] = field(default_factory=dict)
    task: dict[str, Any] = field(default_factory=dict)
    pair: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str | bytes | Callable[[Path], None]] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    inside: Callable[[], None] = lambda: None
    late: bool = False

    @property
    def own(self) -> tuple[str, ...]:
        """What the run may have written: where it is told late, the outputs of the stage, which DVC has removed."""
        script, *options = self.run.split()
        if not self.late and script != "prepare":
            return ()
        values = dict(zip(options[::2], options[1::2], strict=True))
        outs = GRAPH[script].get("outs", []) + [name for out in GRAPH[script].get("metrics", []) for name in out]
        outs += GRAPH[script].get("plots", [])
        return tuple(
            out.replace("${item.seed}", values.get("--seed", "")).replace("${item.arm}", values.get("--arm", ""))
            for out in outs
        )


class _Drop:
    def __repr__(self) -> str:
        return "DROP"

    def __deepcopy__(self, memo) -> "_Drop":
        return self


DROP = _Drop()


@dataclass(frozen=True)
class Ended:
    """How a run has ended: its status, negative for a signal, and all that it has said."""

    status: int
    said: str

    @property
    def error(self) -> str:
        """Its one line. Raises AssertionError for anything else than one line and status 1."""
        assert self.status != -signal.SIGALRM, f"hung for {SECONDS} s\n{self.said}"
        assert "Traceback" not in self.said, self.said
        lines = [line for line in re.split(r"[\r\n]+", self.said) if line.strip()]
        errors = [line for line in lines if line.startswith("error: ")]
        assert len(errors) == 1, self.said or "nothing was said"
        assert lines[-1] == errors[0], self.said
        assert self.status == 1, f"exit status {self.status}\n{self.said}"
        return errors[0]


def set_up(folder: Path) -> None:
    """Write a workspace in which all is well and every cell has run."""
    folder.mkdir()
    tiny_project.write_cards(folder)
    for name in ("stages", "dvc.yaml"):
        (folder / name).symlink_to(ROOT / name)
    params = tiny_project.settings(seeds=[1], arms=["kd", "tailored"])
    tiny_project.edit(params, {"validation.subsets": 0, "validation.removals": []})
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    for cell in CELLS:
        ended = run(folder, cell)
        assert ended.status == 0, ended.said


def spoil(folder: Path, case: Case) -> None:
    """Make a workspace what the case says."""
    for name, changes in (("params", case.params), ("tasks/tiny/task", case.task), ("pairs/tiny", case.pair)):
        if changes:
            path = folder / f"{name}.yaml"
            path.write_text(yaml.safe_dump(edited(yaml.safe_load(path.read_text()), changes), sort_keys=False))
    for name in case.without:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name, content in case.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if callable(content):
            content(path)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())


def edited(content: dict, changes: dict[str, Any]) -> dict:
    """The content with other values; a key that is not there is added."""
    content = copy.deepcopy(content)
    for key, value in changes.items():
        *parents, last = key.split(".")
        section = content
        for parent in parents:
            section = section.setdefault(parent, {})
        if value is DROP:
            del section[last]
        else:
            section[last] = value
    return content


def run(folder: Path, command: str, inside: Callable[[], None] = lambda: None) -> Ended:
    """Run a stage, or a module of lgtm, in the folder, in a fork; `inside` is called in it first."""
    output = folder.parent / f"{folder.name}.output"
    child = os.fork()
    if child == 0:
        status = 70
        try:
            _become(folder, output, command)
            inside()
            if command.startswith("lgtm."):
                runpy.run_module(command.split()[0], run_name="__main__", alter_sys=True)
            else:
                stage.run()
            status = 0
        except SystemExit as error:
            if isinstance(error.code, str):
                print(error.code, file=sys.stderr)
            status = error.code if isinstance(error.code, int) else int(error.code is not None)
        except BaseException:
            traceback.print_exc()
            status = 1
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return Ended(os.waitstatus_to_exitcode(status), output.read_text(errors="replace"))


def _become(folder: Path, output: Path, command: str) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(SECONDS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    yes, asked = os.pipe()
    os.write(asked, YES)
    os.close(asked)
    os.dup2(yes, 0)
    written = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(written, 1)
    os.dup2(written, 2)
    # pytest has put others in their place.
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
    os.chdir(folder)
    inputs._read.clear()
    sys.argv = command.split() if command.startswith("lgtm.") else ["lgtm.stage", *command.split()]


def digests(folder: Path, case: Case) -> dict[str, str]:
    """What every file holds but locks, what a run keeps to go on from, and what the run may have written."""
    own = (".locks", ".resume", "stages", *case.own)
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and not name.startswith(own):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found
