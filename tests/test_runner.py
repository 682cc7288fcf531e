"""Cells side by side leave what `dvc repro` leaves: the same lock, or where they are stopped a tree to go on from."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from project import GATHER, Project, cells

from benchmarks import stress
from lgtm.runner.warm import WarmPython

RUNNER = ("env", "PYTHONPATH=src", "python", "-m", "lgtm.runner", "--jobs", "2")


# In every python of the project: what would leave the machine is refused, and noted.
GUARD = """
import os, socket, sys
def guard(event, arguments):
    if event in ("socket.connect", "socket.sendto") and arguments[0].family == socket.AF_UNIX:
        return
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"):
        with open(os.path.join(os.path.dirname(__file__), "connections"), "a") as file:
            print(event, arguments[1:], *sys.argv, file=file)
        raise PermissionError(f"{event} {arguments[1:]}")
sys.addaudithook(guard)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project that plain `dvc repro` has run."""
    made = Project(tmp_path_factory.mktemp("project"))
    (made.root / "src/sitecustomize.py").write_text(GUARD)
    made.environment = {"PYTHONPATH": str(made.root / "src")}
    with WarmPython(made.root) as warm:
        warm.start()
        made.path.insert(0, warm.folder)
        made.first = made.repro()
        made.path.pop(0)
    made.lock = (made.root / "dvc.lock").read_bytes()
    return made


def forget(project: Project) -> None:
    """As in a fresh clone: no lock, no artifacts, no cache."""
    (project.root / "dvc.lock").unlink()
    for folder in ("work", "reports", ".dvc/cache", ".dvc/tmp"):
        shutil.rmtree(project.root / folder)


def ran(output: str) -> set[str]:
    return set(re.findall(r"^\d+/\d+  (\S+)  ", output, re.MULTILINE))


def start(project: Project) -> subprocess.Popen:
    """The runner in the background, in a process group of its own."""
    environment = os.environ | {"PATH": ":".join([*map(str, project.path), os.environ["PATH"]])}
    return subprocess.Popen(
        RUNNER, cwd=project.root, env=environment, text=True, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        # A shell that runs the tests in the background would have it ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def wait_for(condition, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def processes(project: Project) -> list[psutil.Process]:
    """What runs in the project's folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()) == project.root and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def test_side_by_side_leaves_the_lock_of_dvc_repro(project):
    forget(project)
    assert ran(project(*RUNNER)) == project.first == {"prepare"} | cells(1, "kd", "tailored") | GATHER
    assert (project.root / "dvc.lock").read_bytes() == project.lock
    assert project("dvc", "status").strip() == "Data and pipelines are up to date."
    assert "all up to date" in project(*RUNNER)


def test_nothing_has_left_the_machine_in_a_whole_run(project):
    """By Python's own sockets; what libraries do by themselves, strace has shown (docs/log.md, 2026-11-26)."""
    noted = project.root / "src/connections"
    assert not noted.exists()
    reach = "import socket; socket.socket().connect(('127.0.0.1', 9))"
    assert "PermissionError" in project("env", "PYTHONPATH=src", "python", "-c", reach, check=False)
    assert noted.read_text().startswith("socket.connect (('127.0.0.1', 9),) -c")
    noted.unlink()


def test_a_run_ends_in_what_its_report_says_first(project):
    lines = project(*RUNNER).splitlines()  # what went to stdout comes first here
    (began,) = (number for number, line in enumerate(lines) if line == "Results: task tiny, pair tiny")
    assert "Ship: nothing. One seed can recommend nothing: list 3 or more in params.yaml." in lines[began:]
    end = lines.index("The whole page: reports/report.html")
    assert not any("**" in line or "Verdicts" in line for line in lines[began:end])


def test_only_what_changed_runs_and_what_was_run_before_comes_from_the_cache(project):
    project.edit({"teacher_tailored.tailored.lambda": 7.0})
    of_tailored = {f"{stage}@1-tailored" for stage in ("teacher_tailored", "distill", "evaluate")}
    assert ran(project(*RUNNER)) == of_tailored | GATHER
    project.edit({"teacher_tailored.tailored.lambda": 0.5})
    assert ran(project(*RUNNER, "distill@1-tailored")) == {"teacher_tailored@1-tailored", "distill@1-tailored"}
    project(*RUNNER)
    assert "Running stage" not in (project.root / "work/logs/distill@1-tailored.log").read_text()
    assert (project.root / "dvc.lock").read_bytes() == project.lock


def test_new_cells_stand_in_the_lock_where_dvc_repro_puts_them(project):
    project.edit({"arms": ["ce", "kd", "tailored"]})
    project(*RUNNER)
    side_by_side = (project.root / "dvc.lock").read_bytes()
    (project.root / "dvc.lock").write_bytes(project.lock)
    project("dvc", "repro")  # all from the run-cache
    assert (project.root / "dvc.lock").read_bytes() == side_by_side
    project.edit({"arms": ["kd", "tailored"]})
    for folder in ("runs", "evaluation"):  # where report would see it
        shutil.rmtree(project.root / "work" / folder / "1/ce")
    (project.root / "dvc.lock").write_bytes(project.lock)
    project(*RUNNER)
    assert (project.root / "dvc.lock").read_bytes() == project.lock


