"""The stage that sets the recommended student aside: which one, of which seed, with which teacher."""

import json
from pathlib import Path

import pytest
import workspace
from tiny_project import ROOT
from workspace import settings

from lgtm.config import read_yaml
from stages import ship
from stages.artifacts import REPORTS, cell, read_task, write_json
from stages.ship import SHIP


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    workspace.write()
    settings(seeds=[1, 2], arms=["kd"])


def student(folder: Path, *scores: float) -> None:
    """A student's folder: one file of the network, one beside it, and its curve on selection."""
    curve = folder / "live/plots/metrics/selection" / f"{read_task()['metrics'][0]}.tsv"
    curve.parent.mkdir(parents=True, exist_ok=True)
    metric = curve.stem
    curve.write_text("\n".join([f"step\t{metric}", *(f"{step}\t{score}" for step, score in enumerate(scores))]) + "\n")
    (folder / "model.safetensors").write_text(str(folder))
    (folder / "cost.json").write_text("{}")


def shipped(what: str) -> dict:
    write_json(REPORTS / "summary.json", {"ship": what})
    ship.main()
    return json.loads((SHIP / "choice.json").read_text())


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_an_arms_student_is_that_of_the_seed_that_does_best_on_selection():
    for seed, scores in ((1, (0.5, 0.9, 0.4)), (2, (0.5, 0.6, 0.7))):
        student(cell(seed, "kd", "student"), *scores)
    assert shipped("kd") == {"ship": "kd", "seed": 1, "selection": {"1": 0.9, "2": 0.7}}
    assert (SHIP / "student/model.safetensors").read_text() == str(cell(1, "kd", "student"))
    assert names(SHIP / "student") == {"model.safetensors"}


def test_where_the_last_student_is_kept_the_last_score_counts():
    settings(seeds=[1, 2], arms=["kd"], **{"distill.keep": "last"})
    for seed, scores in ((1, (0.5, 0.9, 0.4)), (2, (0.5, 0.6, 0.7))):
        student(cell(seed, "kd", "student"), *scores)
    assert shipped("kd")["seed"] == 2


def test_the_warm_student_comes_with_the_warm_teacher():
    for seed in (1, 2):
        student(cell(seed, "student"), seed / 10)
        teacher = cell(seed, "teacher")
        teacher.mkdir(parents=True, exist_ok=True)
        (teacher / "config.json").write_text(str(seed))
        (teacher / "targets.parquet").write_text("")
    assert shipped("warm student")["seed"] == 2
    assert (SHIP / "student/model.safetensors").read_text() == str(cell(2, "student"))
    assert (SHIP / "teacher/config.json").read_text() == "2"
    assert not (SHIP / "teacher/targets.parquet").exists()


def test_an_arms_own_teacher_comes_before_the_warm_one():
    for seed in (1, 2):
        student(cell(seed, "kd", "student"), 0.5)
        for parts, text in ((("teacher",), "warm"), (("kd", "teacher"), "own")):
            cell(seed, *parts).mkdir(parents=True, exist_ok=True)
            (cell(seed, *parts) / "config.json").write_text(text)
    shipped("kd")
    assert (SHIP / "teacher/config.json").read_text() == "own"


def test_where_nothing_is_recommended_there_is_no_student():
    assert shipped("nothing") == {"ship": "nothing"}
    assert names(SHIP) == {"choice.json"}


def test_the_artifacts_of_dvc_are_what_the_stage_sets_aside():
    artifacts = read_yaml(ROOT / "dvc.yaml")["artifacts"]
    assert {name: Path(each["path"]) for name, each in artifacts.items()} == {
        name: SHIP / name for name in ("student", "teacher")
    }
