"""The benchmarks' own code, at a tiny size: what they report, never how long it took, and how they fail."""

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tiny_project
import torch
import yaml

import benchmarks
from benchmarks import directions, influence, memory, online, quality, stages, table, training, workspace
from lgtm.errors import UserError
from lgtm.params import load_params
from stages.artifacts import cell, role_path, write_cost


@pytest.fixture(scope="module")
def rows():
    return {row["name"]: row for row in influence.measure(samples=20, peer_samples=6, rounds=1)}


def test_every_way_has_its_cost_and_its_error_against_the_autograd_loop(rows):
    assert {*influence.OURS, influence.LOOP} <= set(rows)
    assert all(set(row) == {"name", "passes", "error"} and row["passes"] > 0 for row in rows.values())
    for name, (_, method) in influence.OURS.items():
        assert rows[name]["error"] < (1e-5 if method == "forward" else 1e-3)


def test_captum_agrees_with_the_loop(rows):
    pytest.importorskip("captum")
    assert rows["captum TracInCP"]["error"] < 1e-5


def test_a_peer_that_is_not_installed_is_said_in_one_line(capsys):
    assert influence.missing("no_such_library")
    assert capsys.readouterr().out.count("\n") == 1


def test_influence_fails_where_the_scores_are_wrong(monkeypatch):
    monkeypatch.setattr(influence, "distillation_influence", lambda logits, *rest, **mix: -logits[:, 0])
    with pytest.raises(UserError, match=r"finite differences: .* off the autograd loop"):
        influence.measure(samples=2, peer_samples=2, rounds=1)


@pytest.mark.parametrize("error", [2e-3, float("nan"), influence.relative_error(torch.ones(1), torch.ones(2))])
def test_influence_fails_where_an_error_is_large_or_no_number(error):
    with pytest.raises(UserError, match=r"forward mode: .* off the autograd loop"):
        influence.checked("forward mode", error, 1e-3)


def test_influence_fails_where_not_every_sample_is_scored():
    ways = {influence.PLAIN: lambda: iter(torch.ones(2, 2)), "half": lambda: iter([torch.ones(2)])}
    with pytest.raises(UserError, match="half: scored 2 of 4 samples"):
        influence.in_turns(ways, rounds=1, samples=4)


def test_memory_is_measured_of_stages_that_go_through_every_row(monkeypatch, capsys):
    monkeypatch.setattr(memory, "STEPS", 3)
    measured = memory.measure(30)
    assert list(measured) == list(memory.STAGES)
    assert min(stage.peak for stage in measured.values()) > 100
    more = {name: memory.Measured(stage.peak + 1, 0.0) for name, stage in measured.items()}
    memory.print_table([30, 30 + 2**20], [measured, more])
    *_, last = capsys.readouterr().out.splitlines()
    goal = measured["distill"].peak + (memory.GOAL - 30) / 2**20
    assert last.startswith("| distill |") and last.endswith(f"| 1 | {goal:.0f} |")


def test_memory_fails_where_a_stage_fails(monkeypatch):
    monkeypatch.setattr(memory, "CARD", memory.CARD | {"metrics": ["fluency"]})
    with pytest.raises(UserError, match=r"prepare ended with status 1 and said: error: tasks/made/task.yaml: metrics"):
        memory.measure(4)


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ("transfer", "prepare kept 2 rows that are not the 3 in order"),
        ("targets", "targets.parquet: 4 rows that are not train's and transfer's in order"),
        ("kd", "kd/teacher/targets.parquet: 4 rows that are not train's and transfer's in order"),
        ("influence", "influence.parquet: 4 rows that are not train's and transfer's in order"),
        ("scores", "not finite, or all zero"),
    ],
)
def test_memory_fails_where_a_row_was_not_gone_through(tmp_path, lost, said):
    rows = [f"transfer-{row}" for row in range(3)]
    tables = {
        "transfer": role_path("transfer"),
        "train": role_path("train"),
        "targets": cell(memory.SEED, "teacher") / "targets.parquet",
        "kd": cell(memory.SEED, "kd", "teacher") / "targets.parquet",
        "influence": cell(memory.SEED, "influence") / "influence.parquet",
    }
    for name, path in tables.items():
        own = {"transfer": rows, "train": ["train-0", "train-1"]}.get(name, ["train-0", "train-1", *rows])
        own = own[:-1] if name == lost else own
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        scores = np.zeros(len(own)) if lost == "scores" else np.ones(len(own))
        pd.DataFrame({"sample_id": own, "influence": scores}).to_parquet(tmp_path / path)
    with pytest.raises(UserError, match=said):
        memory.require_rows(tmp_path, 3)


