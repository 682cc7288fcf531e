"""Runs side by side: a run is shown with its own figures, or with none."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from lgtm.compare.runs import Run, read_run, table
from lgtm.config import settings_of

PAIR, TASK = {"teacher": {"learning_rate": 1.0e-3}}, {"metrics": ["accuracy"]}


def params(**changes) -> dict:
    return {"task": "own", "pair": "small", "seeds": [1, 2], "distill": {"temperature": 2.0, "epochs": 3}} | changes


def git(*command: str) -> str:
    done = subprocess.run(["git", *command], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(settings: dict, pair: dict = PAIR) -> str:
    """A commit with these settings, whatever the figures in it."""
    for path, content in (("params.yaml", settings), ("pairs/small.yaml", pair), ("tasks/own/task.yaml", TASK)):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(yaml.safe_dump(content))
    git("add", "--all")
    git("-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "--message", "m")
    return git("rev-parse", "HEAD")


@pytest.fixture
def finished(tmp_path, monkeypatch):
    """A commit with figures of its own settings."""
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet")
    Path("reports").mkdir()
    own = {"of": settings_of(params(), PAIR, TASK)}
    Path("reports/summary.json").write_text(json.dumps(own | {"metric": "accuracy", "kd": 94.4, "cautions": ["x"]}))
    Path("reports/selection.json").write_text(json.dumps(own | {"selection": {"kd": 97.0}}))
    return commit(params())


def test_a_run_is_shown_with_its_own_figures(finished):
    run = read_run("main", "", finished, "test")
    assert run.figures == {"metric": "accuracy", "kd": 94.4}
    assert run.settings["distill.temperature"] == 2.0
    assert read_run("workspace", "", "workspace", "test").figures == run.figures
    assert read_run("main", "", finished, "selection").figures == {"kd": 97.0}


@pytest.mark.parametrize("change", [{"task": "own", "seeds": [1]}, {"distill": {"temperature": 4.0, "epochs": 3}}])
def test_a_run_that_failed_is_not_shown_with_the_committed_figures(finished, change):
    revision = commit(params(**change))
    assert read_run("proud-bat", "Failed", revision, "test") == Run(
        "proud-bat", "failed", read_run("", "", revision, "test").settings, {}
    )
    assert read_run("workspace", "", "workspace", "test").state == "unfinished"
    assert read_run("main", "Success", finished, "test").state == "done"


def test_another_card_is_another_run(finished):
    revision = commit(params(), {"teacher": {"learning_rate": 2.0e-3}})
    assert not read_run("x", "", revision, "test").figures


def test_a_run_without_figures(finished):
    Path("reports/summary.json").unlink()
    assert read_run("workspace", "Running", "workspace", "test").state == "running"
    assert read_run("workspace", "", "workspace", "test").state == "unfinished"


def test_the_table_has_what_a_run_changes_and_the_figures():
    runs = [
        Run("main", "done", {"seeds": [1, 2], "distill.temperature": 2.0}, {"kd": 94.4}),
        Run("bat", "done", {"seeds": [1, 2], "distill.temperature": 4.0}, {"kd": 95.0, "tailored": 96.125}),
        Run("owl", "failed", {"seeds": [1], "distill.temperature": 2.0}, {}),
    ]
    assert table(runs) == (
        ["run", "state", "changes", "kd", "tailored"],
        [
            ["main", "done", "", "94.4", "–"],
            ["bat", "done", "distill.temperature=4", "95", "96.125"],
            ["owl", "failed", "seeds=[1]", "", ""],
        ],
    )
