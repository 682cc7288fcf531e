"""`lgtm trace`: the bytes behind a result, and all that is known of a sample."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import small
import tiny_project
import workspace
import yaml
from tiny_project import ROOT

from lgtm.cli.trace import trace
from lgtm.errors import UserError
from lgtm.trace import words
from lgtm.trace.lineage import lineage
from lgtm.trace.origin import origin
from lgtm.trace.sample import find_sample
from lgtm.trace.target import arm_of, parse_target

GRAPH = {
    "stages": {
        "prepare": {
            "cmd": "mkdir -p work/data && cat tasks/x > work/data/rows",
            "deps": ["tasks", "src/code.py"],
            "params": ["rate"],
            "outs": ["work/data"],
        },
        "evaluate": {
            "matrix": {"arm": "${arms}"},
            "cmd": "mkdir -p work/${item.arm} && cp work/data/rows work/${item.arm}/rows && echo --arm ${item.arm}"
            ' && echo \'{"torch": "2"}\' > work/${item.arm}/environment.json',
            "deps": ["work/data"],
            "outs": ["work/${item.arm}"],
        },
        "report": {
            "cmd": 'mkdir -p reports && echo \'{"arms": {"kd": {"accuracy": {"mean": 0.5}}}}\' > reports/metrics.json',
            "deps": ["work/kd", "work/tailored"],
            "outs": ["reports/metrics.json"],
        },
    }
}
FIGURE = "reports/metrics.json:arms.kd.accuracy"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    files = {"tasks/x": "the rows\n", "src/code.py": "1\n", "params.yaml": "rate: 1.0\narms: [kd, tailored]\n"}
    folder = small.make(tmp_path_factory.mktemp("trace") / "made", {"vars": ["params.yaml"]} | GRAPH, files)
    small.shell("git -c user.name=t -c user.email=t@t commit -qm 'the run'", folder)
    return folder


@pytest.fixture
def project(made, tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(shutil.copytree(made, tmp_path / "project", symlinks=True))
    return Path.cwd()


def md5(path: str) -> str:
    return hashlib.md5(Path(path).read_bytes()).hexdigest()


def said(capsys) -> str:
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= words.WIDTH
    return shown


def test_the_bytes_behind_a_figure(project, capsys):
    trace(FIGURE, full=True)
    shown = said(capsys)
    for part in (
        '{"mean": 0.5}', "3 cells of 3 stages", f"src/code.py {md5('src/code.py')}", "rate=1.0", "evaluate: kd\n",
        f"reports/metrics.json {md5('reports/metrics.json')}", "torch 2", "the run", "dvc repro report",
        "all as dvc.lock says",
    ):  # fmt: skip
        assert part in shown, (part, shown)
    recorded = yaml.safe_load(Path("dvc.lock").read_text())["stages"]
    found = lineage(["work/kd"])
    hashes = {item.path: item.hash for step in found.steps for item in (*step.code, *step.data, *step.outs)}
    for stage in ("prepare", "evaluate@kd"):
        for entry in recorded[stage]["deps"] + recorded[stage]["outs"]:
            assert hashes[entry["path"]] == entry["md5"]
    assert "evaluate@tailored" not in {cell for step in found.steps for cell in step.cells}


def test_an_input_byte_that_has_changed_since_is_named(project, capsys):
    time = Path("tasks/x").stat()  # kept, so that git sees nothing either
    Path("tasks/x").write_text("the rowz\n")
    os.utime("tasks/x", ns=(time.st_atime_ns, time.st_mtime_ns))
    with pytest.raises(UserError, match="tasks: is not as it was, and prepare has read it"):
        trace(FIGURE)
    assert "1 not as dvc.lock says" in said(capsys)


def test_what_no_commit_has_is_named(project, capsys):
    Path("params.yaml").write_text("rate: 1.0\narms: [kd, tailored]  # both\n")
    trace(FIGURE)
    shown = said(capsys)
    assert "but not  params.yaml" in shown
    assert "git add -A && git commit" in shown


def test_a_folder_of_all_cells_has_each(project, capsys):
    trace("work")
    assert "evaluate: kd, tailored\n" in said(capsys)


def test_the_commit_is_the_one_that_brought_the_lock(project, capsys):
    Path("note").touch()
    for command in (["add", "note"], ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "a later one"]):
        subprocess.run(["git", *command], check=True)
    before = subprocess.run(["git", "rev-parse", "--short", "HEAD~1"], capture_output=True, text=True).stdout.strip()
    trace(FIGURE)
    shown = said(capsys)
    assert "a later one" in shown
    assert f"git checkout {before}" in shown


def test_cells_are_named_by_seeds_and_arms():
    assert words._cells(["x@1-kd", "x@1-a-b", "x@2-kd", "x@2-a-b"]) == ": 1, 2, each with kd, a-b"
    assert words._cells(["x@1-kd", "x@1-ce", "x@2-kd"]) == ": 1-kd, 1-ce, 2-kd"
    assert words._cells(["x@1", "x@2"]) == ": 1, 2"
    assert words._cells(["x"]) == ""


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("reports/metrics.json:arms.nosuch", "reports/metrics.json: no key 'nosuch' in arms; it has kd"),
        ("reports/metrics.json:arms.kd.accuracy.mean.x", "no key 'x' in arms.kd.accuracy.mean; it has nothing below"),
        ("reports/none.json:a", "reports/none.json: not there"),
        ("params.yaml:rate", "params.yaml:rate: a figure's key is of a .json file"),
        ("params.yaml", "params.yaml: no stage of dvc.yaml writes it"),
        ("nosuch", "nosuch: no stage of dvc.yaml writes it"),
    ],
)
def test_what_cannot_be_traced_is_one_line(project, what, line):
    with pytest.raises(UserError) as error:
        trace(what)
    assert line in str(error.value)


def test_the_arm_of_a_figure():
    assert arm_of(parse_target("reports/metrics.json"), ["kd"]) is None
    target = parse_target("reports/metrics.json")
    assert arm_of(target._replace(key="arms.kd.accuracy"), ["kd"]) == "kd"
    assert arm_of(target._replace(key="teachers.warmup.accuracy"), ["kd"]) is None
    assert arm_of(target._replace(key="differences.tailored-kd.accuracy"), ["kd"]) is None  # its p is of all arms


# --- samples ---


@pytest.fixture
def cells(tmp_path, monkeypatch) -> Path:
    """A workspace of one seed, its warm networks and scores, and the arm kd taught."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(ROOT)
    workspace.write()
    taught = Path("work/runs/1/kd/teacher")
    taught.mkdir(parents=True)
    warm = pd.read_parquet("work/runs/1/teacher/targets.parquet")
    warm[["sample_id", "row"]].iloc[::2].to_parquet(taught / "targets.parquet")
    (taught / "summary.json").write_text(json.dumps({"warm": "work/runs/1/teacher/targets.parquet"}))
    return tmp_path


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum()


