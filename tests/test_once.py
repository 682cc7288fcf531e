"""What the runner lets DVC do once: a look at all cells is quick, and sees what DVC sees."""

import json
import os
import re
import resource
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from dvc.output import Output
from project import Project

from benchmarks.stages import STAGES, cells, outputs
from lgtm.config import read_yaml
from lgtm.errors import UserError
from lgtm.runner.graph import Graph

SEEDS = 31  # with two arms: 31 cells of a seed of 10, and the four that are there once


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project in which 300 cells are up to date: their outputs are made up, and dvc.lock says that they made them."""
    project = Project(tmp_path_factory.mktemp("once"))
    project.edit({"seeds": list(range(1, SEEDS + 1))})
    before = Path.cwd()
    os.chdir(project.root)
    for stage in STAGES.values():
        for item in cells(stage, read_yaml("params.yaml")):
            for out in outputs(stage, item):
                write_something(out)
    roles = ("work/data", "work/init")
    for path in {dep for stage in STAGES.values() for dep in stage["deps"] if dep.startswith(roles)}:
        write_something(Path(path))
    graph = Graph()
    with graph.repo.lock:
        for stage in graph.stages.values():
            stage.save()
            stage.commit()
    graph.record({name: graph.entry(name) for name in graph.stages})
    graph.settle()
    yield project
    os.chdir(before)


def write_something(out: Path) -> None:
    """A file, or a folder with one."""
    path = out if out.suffix else out / "something.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(str(out)))


def test_three_hundred_cells_with_nothing_to_run_take_less_than_ten_seconds(project):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = project("env", "PYTHONPATH=src", sys.executable, "-m", "lgtm.runner")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = re.search(r"^(\d+) cells, all up to date$", said, re.MULTILINE)
    assert found and int(found[1]) >= 300, said
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 10


def test_a_look_hashes_each_path_once_and_sees_what_has_changed(project, monkeypatch):
    asked, ask = Counter(), Output._get_hash_meta
    monkeypatch.setattr(Output, "_get_hash_meta", lambda out: asked.update([out.fs_path]) or ask(out))
    graph = Graph()
    assert graph.changed(graph.stages) == set()
    assert (max(asked.values()), len(asked) > 100) == (1, True)
    trained = Path("work/runs/3/teacher/something.txt")
    text = trained.read_text()
    trained.unlink()
    trained.write_text("another")
    influenced = {"influence@3", "validation@3", "teacher_tailored@3-kd", "distill@3-kd", "evaluate_warmup@3"}
    assert graph.changed(graph.stages) >= {"teacher_warmup@3", *influenced}
    assert not graph.changed(graph.stages) & {"teacher_warmup@4", "influence@4", "student_warmup@3"}
    of_seed = [name for name in graph.stages if "@3" in name]
    seen = graph.changed(of_seed)
    with graph.repo.lock:
        assert seen == {name for name in of_seed if graph.stages[name].changed()}
    trained.write_text(text)
    assert graph.changed(graph.stages) == set()


def test_a_look_waits_for_no_other_writer_and_says_so(project):
    graph = Graph()
    other = subprocess.Popen(["sleep", "60"])
    writes = {str(Path("work/runs/3/teacher").absolute()): {"pid": other.pid, "cmd": "dvc repro"}}
    note = Path(graph.repo.tmp_dir) / "rwlock"
    note.write_text(json.dumps({"read": {}, "write": writes}))
    try:
        with pytest.raises(UserError, match="dvc repro"):
            graph.changed(graph.stages)
        assert graph.changed(["teacher_warmup@4"]) == set()
        assert json.loads(note.read_text())["write"] == writes
    finally:
        other.kill()
        other.wait()
        note.unlink()
