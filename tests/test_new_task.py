"""`lgtm new-task`: what it sees of a file, and cards that the project's own loader accepts."""

import csv
import io
import json
import random
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny_project
import yaml
from tiny_project import ROOT

from lgtm.cli.new_task import ask
from lgtm.data.sources import read_splits
from lgtm.data.tasks import load_card
from lgtm.data.transfer import read_transfer
from lgtm.errors import UserError
from lgtm.networks.pairs import load_pair
from lgtm.newtask.columns import choose
from lgtm.newtask.facts import facts
from lgtm.newtask.make import Made, Wanted, make
from lgtm.newtask.raw import look

CLASSES = ["gut", "neutral", "übel"]
WORDS = ["café", "straße", "heute", "morgen", "essen", "wetter", "haus", "laut", "leise"]


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(ROOT)
    tiny_project.write_cards(tmp_path)
    shutil.copy(ROOT / "pairs/minilm-to-2l.yaml", "pairs")
    Path("params.yaml").write_text(yaml.safe_dump(tiny_project.settings(seeds=[1], arms=["ce", "kd", "tailored"])))
    Path("dvc.yaml").touch()
    return tmp_path


def rows(count: int = 60, seed: int = 0) -> list[dict[str, str]]:
    chosen = random.Random(seed)
    return [
        {
            "nr": str(i),
            "kommentar": " ".join(chosen.choices(WORDS, k=6)) + f' {i}; "so"',
            "klasse": CLASSES[i % 3],
            "user": f"u{i % 17}",
        }
        for i in range(count)
    ]


def table(rows: list[dict], separator: str = ",", **how) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), delimiter=separator, **how)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def nobody(question: str, among, flag: str) -> str:
    raise UserError(f"{question} {', '.join(among)}: give {flag}")


def made(path: str, **flags) -> Made:
    return make(Wanted(Path(path) if path else None, **flags), nobody)


def read(name: str):
    folder = Path("tasks", name)
    return load_card(folder), read_splits(load_card(folder), folder)


def snapshot() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(Path().rglob("*")) if path.is_file()}


def write(path: str, kind: str, content: list[dict]) -> None:
    match kind:
        case "latin-1":
            Path(path).write_bytes(table(content, ";").encode("latin-1"))
        case "utf-16":
            Path(path).write_bytes(table(content, "\t").encode("utf-16"))
        case "sep=":
            Path(path).write_text("sep=|\n" + table(content, "|"), encoding="utf-8-sig")
        case "tsv":
            Path(path).write_text(table(content, "\t"))
        case "jsonl":
            Path(path).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content))
        case "parquet":
            pd.DataFrame(content).to_parquet(path)


@pytest.mark.parametrize(
    ("kind", "file"),
    {
        "latin-1": "a.csv",
        "utf-16": "a.csv",
        "sep=": "a.csv",
        "tsv": "a.tsv",
        "jsonl": "a.jsonl",
        "parquet": "a.parquet",
    }.items(),
)
def test_a_file_of_any_kind_becomes_a_task_with_its_rows(project, file, kind):
    content = rows()
    write(file, kind, content)
    found = made(file, name="mine")
    _, raw = read("mine")
    train = raw.splits["train"]
    assert train["text"].tolist() == [row["kommentar"] for row in content]
    assert [raw.labels[label] for label in train["label"]] == [row["klasse"] for row in content]
    assert train["group"].tolist() == [row["user"] for row in content]
    assert raw.labels == sorted(CLASSES)
    assert found.settings == ["task=mine"]
    shown = "\n".join(found.seen)
    assert "columns: text 'kommentar', label 'klasse', group 'user'; not used: nr" in shown
    assert "rows: train " in shown  # of the roles, as lgtm check says
    assert ("converted from" in shown) == (kind in ("latin-1", "utf-16"))
    assert (Path("tasks/mine") / file).read_bytes() == Path(file).read_bytes() or "converted" in shown


def test_what_is_there_stays_as_it_is(project):
    write("mine.csv", "latin-1", rows())
    made("mine.csv")
    before = snapshot()
    with pytest.raises(UserError, match="tasks/mine: there is a task of this name, which stays as it is; give another"):
        made("mine.csv")
    with pytest.raises(UserError, match="tasks/tiny: there is a task"):
        made("mine.csv", name="tiny")
    assert snapshot() == before