def test_a_sample_that_is_taught(cells):
    row = pd.read_parquet("work/data/train.parquet").iloc[6]
    scores = pd.read_parquet("work/runs/1/influence/influence.parquet").set_index("sample_id")
    found = find_sample("train-6", [1], ["kd"], "tiny", run=False)
    assert (found.role, found.texts["text"], found.label) == ("train", row["text"], workspace.LABELS[row["label"]])
    assert found.truth == workspace.LABELS[row["true_label"]]
    own, of_train = scores.loc["train-6"], scores[scores.index.str.startswith("train-")]["influence"]
    assert found.influence == {
        1: (own["influence"], own["influence_label"], 1 + int((of_train > own["influence"]).sum()), len(of_train))
    }
    logits = pd.read_parquet("work/runs/1/teacher/targets.parquet").set_index("sample_id").loc["train-6", "logits"]
    for who, said in zip(("warm teacher", "teacher of kd"), found.teachers, strict=True):
        assert (said.who, said.label) == (who, workspace.LABELS[int(np.argmax(logits))])
        assert said.probability == pytest.approx(softmax(logits).max(), abs=1e-6)
    assert find_sample("train-7", [1], ["kd"], "tiny", run=False).teachers[1].why == "not taught by it"


def test_what_students_say_of_a_row_that_is_not_the_tests(cells):
    text = pd.read_parquet("work/data/transfer.parquet").iloc[4:5]["text"]
    expected = softmax(workspace.logits_of(Path("work/runs/1/student"), text)[0].numpy())
    found = find_sample("transfer-4", [1], [], "tiny", run=True)
    assert found.label is None
    (said,) = found.students
    assert (said.who, said.label) == ("warm student", workspace.LABELS[int(expected.argmax())])
    assert said.probability == pytest.approx(expected.max(), abs=1e-5)


def test_a_sample_of_the_test_is_looked_up(cells):
    ids = pd.read_parquet("work/data/test.parquet")["sample_id"]
    logits = np.random.default_rng(0).normal(size=(len(ids), 2))
    for arm in ("warmup", "kd"):
        folder = Path("work/evaluation/1", arm)
        folder.mkdir(parents=True)
        for number, model in enumerate(("teacher", "student") if arm == "warmup" else ("student",)):
            pd.DataFrame({"sample_id": ids, "logits": list(np.add(logits, [number, 0]))}).to_parquet(
                folder / f"{model}.parquet"
            )
    found = find_sample("test-5", [1], ["kd"], "tiny", run=True)
    assert [said.who for said in found.teachers] == ["warm teacher"]
    assert [said.who for said in found.students] == ["warm student", "kd"]
    for said, shift in zip([*found.teachers, *found.students], ([0, 0], [1, 0], [0, 0]), strict=True):
        expected = softmax(logits[5] + shift)
        assert (said.label, said.probability) == (
            workspace.LABELS[int(expected.argmax())],
            pytest.approx(expected.max()),
        )


def test_where_a_sample_was_read(cells):
    texts = tiny_project.texts(120, 0, 6)
    found = origin("train-17", "tiny")
    assert (found.place, found.read, found.now["text"]) == ("row 18 of tasks/tiny/train.csv", True, texts[17])
    card = Path("tasks/tiny/task.yaml")
    content = yaml.safe_load(card.read_text())
    content["files"]["transfer"] = ["new.csv", "more.csv"]
    card.write_text(yaml.safe_dump(content))
    Path("tasks/tiny/more.csv").write_text("text\nfirst\nsecond\n")
    assert origin("transfer-41", "tiny").place == "row 2 of tasks/tiny/more.csv"
    assert origin("transfer-41", "tiny").now == {"text": "second"}
    assert "42 rows, transfer-0 to transfer-41" in origin("transfer-42", "tiny").place
    for sample, line in {
        "train-119": "in no role: prepare dropped row 120 of tasks/tiny/train.csv",
        "train-120": "no such sample; tasks/tiny/train.csv has 120 rows",
        "foo-1": "no such sample; tasks/tiny/task.yaml has no split 'foo'; there are train, test, transfer",
    }.items():
        with pytest.raises(UserError) as error:
            find_sample(sample, [1], [], "tiny", run=False)
        assert str(error.value).startswith(f"{sample}: {line}")


def test_a_text_that_is_no_longer_the_files_is_said(cells):
    shown = "\n".join(words.of_sample(find_sample("train-6", [1], [], "tiny", run=False)))
    assert "changed  its file now has another text" in shown  # the workspace's rows are not the files'
    assert all(len(line) <= words.WIDTH for line in shown.splitlines())
