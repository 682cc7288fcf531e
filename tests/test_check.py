"""`lgtm check` finds before any training what would fail later: all of it, and it writes nothing."""

import gc
import importlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import tiny_project
import yaml
from bad import bench, models, settings, tables
from bad.bench import DROP, Case
from tiny_project import ROOT

from lgtm.checks import room
from lgtm.checks.findings import Findings
from lgtm.checks.preparation import folds_asked
from lgtm.checks.room import Network, cell_memory, disk, look_at_room
from lgtm.params import Params

CHECK = "lgtm.cli check"
# Every so many of the bad inputs that prepare tells: it and check read with the same functions.
EVERY = 12
OF_PREPARE = [case for module in (settings, tables, models) for case in module.CASES if case.run == "prepare"]
LATE = ("stages.prepare", "lgtm.cli.app", "lgtm.checks.project", "lgtm.runner.jobs", "lgtm.networks.trial")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A project before its first run."""
    for module in LATE:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    folder = tmp_path_factory.mktemp("check") / "whole"
    folder.mkdir()
    tiny_project.write_cards(folder)
    for name in ("stages", "dvc.yaml"):
        (folder / name).symlink_to(ROOT / name)
    params = tiny_project.settings(seeds=[1], arms=["kd", "tailored"])
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    yield folder
    gc.unfreeze()


def checked(whole: Path, case: Case, command: str = CHECK) -> bench.Ended:
    """How check ends in a copy of the project with one thing spoilt; nothing in it may change."""
    folder = whole.parent / "case"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder, symlinks=True)
    bench.spoil(folder, case)
    unstarted = Case(case.name, (), run="report")  # of which no output is there
    before = bench.digests(folder, unstarted)
    ended = bench.run(folder, command)
    assert bench.digests(folder, unstarted) == before
    assert "Traceback" not in ended.said
    return ended


def errors(ended: bench.Ended) -> list[str]:
    assert ended.status == 1, ended.said
    return [line for line in ended.said.splitlines() if line.startswith("error: ")]


def test_a_project_in_which_all_is_well(whole):
    ended = checked(whole, Case("well", ()))
    assert ended.status == 0, ended.said
    for part in (
        "settings: task tiny, pair tiny, 1 seeds, 2 arms: 15 cells",
        "rows: train 87, feedback 12, selection 21, test 24, transfer 20 without labels",
        "classes: 2 (awful, fine)",
        "pairs/tiny.yaml: student: from scratch",
        "longest 7; 0.0 % will be cut at 16",
        "memory: a cell about ",
        "disk: about ",
        "caution: Few feedback rows of some classes, which gives the influence its direction: `fine` 4.",
        "nothing that would fail was found",
    ):
        assert part in ended.said, ended.said


@pytest.mark.parametrize("case", OF_PREPARE[::EVERY], ids=lambda case: case.name)
def test_what_prepare_would_tell(whole, case):
    error, *_ = errors(checked(whole, case))  # one checkpoint may be teacher and student
    assert [part for part in case.says if part not in error] == [], error


def test_all_that_is_wrong_is_listed(whole):
    spoilt = Case(
        "much", (),
        params={"seeds": [], "distill.temperature": -1, "precision": "int8"},
        task={"metrics": ["f2"]}, pair={"student.learning_rate": DROP, "color": 3},
    )  # fmt: skip
    fields = [line.split(": ")[1:3] for line in errors(checked(whole, spoilt))]
    assert fields == [
        ["params.yaml", "seeds"],
        ["params.yaml", "precision"],
        ["params.yaml", "distill.temperature"],
        ["tasks/tiny/task.yaml", "metrics.0"],
        ["pairs/tiny.yaml", "student.learning_rate"],
        ["pairs/tiny.yaml", "color"],
    ]


def test_data_and_networks_are_looked_at_each_by_itself(whole):
    torn = {"checkpoint": "checkpoints/mine", "learning_rate": 1e-4}
    spoilt = Case(
        "both", (), files={"tasks/tiny/train.csv": "text,label\n", "checkpoints/mine/config.json": "{"},
        pair={"tokenizer": DROP, "teacher": torn, "student": torn},
    )  # fmt: skip
    said = errors(checked(whole, spoilt))
    assert [line.partition(": ")[2][:24] for line in said] == [
        "tasks/tiny/train.csv: th", "pairs/tiny.yaml: teacher", "pairs/tiny.yaml: student"
    ]  # fmt: skip


def test_what_only_a_later_stage_would_tell(whole):
    late = Case("late", (), params={"influence.scope": [0, 7], "influence.folds": 80})
    first, second = errors(checked(whole, late))
    assert "params.yaml: 80 folds of train, whose groups and classes allow " in first
    assert "params.yaml: influence.scope: the student has layers 0 to 0, found 7" in second


def test_settings_that_are_tried_are_not_written(whole):
    lines = errors(checked(whole, Case("tried", ()), f"{CHECK} -S task=nope -S pair=none"))
    assert [line.split("; ")[0] for line in lines] == [
        "error: params.yaml: task: no folder tasks/nope", "error: params.yaml: pair: no card pairs/none.yaml"
    ]  # fmt: skip
    (line,) = errors(checked(whole, Case("tried", ()), f"{CHECK} -S nosuch=1"))
    assert line.startswith("error: -S nosuch=1: ")


def test_outside_of_a_project(whole):
    (line,) = errors(checked(whole, Case("outside", (), without=("dvc.yaml",))))
    assert line.endswith("no dvc.yaml here; run it in the project's folder")


def params(**changes) -> Params:
    content = tiny_project.settings(seeds=[1, 2, 3], arms=["ce", "kd", "tailored"])
    tiny_project.edit(content, {name.replace("__", "."): value for name, value in changes.items()})
    return Params.model_validate(content)


def test_folds_that_are_asked_for():
    assert folds_asked(params()) == set()
    assert folds_asked(params(influence__folds=4)) == {4}
    assert folds_asked(params(teacher_tailored__tailored__base="crossfit", teacher_tailored__tailored__teachers=7)) == {
        7
    }
    assert folds_asked(params(arms=["crossfit"], teacher_tailored__crossfit__folds=5)) == {5}


BERT = Network(weights=440e6, hidden=768, layers=12, heads=12)
SMALL = Network(weights=70e6, hidden=384, layers=2, heads=12)
PROJECT = room.Project([BERT], SMALL, taught=10_000, test=1_000, classes=2, tokens=128)


def test_memory_of_a_batch_is_what_the_formula_says():
    # Korthikanti et al.: s b h (34 + 5 a s / h) bytes a layer in half precision, twice that in single.
    assert BERT.activations(8, 128) == pytest.approx(2 * 12 * 128 * 8 * 768 * (34 + 5 * 12 * 128 / 768))
    least, expected = cell_memory(PROJECT, params(teacher_warmup__batch_size=8, distill__batch_size=4,
                                                  teacher_tailored__retrain__batch_size=4))  # fmt: skip
    assert least > 4 * 440e6
    assert expected == pytest.approx(0.7e9 + 5 * 440e6 + BERT.activations(8, 128) + 16 * 10_000 * 2)
    fewer = cell_memory(PROJECT, params(teacher_warmup__batch_size=8, tokens_at_once=256, distill__batch_size=4))[1]
    assert expected - fewer == pytest.approx(BERT.activations(6, 128))
    beside = cell_memory(PROJECT, params(arms=["online"]))[0]
    assert beside - least == pytest.approx(4 * 70e6)


def test_disk_counts_what_the_cells_keep():
    least, expected = disk(PROJECT, params(student_warmup__earlier_checkpoints=1))
    assert least == 3 * (440e6 + 2 * 70e6) + 9 * 70e6
    networks = 440e6 + 70e6 + 3 * (440e6 + 4 * 70e6) + 9 * 70e6 + 3 * 440e6
    assert expected == pytest.approx(2 * networks, rel=1e-2)
    chosen = disk(PROJECT, params(teacher_tailored__tailored__lambda=[0, 1, 2], student_warmup__earlier_checkpoints=1))
    assert chosen[1] - expected == pytest.approx(2 * 3 * 3 * (440e6 + 70e6), rel=1e-2)


def looked(monkeypatch, tmp_path, *, memory=(64e9, 60e9), free=1e12, jobs=2, **options) -> Findings:
    total, available = memory
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=total, available=available))
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))
    found = Findings()
    look_at_room(found, PROJECT, params(), jobs=jobs, folder=tmp_path, **options)
    return found


def test_room_that_is_there_and_room_that_is_not(monkeypatch, tmp_path):
    well = looked(monkeypatch, tmp_path)
    assert (well.problems, well.cautions) == ([], [])
    little = looked(monkeypatch, tmp_path, memory=(1e9, 1e9), free=1e9)
    assert [line.partition(":")[0] for line in little.problems] == ["memory", "disk"]
    assert "take a smaller one in pairs/tiny.yaml" in little.problems[0]
    tight = looked(monkeypatch, tmp_path, memory=(64e9, 9e9), free=4e9, jobs=8)
    assert tight.problems == []
    assert "8 cells at a time take about " in tight.cautions[0]
    assert "set JOBS=" in tight.cautions[0]
    assert tight.cautions[1].startswith("disk: with the arms' teachers and DVC's cache about ")
    assert looked(monkeypatch, tmp_path, memory=(1e9, 1e9), gpu=True).problems == []
    assert looked(monkeypatch, tmp_path, memory=(1e9, 1e9), here=False).problems == []


def test_what_earlier_runs_have_written_is_not_asked_for_again(monkeypatch, tmp_path):
    (tmp_path / "work").mkdir()
    with (tmp_path / "work/model.safetensors").open("wb") as file:
        file.truncate(int(2e9))
    assert looked(monkeypatch, tmp_path, free=1e9).problems == []


def test_a_network_whose_weights_are_not_drawn_yet(tmp_path):
    config = {"vocab_size": 100, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4,
              "intermediate_size": 64}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    network = room.read_network(tmp_path)
    assert (network.hidden, network.layers, network.heads) == (16, 2, 4)
    assert network.weights == 4 * (100 * 16 + 2 * (4 * 16**2 + 2 * 16 * 64))
    (tmp_path / "model.safetensors").write_bytes(b"x" * 33)
    assert room.read_network(tmp_path).weights == 33