@pytest.mark.parametrize(
    ("content", "flags", "line"),
    [
        ("", {}, "a.csv: the file is empty"),
        ("text\nx y\n", {}, "a.csv: one column, 'text'; a task needs a text and a label"),
        (table([{"a": "x y z", "b": str(i)} for i in range(9)]), {}, "no column looks like a label"),
        (table(rows()), {"label": "klase"}, "a.csv: no column 'klase' (--label); found nr, kommentar, klasse, user"),
        (table(rows()), {"encoding": "nosuch"}, "--encoding nosuch: a.csv cannot be read so"),
        (table(rows()), {"metrics": ["f1"]}, "metrics: f1 is for two classes, the task has 3"),
        (table(rows()), {"metrics": ["f2"]}, "tasks/a/task.yaml: metrics.0"),
        (table(rows()), {"name": "../x"}, "--name '../x': should be the name of a folder of tasks/"),
        (table(rows()), {"pair": "none"}, "no card pairs/none.yaml"),
        (table([rows()[0] | {"klasse": ""}, *rows()]), {}, "1 of 61 rows have no label in 'klasse'"),
        (table(rows()) + "1,2\n", {}, "a.csv: line 62: 2 fields, but the header has 4"),
        (table([row | {"klasse": "gut"} for row in rows()]), {"label": "klasse"}, "'klasse' has one class, 'gut'"),
    ],
)  # fmt: skip
def test_what_cannot_become_a_task_is_one_line_and_leaves_nothing(project, content, flags, line):
    Path("a.csv").write_text(content)
    before = snapshot()
    with pytest.raises(UserError) as error:
        made("a.csv", **flags)
    assert line in str(error.value)
    assert "copy.csv" not in str(error.value)
    assert snapshot() == before


@pytest.mark.parametrize("path", ["nosuch.csv", "a.xlsx"])
def test_no_file_or_no_kind(project, path):
    Path("a.xlsx").write_text("x")
    with pytest.raises(UserError, match=f"{path}: (no such file|not a file of a known kind)"):
        made(path)


def test_only_what_cannot_be_seen_is_asked(project):
    content = [row | {"titel": f"ein titel {i}", "sprache": ["de", "en"][i % 2]} for i, row in enumerate(rows())]
    Path("a.csv").write_text(table(content))
    asked = []

    def answer(question: str, among, flag: str) -> str:
        asked.append((flag, list(among)))
        return {"--label": "klasse", "--text": "kommentar"}[flag]

    make(Wanted(Path("a.csv")), answer)
    assert asked == [("--label", ["klasse", "sprache"]), ("--text", ["kommentar", "titel"])]
    assert load_card(Path("tasks/a")).columns.text == "kommentar"
    asked.clear()
    make(Wanted(Path("a.csv"), name="b", text="titel", label="sprache", group="none"), answer)
    assert asked == []
    assert load_card(Path("tasks/b")).columns.group is None


def test_nobody_to_ask(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("klasse\n"))
    with pytest.raises(UserError, match="which\\? a, b: give --label"):
        ask("which?", ["a", "b"], "--label")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("answer", ["2", "b"])
def test_somebody_to_ask(monkeypatch, answer):
    monkeypatch.setattr("sys.stdin", Terminal(f"9\n{answer}\n"))
    monkeypatch.setattr("sys.stdout", Terminal())
    assert ask("which?", ["a", "b"], "--label") == "b"


def test_pairs_are_seen_by_their_names(project):
    content = [
        {
            "premise": f"ein satz {i} {random.Random(i).random()}",
            "hypothesis": f"noch einer {i}",
            "gold_label": "ab"[i % 2],
        }
        for i in range(60)
    ]
    Path("nli.csv").write_text(table(content))
    made("nli.csv")
    columns = load_card(Path("tasks/nli")).columns
    assert (columns.text, columns.text_pair, columns.label) == ("premise", "hypothesis", "gold_label")


def test_quotes_that_are_letters(project):
    lines = [f'"so {WORDS[i % 9]} {i}\t{"ab"[i % 2]}' for i in range(60)]
    Path("q.tsv").write_text("text\tlabel\n" + "\n".join(lines) + "\n")
    made("q.tsv")
    card, raw = read("q")
    assert card.quoting == "none"
    assert raw.splits["train"]["text"].tolist() == [line.split("\t")[0] for line in lines]