def test_memory_fails_where_a_step_was_not_taken(tmp_path):
    (tmp_path / "params.yaml").write_text("distill: {batch_size: 64}")
    for role, rows in (("train", 70), ("transfer", 10)):
        path = tmp_path / role_path(role)
        path.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame({"sample_id": range(rows)}).to_parquet(path)
    student = tmp_path / cell(memory.SEED, "kd", "student")
    write_cost(student, student={"forward": 0, "backward": 500 * 80, "weights": 1})
    memory.require_steps(tmp_path)
    write_cost(student, student={"forward": 0, "backward": 500 * 80 - 16, "weights": 1})
    with pytest.raises(UserError, match="distill: 39984 samples came back through the student, not the 40000 of 1000"):
        memory.require_steps(tmp_path)


@pytest.fixture
def tiny_online(monkeypatch):
    """Small networks and batches."""
    network = online.network
    monkeypatch.setattr(online, "network", lambda layers, width: network(1, 32))
    monkeypatch.setattr(online, "TOKENS", 8)


def test_online_counts_the_passes_of_every_method(tiny_online):
    methods = {
        online.BASE: online.Method(None),
        "online": online.Method("online"),
        online.PUBLISHED: online.Published(),
    }
    rows = {row["name"]: row for row in online.measure(methods, steps=1)}
    assert [rows["online"][name] for name in online.PASSES] == [4, 3, 2, 1]
    assert [rows[online.PUBLISHED][name] for name in online.PASSES] == [5, 3, 4, 3]


def test_online_fails_where_a_teacher_does_not_learn(tiny_online):
    method = online.Method("prokt")
    method.companion.descent.step = lambda parts: parts[0].backward()
    with pytest.raises(UserError, match="prokt: the teacher did not learn"):
        online.measure({online.BASE: method_of_kd(), "prokt": method}, steps=1)


def test_online_fails_where_a_step_takes_other_passes(tiny_online):
    method = online.Method("online")
    method.companion = lambda *step: None
    with pytest.raises(UserError, match="online: a step should take"):
        online.measure({online.BASE: method_of_kd(), "online": method}, steps=1)


def method_of_kd():
    return online.Method(None)


@pytest.fixture(scope="module")
def trained():
    """Forty of the demo's texts, and what the benchmark finds of them."""
    options = SimpleNamespace(data=None, checkpoint=None, layers=1, rows=40, batch_size=8, epochs=2)
    task = training.Task(options)
    return task, training.measure(task, rounds=1)


def test_training_compares_loops_that_go_through_the_same_rows(trained):
    _, found = trained
    runs = found["runs"]
    assert set(runs) == {training.BARE, *training.UNITS}
    for name, row in runs.items():
        assert row["step"] > 0 and (row["ratio"] is None) == (name == training.BARE)
    assert sum(found["step"].values()) == pytest.approx(1)
    ours, theirs = (runs[name]["padding"] for name in (training.OURS, training.TRAINER))
    assert 0 < ours == runs[training.BARE]["padding"] < theirs < 1


def test_training_fails_where_our_loop_does_other_work(trained):
    task, _ = trained
    runs = training.in_turns(task, {training.BARE: training.bare, training.TAILORED: training.tailored})
    with pytest.raises(UserError, match=r"our loop: ends .* off the weights of the bare loop"):
        training.require_same(runs[training.TAILORED], runs[training.BARE])
    runs[training.BARE].require_work("bare")
    runs[training.BARE].rows -= 1
    with pytest.raises(UserError, match="bare: trained on 79 rows in place of 80"):
        runs[training.BARE].require_work("bare")
    idle = training.Run(task)
    idle.rows = 80
    with pytest.raises(UserError, match="idle: the network did not learn"):
        idle.require_work("idle")


def test_a_run_that_fails_ends_all_of_them(trained):
    def fails(task, turn):
        turn()
        raise UserError("no")

    with pytest.raises(UserError, match=r"^no$"):
        training.in_turns(trained[0], {training.BARE: training.bare, "fails": fails})


@pytest.mark.parametrize(("columns", "said"), [("text,label", "has no column sentence"), ("sentence,label", "fewer")])
def test_training_wants_its_columns_and_enough_rows(tmp_path, columns, said):
    (tmp_path / "rows.csv").write_text(f"{columns}\ngood,1\n")
    options = SimpleNamespace(data=tmp_path / "rows.csv", checkpoint=None, layers=1, rows=2, batch_size=8, epochs=1)
    with pytest.raises(UserError, match=said):
        training.Task(options)


def write_metrics(folder, arms):
    folder.mkdir()
    value = {"mean": 0.5, "low": None, "high": None, "n": 1}
    metrics = {
        "arms": {arm: {"accuracy": value | {"mean": 0.5 + place / 10}} for place, arm in enumerate(arms)},
        "teachers": {"warmup": {"accuracy": value | {"mean": 0.9}}},
        "warm_student": {"accuracy": value | {"mean": 0.4}},
        "majority": {"accuracy": 0.25},
        "differences": {"tailored-kd": {"accuracy": {"mean": 0.1, "low": 0.05, "high": 0.15, "n": 3}}},
        "tests": {"tailored-kd": {"p_holm": 0.04}},
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))


