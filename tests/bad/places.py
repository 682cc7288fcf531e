"""Where things are and who may write there: full and read-only disks, links, two runs at once, no git, no DVC."""

import os
import resource
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from bad.artifacts import ARM, SEED
from bad.bench import DROP, Case

FULL = "No space left on device"
NOBODY = 65534
FULL_DISK = [
    # what is run, what it cannot write, what the line names
    ("prepare", "work/data/transfer.parquet", "work/data/transfer.parquet"),
    ("prepare", "work/data/train.parquet", "work/data/train.parquet"),
    ("prepare", "work/data/task.json", "work/data/task.json"),
    ("prepare", "work/init/student/config.json", "work/init/student: "),
    (f"student_warmup {SEED}", "work/runs/1/student/tokenizer.json", "work/runs/1/student"),
    (f"teacher_warmup {SEED}", "work/runs/1/teacher/targets.parquet", "work/runs/1/teacher/targets.parquet"),
    (f"influence {SEED}", "work/runs/1/influence/influence.parquet", "work/runs/1/influence/influence.parquet"),
    (f"teacher_tailored {ARM}", "work/runs/1/tailored/teacher/targets.parquet", "work/runs/1/tailored/teacher/targets"),
    (f"distill {ARM}", "work/runs/1/tailored/student/cost.json", "work/runs/1/tailored/student/cost.json"),
    (f"evaluate {ARM}", "work/evaluation/1/tailored/leaderboard/TINY.tsv", "work/evaluation/1/tailored/leaderboard"),
    ("selection", "reports/selection.json", "reports/selection.json"),
    ("report", "reports/results.md", "reports: "),
]  # fmt: skip
_HELD = []


def full(path: Path) -> None:
    """A file on a disk without room: what is written to it fails as on one."""
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/full")


def to(target: str) -> Callable[[Path], None]:
    """A link."""

    def link(path: Path) -> None:
        path.unlink(missing_ok=True)
        (path.parents[2].parent / "outside").mkdir(exist_ok=True)
        (path.parents[2].parent / "outside/secret.csv").write_text("text,label\na,fine\nb,awful\n")
        path.symlink_to(target)

    return link


def held(path: Path) -> None:
    """A lock that this process holds."""
    lock = FileLock(path)
    lock.acquire()
    _HELD.append(lock)


def as_nobody() -> None:
    """Become a user who may read here and not write; root may write anywhere."""
    for path in (Path(), *Path().rglob("*")):
        if not path.is_symlink():
            path.chmod(0o555 if path.is_dir() else 0o444)
    if os.getuid() == 0:
        os.setegid(NOBODY)
        os.seteuid(NOBODY)


def who_may_not_read() -> None:
    Path("params.yaml").chmod(0)
    if os.getuid() == 0:
        Path(".locks").chmod(0o777)
        Path(".locks/prepare.lock").chmod(0o666)
        os.setegid(NOBODY)
        os.seteuid(NOBODY)


def with_small_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))


TASK = "tasks/tiny/task.yaml"
LINKS = [
    # what is a link, where to, changes of the card, what the line says
    (
        "tasks/tiny/train.csv",
        "../../../outside/secret.csv",
        {},
        f"a link to outside of tasks/tiny, and {TASK} names it",
    ),
    ("tasks/tiny/test.csv", "/etc/passwd", {}, f"a link to outside of tasks/tiny, and {TASK} names it; copy the file"),
    ("tasks/tiny/new.csv", "/etc/hostname", {}, f"a link to outside of tasks/tiny, and {TASK} names it; copy the file"),
    (
        "tasks/tiny/hidden.csv",
        "/etc/passwd",
        {},
        f"a link to outside of tasks/tiny, and {TASK} names it; copy the file",
    ),
    ("tasks/tiny/sub", "../../../outside", {"files.train": "sub/secret.csv"}, "a link to outside of tasks/tiny"),
    ("tasks/tiny/train.csv", "train.csv", {}, "tasks/tiny/train.csv: a link to what is not there"),
    ("tasks/tiny/train.csv", "nosuch.csv", {}, "tasks/tiny/train.csv: a link to what is not there"),
]
CASES = [
    *(
        Case(f"full disk: {run}: {path}", (names, FULL), run, files={path: full}, late=True)
        for run, path, names in FULL_DISK
    ),
    Case("files of a limited size", ("work/runs/1/teacher: cannot be written", "File too large"),
         f"teacher_warmup {SEED}", late=True, without=("work/runs/1/teacher",), inside=with_small_files),
    *(
        Case(f"link {path} to {target}", (path, says), task=changes, files={path: to(target)})
        for path, target, changes, says in LINKS
    ),
    Case("a link of answers", ("tasks/tiny/answers.csv: a link to outside of tasks/tiny, and pairs/tiny.yaml names",),
         params={"arms": ["kd"]}, files={"tasks/tiny/answers.csv": to("/etc/passwd")},
         pair={"teacher": {"predictions": {"file": "answers.csv", "text": "text", "kind": "logits"}}}),
    Case("read-only", (".locks/prepare.lock", "Permission denied"), inside=as_nobody),
    Case("unreadable", ("params.yaml: Permission denied",), inside=who_may_not_read),
    Case("a file in place of work", ("work/data/transfer.parquet: cannot be written: ",), without=("work",), late=True,
         files={"work": "x"}),
    Case("a file in place of locks", (".locks", "File exists"), without=(".locks",), files={".locks": "x"}),
    Case("a folder in place of params", ("params.yaml: no such file",), without=("params.yaml",),
         files={"params.yaml/x": "x"}),
    Case("two at once", ("prepare is already running in this folder; wait for it or stop it",),
         files={".locks/prepare.lock": held}),
    Case("two at once, of a cell", ("distill-1-kd is already running in this folder; wait for it or stop it",),
         "distill --seed 1 --arm kd", files={".locks/distill-1-kd.lock": held}),
    Case("two runners", ("the cells of this folder are run already; wait for that or stop it",), "lgtm.runner",
         files={".locks/runner.lock": held}),
    Case("runner: no DVC", ("not inside of a DVC repository",), "lgtm.runner"),
    Case("runner: no dvc.yaml", ("no dvc.yaml here; run it in the project's folder",), "lgtm.runner",
         without=("dvc.yaml",)),
    Case("runner: task", ("params.yaml: task: no folder tasks/nosuch; there are tiny",), "lgtm.runner",
         params={"task": "nosuch"}),
    Case("runner: pair", ("params.yaml: pair: no card pairs/nosuch.yaml; there are tiny",), "lgtm.runner",
         params={"pair": "nosuch"}),
    Case("runner: no task", ("params.yaml: task: missing",), "lgtm.runner", params={"task": DROP}),
    Case("runner: params", ("params.yaml: not valid YAML",), "lgtm.runner", files={"params.yaml": "task: [x"}),
    Case("runner: no params", ("params.yaml: no such file",), "lgtm.runner", without=("params.yaml",)),
    Case("recipe", ("no recipe recipes/17.yaml; there are none: take the one nearest to your rows",), "lgtm.recipe 17"),
]  # fmt: skip