def test_a_failed_cell_is_named_with_its_reason_and_the_others_go_on(project):
    arm = project.root / "src/lgtm/arms/tailored.py"
    text = arm.read_text()
    broken = 'from lgtm.errors import UserError\n    raise UserError(f"{lesson.out}: the loss is nan")\n    return'
    arm.write_text(text.replace("return lesson", f"{broken} lesson"))
    output = project(*RUNNER, check=False)
    assert "Traceback" not in output
    assert re.search(
        r"teacher_tailored@1-tailored failed: work/runs/1/tailored/teacher: the loss", output.replace("\n", " ")
    )
    assert "error: failed: teacher_tailored@1-tailored" in output
    assert not any(name.endswith("1-tailored") for name in ran(output))
    arm.write_text(text)
    project(*RUNNER)
    assert (project.root / "dvc.lock").read_bytes() == project.lock


def forks(project: Project) -> tuple[list[psutil.Process], list[psutil.Process]]:
    """The warm python, and the forks of it."""
    found = [process for process in processes(project) if "lgtm.runner.warm" in process.cmdline()]
    parents = {process.pid for process in found}
    return tuple([process for process in found if (process.ppid() in parents) == fork] for fork in (False, True))


def kill(project: Project, driver: subprocess.Popen, who: str) -> None:
    if who in ("driver", "interrupt"):
        os.killpg(driver.pid, signal.SIGKILL if who == "driver" else signal.SIGINT)
    else:
        found = [[], []]
        while not found[1]:
            assert driver.poll() is None
            found = forks(project)
        found[who == "cell"][0].kill()


def test_killed_again_and_again_it_ends_in_the_same_lock_and_little_is_done_twice(project):
    """benchmarks.stress in small: states are kept at every step, since a cell is done in less than half a second."""
    forget(project)
    run = stress.Run(project.root, 2, (0.0, 0.0))
    project(*RUNNER)
    total = run.work()
    forget(project)
    run.count.unlink()
    for number, who in enumerate(("driver", "interrupt", "warm python", "cell"), start=1):
        driver = start(project)
        # What does not need a killed cell goes on, so the last is killed when there is enough left.
        assert run.wait(driver, number / 6 * total)
        kill(project, driver, who)
        said = driver.communicate(timeout=120)[1]
        assert "Traceback" not in said
        assert driver.returncode != 0, who
        wait_for(lambda: not processes(project), seconds=10)
    project(*RUNNER)
    # Four kills of so small a run cost what they happen to hit, more on a busy machine (a third, once): that a cell
    # goes on where it was, tests/test_resume.py holds to the step, benchmarks.stress to a tenth of a larger run.
    assert 0 < total <= run.work() < 1.8 * total
    assert list((project.root / ".resume").iterdir()) == []
    (project.root / "src/sitecustomize.py").unlink()
    assert (project.root / "dvc.lock").read_bytes() == project.lock
    assert project("dvc", "status").strip() == "Data and pipelines are up to date."


def test_a_note_of_locks_that_a_kill_has_torn_stops_nothing(project):
    (project.root / ".dvc/tmp/rwlock").write_text('{"read": {"')
    assert "all up to date" in project(*RUNNER)


@pytest.mark.parametrize("left", ["not reaped", "its number is another's", "it started after the note"])
def test_a_lock_of_a_process_that_has_ended_stops_nothing_and_of_one_that_runs_does(project, left):
    ended = subprocess.Popen(["true"])
    wait_for(lambda: psutil.Process(ended.pid).status() == psutil.STATUS_ZOMBIE)
    holder = {
        "not reaped": {"pid": ended.pid, "cmd": "dvc repro"},
        "its number is another's": {"pid": os.getpid(), "cmd": f"{project.root}/src/lgtm/runner/cell.py prepare"},
        "it started after the note": {"pid": os.getpid(), "cmd": "dvc repro"},
    }[left]
    note = project.root / ".dvc/tmp/rwlock"
    note.write_text(json.dumps({"write": {str(project.root / "work/data"): holder}}))
    if left == "it started after the note":
        os.utime(note, (1e9, 1e9))
    assert "all up to date" in project(*RUNNER)
    ended.wait()
    alive = {"pid": os.getpid(), "cmd": "dvc repro"}
    note.write_text(json.dumps({"write": {str(project.root / "work/data"): alive}}))
    assert "is busy, it is being blocked by" in project(*RUNNER, check=False)
    before = (project.root / "params.yaml").read_bytes()
    refused = project(*RUNNER, "-S", "distill.temperature=5", check=False)
    assert f"dvc repro (process {os.getpid()}) runs a stage in this folder with the settings as they are" in refused
    assert (project.root / "params.yaml").read_bytes() == before
    note.unlink()


def test_mistakes_end_in_one_line(project):
    assert project(*RUNNER, "nosuch", check=False).startswith("error: ")
    assert "--jobs: invalid positive value: '-1'" in project(*RUNNER, "--jobs", "-1", check=False)
    assert "--remote goes with --scheduler" in project(*RUNNER, "--remote", "shared", check=False)
    (project.root / "dvc.yaml").rename(project.root / "dvc.yml")
    assert "no dvc.yaml here; run it in the project's folder" in project(*RUNNER, check=False)
    (project.root / "dvc.yml").rename(project.root / "dvc.yaml")
    project.edit({"distill.temperature": -1.0})
    output = project(*RUNNER, check=False)
    assert "distill.temperature: input should be greater than or equal to 0.01 (found -1.0)" in output.replace(
        "\n", " "
    )
    project.edit({"distill.temperature": 2.0})