def test_table_has_what_was_reached_and_what_differs(tmp_path, monkeypatch, capsys):
    write_metrics(tmp_path / "a", ["kd", "tailored"])
    write_metrics(tmp_path / "b", ["kd", "pooled"])
    monkeypatch.setattr(sys, "argv", ["table", f"A={tmp_path / 'a'}", f"B={tmp_path / 'b'}"])
    table.main()
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == [
        "setting",
        "seeds",
        "majority class",
        "teacher",
        "warm student",
        "`kd`",
        "`tailored`",
        "`pooled`",
    ]
    assert lines[2] == ["A", "1", "25.0", "90.0", "40.0", "50.0", "60.0", "–"]
    assert lines[3] == ["B", "1", "25.0", "90.0", "40.0", "50.0", "–", "60.0"]
    assert ["A", "`tailored`", "**+10.0 [+5.0, +15.0]**, p 0.040", "–", "–"] in lines


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("TREC=empty", "empty/metrics.json: no such file"),
        ("TREC=few", "few/metrics.json: has no arm kd"),
        ("all", "all: should be a name and the run's reports folder"),
    ],
)
def test_table_fails_in_one_line(tmp_path, monkeypatch, argument, said):
    monkeypatch.chdir(tmp_path)
    write_metrics(tmp_path / "few", ["control"])
    write_metrics(tmp_path / "all", ["kd"])
    monkeypatch.setattr(sys, "argv", ["table", argument])
    with pytest.raises(UserError, match=said):
        table.main()


def test_table_needs_a_run(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["table"])
    with pytest.raises(SystemExit) as ended:
        table.main()
    assert ended.value.code


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder in which benchmarks.stages has run the tiny task, one seed and two arms."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        tiny_project.write_cards(folder)
        settings = tiny_project.settings(seeds=[1], arms=["kd", "tailored"])
        (folder / "params.yaml").write_text(yaml.safe_dump(settings))
        # Another run's, which would be scored with this one's.
        Path("work/runs/1/student/checkpoints/00000001").mkdir(parents=True)
        stages.run_all()
    yield folder
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def params(project, monkeypatch):
    """The project's settings, in its folder."""
    monkeypatch.chdir(project)
    return load_params()


def test_stages_runs_every_cell_and_starts_afresh(params):
    for arm in params.arms:
        assert Path("work/evaluation/1", arm).is_dir()
    assert json.loads(Path("reports/metrics.json").read_text())["arms"]["tailored"]["accuracy"]["n"] == 1
    assert not Path("work/runs/1/student/checkpoints").exists()


def test_stages_goes_on_where_a_run_of_the_same_settings_stopped(params, monkeypatch):
    text = stages.DONE.read_text()
    stages.DONE.write_text(text[: text.index("distill 1 tailored")])
    ran = []
    monkeypatch.setattr(stages, "run", lambda name, item: ran.append((name, *item.values())))
    stages.run_all(go_on=True)
    assert ran[:2] == [("distill", 1, "tailored"), ("selection",)]
    assert ("distill", 1, "kd") not in ran
    assert stages.DONE.read_text() == text
    stages.DONE.write_text("other\n")
    with pytest.raises(UserError, match=r"params.yaml: changed since the run that --go-on would go on with"):
        stages.run_all(go_on=True)
    stages.DONE.write_text(text)


def test_stages_fails_where_a_stage_writes_nothing(params, monkeypatch):
    monkeypatch.setattr("stages.selection.main", lambda: None)
    with pytest.raises(UserError, match=r"selection: did not write reports/selection\.json"):
        stages.run("selection", {})


def test_stages_knows_every_cell_and_output_of_the_graph():
    lists = {"seeds": [1, 2], "arms": ["kd"], "rounds": {"arms": []}}
    assert list(stages.cells(stages.STAGES["distill"], lists)) == [{"seed": 1, "arm": "kd"}, {"seed": 2, "arm": "kd"}]
    assert list(stages.cells(stages.STAGES["rounds"], lists)) == []
    assert list(stages.cells(stages.STAGES["report"], lists)) == [{}]
    for stage in stages.STAGES.values():
        assert not any("$" in str(path) for path in stages.outputs(stage, {"seed": 1, "arm": "kd"}))