def test_a_text_of_many_lines_at_the_end_of_what_is_tried(project, monkeypatch):
    monkeypatch.setattr("lgtm.newtask.raw.TRIED", 7)
    content = [{"text": f"eins\nzwei; {i}", "label": "ab"[i % 2]} for i in range(30)]
    Path("m.csv").write_text(table(content, ";", quoting=csv.QUOTE_ALL))
    found = look(Path("m.csv"), None, None)
    assert (found.separator, found.quoted) == (";", True)


def test_where_no_way_fits_the_readers_line_is_about_quotes(project):
    Path("q.csv").write_text('text,label\n"one" two,a\nthree, four,b\n')
    with pytest.raises(UserError, match=r"q.csv: lines? 2.*if quotes are a part of the texts"):
        made("q.csv")


def test_counts_against_plain_ones(project):
    content = rows(40) + rows(5) + [row | {"klasse": "gut", "kommentar": row["kommentar"].upper()} for row in rows(4)]
    frame = pd.DataFrame(content)
    columns = choose(frame, "x", nobody, text="kommentar", text_pair=None, label="klasse", group="none")
    found = facts(frame, columns)
    assert (found.rows, found.repeated, found.conflicting) == (49, 9, 2)  # row 0 and 3 are `gut` both times
    assert found.classes == {name: sum(row["klasse"] == name for row in content) for name in sorted(CLASSES)}
    assert found.metrics == ["accuracy", "macro_f1"]
    unequal = frame[(frame["klasse"] == "gut") | (frame["nr"] == "1")]
    assert facts(unequal, columns).metrics[0] == "macro_f1"


@pytest.mark.parametrize(
    ("file", "content", "texts"),
    [
        ("new.csv", "kommentar;user\neins zwei;u1\ndrei vier;u2\n", ["eins zwei", "drei vier"]),  # fits as it is
        ("new.csv", "text\neins, zwei\n", None),
        ("new.csv", "text\neins zwei\n", ["eins zwei"]),  # another name, no group, another separator
        ("new.csv", 'kommentar,user\n"eins; zwei",u1\n', ["eins; zwei"]),  # another separator alone
        ("new.tsv", "kommentar\tuser\neins; zwei\tu1\n", ["eins; zwei"]),
        ("new.jsonl", '{"text": "eins"}\n{"text": "zwei"}\n', ["eins", "zwei"]),
    ],
)
def test_texts_without_labels(project, file, content, texts):
    write("a.csv", "latin-1", rows())
    Path(file).write_text(content)
    if texts is None:
        with pytest.raises(UserError, match=r"new.csv: line 2: 2 fields, but the header has 1"):
            made("a.csv", transfer=[Path(file)])
        return
    made("a.csv", transfer=[Path(file)])
    folder = Path("tasks/a")
    pieces = list(read_transfer(load_card(folder), folder))
    assert [text for piece in pieces for text in piece.frame["kommentar"]] == texts


def test_texts_without_the_column_of_texts(project):
    write("a.csv", "latin-1", rows())
    Path("new.csv").write_text("x;y\n1;2\n")
    before = snapshot()
    with pytest.raises(UserError, match=r"new.csv: no column 'kommentar', as the labelled rows have; found x, y"):
        made("a.csv", transfer=[Path("new.csv")])
    assert snapshot() == before


# --- answers ---


