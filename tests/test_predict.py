"""`lgtm predict`: the same answers as the stages', whatever way the texts come, and rows that stay whole."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shipped
import workspace
from scipy.special import softmax
from tiny_project import ROOT

from lgtm.cli.predict import predict
from lgtm.errors import UserError
from lgtm.shipping import texts
from lgtm.shipping.answers import CsvWriter
from lgtm.shipping.recommended import recommended, seed_and_arm
from stages import ship
from stages.artifacts import cell, read_role, save_model
from stages.network import Network

KD = Path("work/runs/2/kd/student")  # which the report recommends: the seed that is best on selection


@pytest.fixture
def project(recommending, tmp_path, monkeypatch) -> Path:
    shutil.copytree(recommending, tmp_path / "project")
    (tmp_path / "project/dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(tmp_path / "project")
    return Path.cwd()


def said(capsys) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def probabilities(rows) -> np.ndarray:
    return np.array([[float(row[f"probability_{name}"]) for name in workspace.LABELS] for row in rows])


def piped(content: bytes):
    stream = io.TextIOWrapper(io.BytesIO(content))
    stream.isatty = lambda: False
    return stream


def test_a_file_is_predicted_as_the_stages_predict_it(project, capsys, monkeypatch):
    rows = read_role("selection")
    rows["text"] = [f"{text} {'sun ' * (30 if i % 3 == 0 else i)}".strip() for i, text in enumerate(rows["text"])]
    rows.to_parquet("work/data/selection.parquet")
    wanted = softmax(Network(KD).predict("selection", 5), axis=1)
    rows[["sample_id", "text"]].to_csv("new.csv", index=False)
    predict(file=Path("new.csv"), batch_size=3)
    found = said(capsys)
    np.testing.assert_allclose(probabilities(found), wanted, rtol=1e-5)
    assert [row["predicted"] for row in found] == [workspace.LABELS[index] for index in wanted.argmax(1)]
    assert [(row["sample_id"], row["text"]) for row in found] == list(zip(rows["sample_id"], rows["text"], strict=True))
    # In pieces, by a pipe and as arguments: the same.
    monkeypatch.setattr(texts, "PIECE", 5)
    monkeypatch.setattr(sys, "stdin", piped("\ufeff".encode() + "\r\n".join(rows["text"]).encode()))
    predict()
    piped_in = said(capsys)
    predict(list(rows["text"]))
    for again in (piped_in, said(capsys)):
        np.testing.assert_allclose(probabilities(again), wanted, rtol=1e-5)
        assert [row["text"] for row in again] == list(rows["text"])


@pytest.mark.parametrize("name", ["new.jsonl", "new.parquet", "new.tsv", "new.txt"])
def test_every_kind_of_file(project, capsys, name):
    frame, path = pd.DataFrame({"text": ["good day", "bad night sun", "sun"]}), Path(name)
    match path.suffix:
        case ".jsonl":
            frame.to_json(path, orient="records", lines=True)
        case ".parquet":
            frame.to_parquet(path)
        case ".tsv":
            frame.to_csv(path, sep="\t", index=False)
        case _:
            path.write_text("\n".join(frame["text"]) + "\n")
    predict(file=path)
    found = said(capsys)
    predict(list(frame["text"]))
    assert found == said(capsys)


def test_pairs_of_texts(project, capsys, monkeypatch):
    """In their order, in any of the ways; the task's card names the columns where the student is the project's."""
    card = Path("tasks/tiny/task.yaml")
    card.write_text(card.read_text().replace("text_pair: null", "text_pair: other"))
    shipped.write_reports("kd")
    pd.DataFrame({"text": ["good day", "bad"], "other": ["sun", "night sun"]}).to_csv("new.csv", index=False)
    predict(file=Path("new.csv"))
    found = said(capsys)
    network = Network(KD)
    for row in found:
        network.encoded = {
            ("one",): network.encode_frame(pd.DataFrame([{"text": row["text"], "text_pair": row["other"]}]))
        }
        np.testing.assert_allclose(probabilities([row])[0], softmax(network.predict("one", 1)[0]), rtol=1e-5)
    predict(["good day", "sun", "bad", "night sun"])
    assert (probabilities(said(capsys)) == probabilities(found)).all()
    monkeypatch.setattr(sys, "stdin", piped(b"good day\tsun\nbad\tnight sun\n"))
    predict(model=shutil.copytree(KD, project.parent / "elsewhere"), pairs=True)
    assert (probabilities(said(capsys)) == probabilities(found)).all()


def test_the_student_is_the_one_that_is_set_aside(project):
    found = recommended()
    assert (found.folder, found.cell, list(found.selection)) == (Path("work/ship/student"), KD, [2, 3, 1])
    shipped.write_reports("warm student")
    with pytest.raises(
        UserError, match=r"work/ship/choice\.json: is of kd, and the report recommends warm student; run"
    ):
        recommended()
    shutil.rmtree("work/ship")  # as DVC does
    ship.main()
    assert recommended().cell == Path("work/runs/3/student")  # it keeps its last, by which seed 3 is best
    assert seed_and_arm(KD) == (2, "kd")
    assert seed_and_arm(cell(3, "student")) == (3, None)
    assert seed_and_arm(cell(3, "kd", "student", "teacher")) is None


def test_a_row_without_a_text_stays_and_has_no_prediction(project, capsys):
    Path("new.csv").write_text("id,text\na,good\nb,\nc,  \nd,bad\n")
    predict(file=Path("new.csv"), out=Path("said.jsonl"))
    rows = [json.loads(line) for line in Path("said.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == ["a", "b", "c", "d"]
    assert [row["predicted"] is None for row in rows] == [False, True, True, False]
    assert [row["probability_fine"] is None for row in rows] == [False, True, True, False]
    assert "caution: 2 of 4 rows have no text, and no prediction" in capsys.readouterr().err


def test_a_formula_and_a_hostile_label_are_text(project, capsys):
    folder = project.parent / "hostile"
    network = Network(KD)
    save_model(folder, network.model, network.tokenizer)
    labels = ["=cmd|'/c calc'!A0", "@\x1b[2J"]
    shipped.name_classes(folder, labels)
    pd.DataFrame({"text": ["=1+1", "+sun", "@day", "good"], "=id": ["-1", "-x", "1", "2"]}).to_csv(
        "new.csv", index=False
    )
    predict(file=Path("new.csv"), model=folder)
    header, *rows = csv.reader(io.StringIO(capsys.readouterr().out))
    cells = [cell for row in [header, *rows] for cell in row]
    assert not [cell for cell in cells if cell[:1] in "=+-@" and cell != "-1"]
    assert [row[0] for row in rows] == ["'=1+1", "'+sun", "'@day", "good"]
    predict(file=Path("new.csv"), model=folder, form="jsonl")  # for programs: exact
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (first["text"], first["predicted"] in labels) == ("=1+1", True)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"texts": ["a"], "file": Path("new.csv")}, "texts as arguments and --file: give one of them"),
        ({"file": Path("no.csv")}, r"no\.csv: no such file"),
        ({"file": Path("new.doc")}, r"new\.doc: not a file of a known kind \(\.csv, .*\.txt\)"),
        (
            {"file": Path("new.csv"), "text": "txt"},
            r"new\.csv: no column 'txt' \(--text and --text-pair say which\).*did you mean 'text'\?",
        ),
        ({"file": Path("other.csv")}, r"other\.csv: no column 'text' \(columns in tasks/tiny/task\.yaml\); found a"),
        ({"file": Path("said.csv")}, "has a column 'predicted', which is to be written; rename it"),
        ({"file": Path("latin.txt")}, r"latin\.txt: line 2: not UTF-8 text \(byte 1\)"),
        ({"texts": ["a"], "out": Path("x.xlsx")}, r"x\.xlsx: --out is a \.csv or \.jsonl file"),
        ({"texts": ["a"], "out": Path("x.csv"), "form": "jsonl"}, "and --format says jsonl"),
        ({"texts": ["a"], "out": Path("no/x.csv")}, r"no/x\.csv: cannot be written: No such file"),
        ({"texts": ["a", "b", "c"], "pairs": True}, "3 texts, which makes no pairs; give two for each"),
        ({"texts": ["a"], "model": Path("tasks")}, r"tasks: no model folder, it has no config\.json"),
        ({"texts": ["a"], "model": Path("empty")}, r"empty: no model\.safetensors, the weights"),
        ({"texts": ["a"], "model": Path("torn")}, "torn: no classifier can be made of it"),
        ({"texts": ["\udcff"]}, "the command line: row 1 .*half of a Unicode character"),
        ({}, "no text was given"),
    ],
)
def test_bad_input_is_one_line(project, monkeypatch, arguments, line):
    Path("new.csv").write_text("text\na\n")
    Path("other.csv").write_text("a,b\na,b\n")
    Path("said.csv").write_text("text,predicted\na,b\n")
    Path("latin.txt").write_bytes("ab\nc\u00e9d\n".encode("latin-1"))
    Path("new.doc").write_text("a")
    shutil.copytree(KD, "torn")
    Path("torn/model.safetensors").write_bytes(b"torn")
    shutil.copytree(KD, "empty", ignore=shutil.ignore_patterns("*.safetensors"))
    monkeypatch.setattr(sys, "stdin", piped(b""))
    before = {path for path in project.rglob("*")}
    with pytest.raises(UserError, match=line) as error:
        predict(**arguments)
    assert "\n" not in str(error.value)
    assert {path for path in project.rglob("*")} == before


def test_no_run_yet_or_nothing_to_recommend(project):
    shipped.write_reports("nothing")
    with pytest.raises(
        UserError, match=r"reports/summary\.json: the report recommends no student.* or name a student's"
    ):
        predict(["a"])
    shipped.write_reports("kd")
    workspace.settings(seeds=[1, 2])
    with pytest.raises(UserError, match=r"is of other settings than .* are now; run make repro"):
        predict(["a"])
    shipped.write_reports("kd")
    shutil.rmtree("work/ship")  # as in a fresh clone, whose figures are committed
    with pytest.raises(UserError, match=r"work/ship/choice\.json: not there; run dvc repro"):
        predict(["a"])
    Path("reports/summary.json").unlink()
    with pytest.raises(
        UserError, match=r"reports/summary\.json: not there, so no student is recommended; run make repro"
    ):
        predict(["a"])
    Path("dvc.yaml").unlink()
    with pytest.raises(UserError, match=r"no dvc\.yaml here"):
        predict(["a"])


def test_a_file_of_answers_is_whole_or_as_it_was(project):
    Path("said.csv").write_text("as it was\n")
    Path("new.csv").write_text("text\n" + "good\n" * 9000 + "good,bad\n")  # the mistake is in its second piece
    with pytest.raises(UserError, match="line 9002: 2 fields"):
        predict(file=Path("new.csv"), out=Path("said.csv"))
    assert Path("said.csv").read_text() == "as it was\n"


def test_a_folder_from_elsewhere_in_a_pipe_that_closes(project, tmp_path):
    """No project is needed, and its tokenizer knows where to cut."""
    folder = shutil.copytree(KD, tmp_path / "alone/student")
    command = [sys.executable, "-c", "from lgtm.cli.app import main; main()", "predict", "--model", str(folder)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    lines = folder.parent / "lines"
    lines.write_text(f"{'good day ' * 30}\n" * 500)  # more than a pipe holds
    with (
        lines.open("rb") as stdin,
        subprocess.Popen(
            command, cwd=folder.parent, env=environment, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as ran,
    ):
        assert ran.stdout.readline() == b"text,predicted,probability_awful,probability_fine\n"
        ran.stdout.close()
        assert b"rror" not in ran.stderr.read()
    assert ran.returncode == 0


def written(*tables: pd.DataFrame) -> list[dict[str, str]]:
    """Tables as a CSV has them, read again."""
    file = io.StringIO(newline="")
    writer = CsvWriter(file, terminal=False)
    for table in tables:
        writer.write(table)
    return list(csv.DictReader(io.StringIO(file.getvalue(), newline="")))


def test_a_csv_carries_other_columns_along_as_they_are():
    table = pd.DataFrame({"text": ["a\rb", "c"], "price": [12345678.25, 0.1], "probability_bad": [0.123456789, 1.0]})
    assert written(table) == [
        {"text": "a\rb", "price": "12345678.25", "probability_bad": "0.123457"},
        {"text": "c", "price": "0.1", "probability_bad": "1"},
    ]


def test_a_csv_keeps_its_columns_where_later_rows_have_them_in_another_order_or_lack_one():
    first, later = pd.DataFrame({"text": ["a"], "id": ["1"]}), pd.DataFrame({"id": ["2"], "text": ["b"]})
    assert written(first, later, later[["text"]]) == [
        {"text": "a", "id": "1"}, {"text": "b", "id": "2"}, {"text": "b", "id": ""},
    ]  # fmt: skip
    with pytest.raises(UserError, match="'note' in later rows alone"):
        written(first, later.assign(note="n"))