def test_quality_measures_what_validation_retrained(params):
    student = quality.WarmStudent(params, 1)
    found = student.quality(*student.ours(params.influence))
    assert {"auc", "lds"} <= set(found)
    stage = json.loads(Path("work/validation/1/validation.json").read_text())
    assert found["lds"] == pytest.approx(stage["lds"]["correlation"])
    assert found["auc"] == pytest.approx(stage["mislabel"]["influence"]["auc"])


def test_quality_prints_means_whose_intervals_stay_in_range():
    rows = pd.DataFrame({"method": ["ours"] * 3, "seed": [1, 2, 3], "auc": [0.9, 0.99, 0.995], "lds": [-0.5, 0.2, 0.9]})
    printed = quality.table(rows.set_index(["method", "seed"])).splitlines()[-1]
    auc, lds = re.findall(r"([\d.]+) \[([-\d.]+), ([\d.]+)\]", printed)
    assert (auc[0], lds[0]) == ("96.2", "20.0")
    assert float(auc[2]) <= 100 and -100 <= float(lds[1]) < 0 < float(lds[2]) <= 100


@pytest.mark.parametrize(
    "broken", [lambda scores: scores[:3], np.zeros_like, lambda scores: scores * np.nan], ids=["few", "zero", "nan"]
)
def test_quality_fails_where_a_method_does_not_score(params, broken):
    student = quality.WarmStudent(params, 1)
    scores = broken(np.ones(len(student.train)))
    with pytest.raises(UserError, match=f"seed 1: not {len(student.train)} finite scores"):
        student.quality(scores, scores)


def test_quality_fails_where_students_had_other_subsets(params):
    other = params.model_copy(update={"validation": params.validation.model_copy(update={"fraction": 0.5})})
    with pytest.raises(UserError, match="not of the subsets and scores that are here now"):
        quality.WarmStudent(other, 1)


def test_quality_fails_where_no_student_was_retrained(params, monkeypatch):
    monkeypatch.setattr(quality, "read_json", lambda path: {})
    with pytest.raises(UserError, match=r"validation\.json: no student was retrained"):
        quality.WarmStudent(params, 1)


def test_directions_are_those_that_the_stage_scores(params):
    found = dict(directions.measure(params, 1, ["head margin none", "encoder cross_entropy adamw"]))
    stage = json.loads(Path("work/validation/1/validation.json").read_text())["mislabel"]
    assert found["head margin none"]["last"] == pytest.approx(stage["influence"]["auc"])
    assert found["head margin none"]["per_unit"] == pytest.approx(stage["influence_per_unit"]["auc"])
    assert found[directions.OWN] == {"last": pytest.approx(stage["likelihood"]["auc"])}
    student = quality.WarmStudent(params, 1)
    changed = quality.changed(params, ["scope=encoder", "feedback_loss=cross_entropy", "preconditioner=adamw"])
    other = student.quality(*student.ours(changed))["auc"]
    assert found["encoder cross_entropy adamw"]["last"] == pytest.approx(other)
    assert other != pytest.approx(stage["influence"]["auc"])


def test_directions_fails_where_no_label_is_flipped(params, monkeypatch):
    clean = directions.read_role("train").assign(label=0, true_label=0)
    monkeypatch.setattr(directions, "read_role", lambda role: clean)
    with pytest.raises(UserError, match=r"tasks/tiny/task\.yaml: label_noise"):
        next(directions.measure(params, 1, ["head margin none"]))


def test_a_workspace_has_the_changed_settings(tmp_path, monkeypatch):
    workspace.make(tmp_path / "new", ["seeds=[4]", "teacher_tailored.tailored.lambda=1e-1", "validation.removals=[]"])
    monkeypatch.chdir(tmp_path / "new")
    made = load_params()
    assert (made.seeds, made.teacher_tailored.tailored.lambda_, made.validation.removals) == ([4], 0.1, [])
    assert Path("tasks/demo/task.yaml").is_file()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("distil.epochs=1", "-S distil.epochs: params.yaml has no such key"),
        ("distill.epoch=1", "-S distill.epoch: params.yaml has no such key"),
        ("seeds=[a]", "-S: seeds.0: "),
    ],
)
def test_a_workspace_of_a_wrong_setting_fails(tmp_path, change, said):
    with pytest.raises(UserError, match=said):
        workspace.make(tmp_path / "new", [change])
    assert not (tmp_path / "new").exists()


SOURCES = {path.stem: path.read_text() for path in Path(benchmarks.__path__[0]).glob("[!_]*.py")}


@pytest.mark.parametrize("name", sorted(name for name, source in SOURCES.items() if "def main(" in source))
def test_a_benchmark_that_fails_says_one_line_and_ends_with_an_error(name):
    """Every script ends in the same frame; what it raises is tested above."""
    assert SOURCES[name].endswith(
        'if __name__ == "__main__":\n    try:\n        main()\n    except UserError as error:\n'
        '        sys.exit(f"error: {error}")\n'
    )