def shares(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet([1, 1, 1], 60)


def by_class(values: np.ndarray, names=CLASSES) -> list[dict]:
    return [row | dict(zip(names, map(float, own), strict=True)) for row, own in zip(rows(), values, strict=True)]


ANSWERS = {
    "probabilities": (by_class(shares()), {"kind": "probabilities"}),
    "log": (by_class(np.log(shares())), {"kind": "log_probabilities"}),
    "logits": (by_class(3 * shares() - 2), {"kind": "logits"}),
    "names": ([{"kommentar": row["kommentar"], "said": row["klasse"].upper()} for row in rows()],
              {"kind": "label", "label": "said", "smoothing": 0.1}),
    "nested": ([{"id": f"train-{i}", "top": {"GUT": 0.5, "übel": 0.3}} for i in range(60)],
               {"kind": "probabilities", "top": True, "scores": "top", "labels": {"GUT": "gut"}, "id": "id"}),
    "list": ([{"id": f"train-{i}", "s": [1.0, -2.0, 0.5]} for i in range(60)], {"kind": "logits", "scores": "s"}),
}  # fmt: skip


@pytest.mark.parametrize("kind", ANSWERS)
def test_a_file_of_answers_becomes_a_card(project, kind):
    write("a.jsonl", "jsonl", rows())
    content, expected = ANSWERS[kind]
    write("said.jsonl", "jsonl", [{k: v for k, v in row.items() if k not in ("klasse", "user")} for row in content])
    found = made("a.jsonl", predictions=Path("said.jsonl"), pair="minilm-to-2l")
    pair = load_pair("a-said")
    assert {key: pair.teacher.predictions.get(key) for key in expected} == expected
    assert pair.student == load_pair("minilm-to-2l").student
    assert found.settings == ["task=a", "pair=a-said", "arms=[ce,kd]"]
    assert found.written == [Path("tasks/a"), Path("tasks/a/said.jsonl"), Path("pairs/a-said.yaml")]


def test_answers_for_a_task_that_is_there(project):
    write("a.jsonl", "jsonl", rows())
    made("a.jsonl")
    card = Path("tasks/a/task.yaml").read_bytes()
    write("said.csv", "latin-1", by_class(shares()))
    found = make(Wanted(None, name="a", predictions=Path("said.csv")), nobody)
    assert "pair=a-said" in found.settings
    assert load_pair("a-said").tokenizer.vocab_size == 100  # of the pair in params.yaml, whose student is from scratch
    assert Path("tasks/a/task.yaml").read_bytes() == card
    before = snapshot()
    with pytest.raises(UserError, match=r"pairs/a-said.yaml: is there already, and stays as it is"):
        make(Wanted(None, name="a", predictions=Path("said.csv")), nobody)
    with pytest.raises(UserError, match=r"--transfer: tasks/a/task.yaml is there and stays as it is"):
        make(Wanted(None, name="a", predictions=Path("said.csv"), transfer=[Path("x.csv")]), nobody)
    with pytest.raises(UserError, match="no data; give a file of labelled rows"):
        make(Wanted(None, predictions=Path("said.csv")), nobody)
    assert snapshot() == before


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ([{"kommentar": "x y", "said": "was anderes"}], "said.jsonl: no answers in the task's classes, gut"),
        ([{"frage": 1, "gut": 1.0, "neutral": 0.0, "übel": 0.0}], "said.jsonl: by what is a row found?"),
        ([{"kommentar": "x", "s": [1.0, 2.0]}], "said.jsonl: row 1: s has 2 values, the task 3 classes"),
        ([{"kommentar": "x", "s": {"gut": 1.0, "böse": 2.0}}], "said.jsonl: row 1: s has 'böse', which is no class"),
        ([{"kommentar": "x", "gut": 5.0, "übel": -3.0}], "some classes have no number, and the others are no"),
        (ANSWERS["probabilities"][0][:50], "rows of train have no answer, the first is train-5"),
    ],
)  # fmt: skip
def test_answers_that_are_none_leave_nothing(project, content, line):
    write("a.jsonl", "jsonl", rows())
    write("said.jsonl", "jsonl", [{k: v for k, v in row.items() if k != "klasse"} for row in content])
    before = snapshot()
    with pytest.raises(UserError) as error:
        made("a.jsonl", predictions=Path("said.jsonl"))
    assert line in str(error.value)
    assert snapshot() == before


def test_what_separates_is_found_where_other_marks_are_in_the_texts(project):
    for mark in (",", ";", "\t", "|"):
        content = [{"text": f"eins, zwei; drei | vier {i}", "label": "ab"[i % 2]} for i in range(30)]
        Path("m.csv").write_text(table(content, mark, quoting=csv.QUOTE_ALL))
        assert (look(Path("m.csv"), None, None).separator or ",") == mark
        content = [{"text, den": f"eins, zwei, drei {i}", "label": "ab"[i % 2]} for i in range(30)]
        Path("m.csv").write_text(table(content, mark))
        assert (look(Path("m.csv"), None, None).separator or ",") == mark
