"""The benchmark of the runner: its virtual time, what it reads, and that it fails where the work was not done."""

from types import SimpleNamespace

import pytest

from benchmarks import side_by_side, workspace
from lgtm.config import read_yaml
from lgtm.errors import UserError

SAID = "1/2  prepare  2.0 s  ETA 0:01\nnoise\n2/2  distill@1-kd  3.5 s  ETA 0:00\n"
LOCK = "schema: '2.0'\nstages:\n  prepare: {}\n  distill@1-kd: {}\n"


def test_virtual_time_is_that_of_the_order_and_the_places():
    # a before b and c, each two seconds; d alone takes five, but nothing waits for it.
    graph = SimpleNamespace(
        needs={"a": set(), "b": {"a"}, "c": {"a"}, "d": set()}, followers={"a": 2, "b": 0, "c": 0, "d": 0}
    )
    seconds = {"a": 2.0, "b": 2.0, "c": 2.0, "d": 5.0}
    assert side_by_side.makespan(graph, seconds, 1) == 11.0
    assert side_by_side.makespan(graph, seconds, 2) == 6.0
    assert side_by_side.makespan(graph, seconds, 9) == 5.0


@pytest.fixture
def clones(tmp_path, monkeypatch):
    """Two clones that nothing really runs in; what it says and leaves can be changed."""
    left = {"plain": LOCK, "runner": LOCK, "said": SAID, "status": "up to date"}

    def clone(folder, changes):
        folder.mkdir()
        (folder / "dvc.lock").write_text(left[folder.name])
        return folder

    monkeypatch.setattr(side_by_side, "clone", clone)
    monkeypatch.setattr(side_by_side, "timed", lambda folder, *words: side_by_side.Row(1.0, 1.0, left["said"]))
    monkeypatch.setattr(side_by_side, "command", lambda folder, *words: left["status"])
    monkeypatch.setattr(side_by_side, "simulate", lambda folder, seconds: None)
    return left


def test_seconds_are_read_from_what_the_runner_says(clones, tmp_path, capsys):
    assert side_by_side.cell_seconds(SAID) == {"prepare": 2.0, "distill@1-kd": 3.5}
    side_by_side.measure(tmp_path, [], 2)
    assert "1.00 wall" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"runner": LOCK + "  more: {}\n"}, "different locks"),
        ({"status": "changed"}, "something left to do"),
        ({"said": SAID.splitlines()[0] + "\n"}, "did not run: distill@1-kd"),
    ],
)
def test_it_fails_where_the_work_was_not_done(clones, tmp_path, change, message):
    clones |= change
    with pytest.raises(UserError, match=message):
        side_by_side.measure(tmp_path, [], 2)


@pytest.mark.parametrize("name", ["few", "noise"])
def test_the_settings_of_the_tables_are_settings(tmp_path, name):
    settings = read_yaml(workspace.ROOT / f"benchmarks/tables/{name}.yaml")
    workspace.make(tmp_path / name, ["task=trec"], settings)
    made = read_yaml(tmp_path / name / "params.yaml")
    assert made["task"] == "trec"
    assert made["teacher_tailored"]["bagged"] == {"teachers": 2}
    with pytest.raises(UserError, match="no such key"):
        workspace.make(tmp_path / name, [], {"prepare": {"max_tests": 3}})
