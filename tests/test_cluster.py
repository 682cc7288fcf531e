"""Cells on Dask's workers in clones of their own, with a DVC remote between: it leaves what `dvc repro` leaves."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from project import GATHER, Project, cells

from lgtm.runner.warm import WarmPython

pytest.importorskip("distributed")
RUNNER = ("env", "PYTHONPATH=src", "python", "-m", "lgtm.runner")


@contextmanager
def started(*command: str, folder, log):
    """A process while the context is open."""
    environment = os.environ | {"PYTHONPATH": "src", "DASK_LOGGING__DISTRIBUTED": "warning"}
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=folder, env=environment, stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with a remote, and two clones of it beside a Dask scheduler, each with a worker."""
    place = tmp_path_factory.mktemp("cluster")
    made = Project(place / "project")
    made("dvc", "remote", "add", "shared", str(place / "remote"))
    made("git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "--all", "--message", "remote")
    address = place / "scheduler.json"
    scheduler = ("distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard", "--host", "127.0.0.1")
    with started(*scheduler, "--scheduler-file", str(address), folder=place, log=place / "scheduler.log"):
        while not (address.is_file() and address.read_text()):
            time.sleep(0.1)
        made.clones = [place / "clone-1", place / "clone-2"]
        for clone in made.clones:
            made("git", "clone", "--quiet", str(made.root), str(clone))
        worker = ("distributed.cli.dask_worker", "--scheduler-file", str(address), "--nthreads", "1", "--no-nanny")
        quiet = ("--no-dashboard", "--local-directory", str(place / "dask"))
        with (
            started(*worker, *quiet, folder=made.clones[0], log=place / "worker-1.log"),
            started(*worker, *quiet, folder=made.clones[1], log=place / "worker-2.log"),
        ):
            made.scheduler = json_address(address)
            yield made


def json_address(path) -> str:
    import json

    return json.loads(path.read_text())["address"]


def test_two_workers_in_clones_leave_the_lock_of_dvc_repro(project):
    output = project(*RUNNER, "--scheduler", project.scheduler, "--remote", "shared")
    lock = (project.root / "dvc.lock").read_bytes()
    assert project("dvc", "status").strip() == "Data and pipelines are up to date."
    logs = [{log.stem for log in (clone / "work/logs").glob("*.log")} for clone in project.clones]
    assert all(logs), "both have worked"
    here = {"prepare", *GATHER}
    assert logs[0] | logs[1] == cells(1, "kd", "tailored")
    assert {log.stem for log in (project.root / "work/logs").glob("*.log")} == here
    with WarmPython(project.root) as warm:
        warm.start()
        project.path.insert(0, warm.folder)
        project("dvc", "repro", "--force")
        project.path.pop(0)
    assert (project.root / "dvc.lock").read_bytes() == lock, output


def test_a_clone_with_other_settings_is_found_out(project):
    project.edit({"distill.temperature": 3.0})
    output = project(*RUNNER, "--scheduler", project.scheduler, "--remote", "shared", check=False)
    assert "the worker's clone has other code, settings or files" in output.replace("\n", " ")
    assert "Traceback" not in output
    project.edit({"distill.temperature": 2.0})


def test_no_scheduler_there_is_one_line(project):
    output = project(*RUNNER, "--scheduler", "tcp://127.0.0.1:1", check=False)
    assert output.startswith("error: --scheduler tcp://127.0.0.1:1: no Dask scheduler there")
