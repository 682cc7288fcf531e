"""What the runner looks at before a cell runs, and what it says last."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny_project
import yaml

from lgtm.errors import UserError
from lgtm.runner import beforehand
from lgtm.runner.beforehand import Beforehand
from lgtm.runner.conclusion import conclusion


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project after prepare, which has two networks of 40 MB."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(beforehand, "gpu_memory", lambda: None)
    tiny_project.write_cards(tmp_path)
    write()
    for name in ("teacher", "student"):
        folder = tmp_path / "work/init" / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(tiny_project.NETWORK))
        with (folder / "model.safetensors").open("wb") as file:
            file.truncate(40_000_000)
    roles = {role: {"rows": 100, "classes": {"awful": 50, "fine": 50}} for role in ("train", "test")}
    (tmp_path / "work/data").mkdir()
    (tmp_path / "work/data/summary.json").write_text(json.dumps({"roles": roles, "transfer": {"rows": 20}}))
    return tmp_path


def write(**changes) -> None:
    params = tiny_project.settings(seeds=[1, 2], arms=["kd"])
    tiny_project.edit(params, {name.replace("__", "."): value for name, value in changes.items()})
    Path("params.yaml").write_text(yaml.safe_dump(params))


def look(said: list[str]) -> Beforehand:
    return Beforehand(lambda: 1, here=True, say=said.append)


def free(monkeypatch, size: float) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=size))


def test_all_mistakes_of_the_settings_before_the_first_cell(project):
    write(arms=["bagged"], distill__temperature=-1, precision="int8")
    with pytest.raises(UserError, match=r"params\.yaml: precision: .* \(and 1 more\)") as error:
        look([])("prepare")
    assert len(error.value.lines) == 2


def test_the_disk_is_looked_at_before_the_first_cell_that_trains(project, monkeypatch):
    shutil.rmtree("work")  # as before prepare
    free(monkeypatch, 1e6)
    looking = look([])
    looking("prepare")
    with pytest.raises(UserError, match=r"work/data/summary\.json: not there"):
        looking("teacher_warmup@1")


def test_a_disk_that_is_too_small_ends_the_run_and_one_that_may_be_is_told_once(project, monkeypatch):
    free(monkeypatch, 1e6)
    # Two seeds of a teacher, a warm student and kd's: 240 MB, of which 80 are there.
    with pytest.raises(
        UserError, match="disk: the networks of the listed cells take 240 MB at least, earlier runs have 80 MB"
    ):
        look([])("teacher_warmup@1")
    free(monkeypatch, 2e8)
    said = []
    looking = look(said)
    for name in ("teacher_warmup@1", "student_warmup@1"):
        looking(name)
    (line,) = said
    assert line.startswith("caution: disk: with the arms' teachers and DVC's cache about ")


def test_what_a_report_says_first(tmp_path):
    page = tmp_path / "results.md"
    assert conclusion(page) == []
    page.write_text(
        "# Results: task `t`\n\nSeeds: 1\n\n**Not shown\x1b above the majority.**\n\n## Recommendation\n\n"
        "**Ship: kd.** It is better.\n\n- more rows\n\n## Verdicts\n\n**no**\n"
    )
    assert conclusion(page) == [
        "Results: task t", "Seeds: 1", "Not shown\\x1b above the majority.", "Recommendation",
        "Ship: kd. It is better.", "- more rows", "The whole page: reports/report.html",
    ]  # fmt: skip
