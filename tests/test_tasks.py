import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pandas as pd
import pytest

from lgtm.config import Strict
from lgtm.data.sources import RawTask, read_leaderboard, read_splits
from lgtm.data.tasks import load_card
from lgtm.data.transfer import read_transfer
from lgtm.errors import UserError

ROOT = Path(__file__).parents[1]
CARD = {
    "description": "a test",
    "source": "local",
    "files": {"train": "train.csv"},
    "columns": {"text": "text", "label": "label"},
    "metrics": ["accuracy"],
    "max_length": 16,
    "label_noise": 0.0,
}
TWO = "text,label\nfine day,good\nfoul day,bad\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A task folder as the user has it: tasks/mine in the current folder."""
    monkeypatch.chdir(tmp_path)
    mine = Path("tasks/mine")
    mine.mkdir(parents=True)
    return mine


def read(folder: Path, data: dict | str | bytes = TWO, **changes) -> RawTask:
    """Write the files and the card (JSON is YAML), and read the task."""
    for name, content in (data if isinstance(data, dict) else {"train.csv": data}).items():
        if isinstance(content, pd.DataFrame):
            content.to_parquet(folder / name)
        else:
            (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    card = {key: value for key, value in (CARD | changes).items() if value is not None}
    (folder / "task.yaml").write_text(json.dumps(card))
    return read_splits(load_card(folder), folder)


def mistake(folder: Path, *arguments, **changes) -> str:
    with pytest.raises(UserError) as caught:
        read(folder, *arguments, **changes)
    message = str(caught.value)
    assert "\n" not in message
    return message


# --- What is read ---


def test_columns_ids_and_types(folder):
    raw = read(folder)
    assert raw.labels == ["bad", "good"]
    train = raw.splits["train"]
    assert train.to_dict("list") == {
        "sample_id": ["train-0", "train-1"],
        "text": ["fine day", "foul day"],
        "label": [1, 0],
        "true_label": [1, 0],
    }
    assert train["label"].dtype == train["true_label"].dtype == "int64"


def test_pairs_splits_and_parts(folder):
    rows = "a,b,label\nx,y,0\nx,z,1\n"
    files = {"train": "train.csv", "validation": "dev.csv", "test": {"near": "near.csv", "far": "far.csv"}}
    names = ["train.csv", "dev.csv", "near.csv", "far.csv"]
    raw = read(
        folder, dict.fromkeys(names, rows), files=files, columns={"text": "a", "text_pair": "b", "label": "label"}
    )
    assert list(raw.splits) == ["train", "validation", "test"]
    assert raw.splits["train"]["text_pair"].tolist() == ["y", "z"]
    assert raw.splits["test"]["sample_id"].tolist() == ["near-0", "near-1", "far-0", "far-1"]
    assert raw.splits["test"]["part"].tolist() == ["near", "near", "far", "far"]
    assert "part" not in raw.splits["validation"]


def test_one_test_is_the_part_test(folder):
    raw = read(folder, {"train.csv": TWO, "test.csv": TWO}, files={"train": "train.csv", "test": "test.csv"})
    assert raw.splits["test"]["sample_id"].tolist() == ["test-0", "test-1"]
    assert set(raw.splits["test"]["part"]) == {"test"}


FRAME = pd.DataFrame({"text": ["fine day", "foul day"], "label": ["good", "bad"]})


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train.csv", "\ufefftext,label\n\nfine day, good \nfoul day,bad\n"),
        ("train.csv", 'label,text\r\ngood,"fine day"\r\nbad,foul day\r\n'),
        ("train.tsv", "text\tlabel\nfine day\tgood\nfoul day\tbad\n"),
        ("train.jsonl", '{"text": "fine day", "label": "good"}\n\n{"label": "bad", "text": "foul day"}\n'),
        ("train.parquet", FRAME),
        ("train.parquet", FRAME.astype("category")),
    ],
)
def test_formats(folder, name, content):
    raw = read(folder, {name: content}, files={"train": name})
    assert raw.labels == ["bad", "good"]
    assert raw.splits["train"]["text"].tolist() == ["fine day", "foul day"]
    assert raw.splits["train"]["label"].tolist() == [1, 0]


def test_csv_texts_stay_what_they_are(folder):
    train = read(folder, 'text,label\nNA,a\nnull,b\n007,a\n"one, ""two""\nthree",b\n,a\n').splits["train"]
    assert train["text"].tolist() == ["NA", "null", "007", 'one, "two"\nthree', ""]


def test_numbers_are_texts_and_null_is_an_empty_one(folder):
    lines = '{"text": 12, "label": 0}\n{"text": null, "label": 1}\n{"label": 1}\n{"text": "a\u2028b", "label": 1}\n'
    train = read(folder, {"train.jsonl": lines}, files={"train": "train.jsonl"}).splits["train"]
    assert train["text"].tolist() == ["12", "", "", "a\u2028b"]
    assert train["label"].tolist() == [0, 1, 1, 1]


def test_separator(folder):
    raw = read(folder, TWO.replace(",", ";"), separator=";")
    assert raw.splits["train"]["label"].tolist() == [1, 0]


def test_a_first_line_of_a_spreadsheet_names_the_separator(folder):
    for line in ("sep=;\n", "\ufeffSEP=;\r\n"):
        assert read(folder, line + TWO.replace(",", ";")).splits["train"]["label"].tolist() == [1, 0]
    assert mistake(folder, "sep=;\ntext;label\nx;a\ny\n").startswith("tasks/mine/train.csv: line 4: 1 fields")


# A quote opens at the start of a text and, by chance, another closes it before a separator, 20 rows later.
SWALLOWING = "text\tlabel\n" + "".join(
    f"{start}film {row}{end}\t{'ab'[row % 2]}\n"
    for row in range(240)
    for start, end in [('"' if row == 100 else "", '"' if row == 120 else "")]
)


def test_a_quote_that_swallows_rows_is_counted_and_quoting_can_be_off(folder):
    files = {"train": "train.tsv"}
    raw = read(folder, {"train.tsv": SWALLOWING}, files=files)
    assert raw.files == {"tasks/mine/train.tsv": {"rows": 220, "multi_line_fields": 1}}
    raw = read(folder, {"train.tsv": SWALLOWING}, files=files, quoting="none")
    assert raw.files == {"tasks/mine/train.tsv": {"rows": 240, "multi_line_fields": 0}}
    assert raw.splits["train"]["text"][100] == '"film 100'


def test_multi_line_fields_of_other_kinds_of_file(folder):
    lines = '{"text": "a\\nb", "label": 0, "x": [1]}\n{"text": "c\\r", "label": 1}\n'
    raw = read(folder, {"train.jsonl": lines}, files={"train": "train.jsonl"})
    assert raw.files == {"tasks/mine/train.jsonl": {"rows": 2, "multi_line_fields": 2}}


def test_an_accent_in_a_label_is_one_letter_however_it_is_written(folder):
    composed, apart = "\u00e9t\u00e9", "e\u0301te\u0301"
    rows = f"text,label\nx,{composed}\ny,{apart}\nz,hiver\n"
    for labels in (None, ["hiver", apart], ["hiver", composed]):
        raw = read(folder, rows, labels=labels)
        assert raw.labels == ["hiver", composed]
        assert raw.splits["train"]["label"].tolist() == [1, 1, 0]


# --- Groups ---

PAIRS = "who,a,b,label\n u ,x,y,0\n,x,z,1\n"


@pytest.mark.parametrize(
    ("group", "expected", "values"),
    [
        (None, ("a", False), ["x", "x"]),
        ("who", ("who", True), [" u ", ""]),
        ("a", ("a", True), ["x", "x"]),
        (False, (None, False), None),
    ],
)
def test_what_a_card_groups_by(folder, group, expected, values):
    raw = read(folder, PAIRS, columns={"text": "a", "text_pair": "b", "label": "label", "group": group})
    assert (raw.grouped_by, raw.group_named) == expected
    assert (raw.splits["train"]["group"].tolist() if "group" in raw.splits["train"] else None) == values


def test_a_single_text_has_a_group_only_if_the_card_names_one(folder):
    assert "group" not in read(folder, PAIRS, columns={"text": "a", "label": "label"}).splits["train"]
    raw = read(folder, PAIRS, columns={"text": "a", "label": "label", "group": "who"})
    assert raw.splits["train"]["group"].tolist() == [" u ", ""]


@pytest.mark.parametrize(
    ("written", "labels", "expected_names", "expected_ids"),
    [
        (["2", "10", "2"], None, ["2", "10"], [0, 1, 0]),  # numbers in their own order
        (["1", "0", "1"], ["no", "yes"], ["no", "yes"], [1, 0, 1]),  # numbers as indices
        (["1", "0", "1"], [1, 0], ["1", "0"], [0, 1, 0]),  # numbers as names
        (["b", "a", "b"], ["b", "a"], ["b", "a"], [0, 1, 0]),
        (["1.0", "2.0", "2.0"], ["1.0", "2.0"], ["1.0", "2.0"], [0, 1, 1]),
    ],
)
def test_labels(folder, written, labels, expected_names, expected_ids):
    raw = read(folder, "text,label\n" + "".join(f"t,{label}\n" for label in written), labels=labels)
    assert raw.labels == expected_names
    assert raw.splits["train"]["label"].tolist() == expected_ids


def test_parquet_integers_with_a_gap_and_an_index(folder):
    frame = pd.DataFrame({"text": pd.array([12, None], "Int64"), "label": ["a", "b"]}).set_index("label")
    train = read(folder, {"train.parquet": frame}, files={"train": "train.parquet"}).splits["train"]
    assert train["text"].tolist() == ["12", ""]


# --- Mistakes in the data ---


QUOTES = '; inside a quoted text, write ""; if quotes are a part of the texts, set quoting: none in ' + (
    "tasks/mine/task.yaml"
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (TWO.replace(",", ";"), "the header is one column, 'text;label', when split at ','; set separator: ';' in"
         " tasks/mine/task.yaml"),
        (TWO.replace(",", "\t"), r"""the header is one column, 'text\tlabel', when split at ','; set separator: "\t" """
         "in tasks/mine/task.yaml"),
        (TWO.replace("text", "Texts"), "no column 'text' (columns.text in tasks/mine/task.yaml); found Texts, label;"
         " did you mean 'Texts'?"),
        (TWO.replace("label", "y"), "no column 'label' (columns.label in tasks/mine/task.yaml); found text, y"),
        ("text,label,label\nx,a,a\n", "2 columns are called 'label'; rename one"),
        ("", "the file is empty"),
        ("\n \n", "the file has no rows, only the names of 1 columns"),
        ("text,label\n", "the file has no rows, only the names of 2 columns"),
        ("text,label\nx,a\ncafé,b\n".encode("latin-1"), "line 3: not UTF-8 text (byte 18); save the file as UTF-8"),
        (TWO.encode("utf-16"), "line 1: not UTF-8 text (byte 0); save the file as UTF-8"),
        ("text,label\nx,a\ny, z,b\n", "line 3: 3 fields, but the header has 2; put a text that contains ',' in double"
         " quotes"),
        ("text,label\nx,a\ny\n", "line 3: 1 fields, but the header has 2; put a text that contains ',' in double"
         " quotes"),
        ('text,label\nx,a\n"y,b\nz,a\n', "line 3: a double quote opens that never closes" + QUOTES),
        ('text,label\n"x\n\nx",a\n"y\ny\r\ny","b\nz,a\n', "line 7: a double quote opens that never closes" + QUOTES),
        ('text,label\nx,a\n"y,b\nz,a\n"z",b\n', """lines 3 to 5: ',' expected after '"'""" + QUOTES),
        ('text,label\nx,a\n"y,b\nz,a\nz",b,c\n', "lines 3 to 5: 3 fields, but the header has 2" + QUOTES),
        ("text,label\nx,a\ny,\nz, \n", "row 2 (train-1): no label in column 'label' (2 such rows)"),
        ("text,label\nx,1.0\ny,0.0\n", "the label 1.0 is a decimal number; write classes as integers or names, or list"
         " them as strings in labels in tasks/mine/task.yaml"),
        ("text,label\nx,a\ny,a\n", "every row has the label 'a'; a task needs two classes or more"),
    ],
)  # fmt: skip
def test_mistakes_in_a_csv(folder, content, message):
    assert mistake(folder, content) == f"tasks/mine/train.csv: {message}"


def test_without_quoting_a_text_cannot_hold_the_separator(folder):
    assert mistake(folder, 'text,label\n"x, y",a\n', quoting="none") == (
        "tasks/mine/train.csv: line 2: 3 fields, but the header has 2; without quoting, no text may contain ','"
    )


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('{"text": "x", "label": 1}\n{"text": "y", "label"}\n', "line 2: not valid JSON: Expecting ':' delimiter at"
         " column 22"),
        ('["x", 1]\n', 'line 1: expected one object a line, such as {"text": ..., "label": ...}'),
        ("\n", "the file is empty"),
        ('{"text": "x", "label": 1}\n{"text": "y"}\n', "row 2 (train-1): no label in column 'label' (1 such rows)"),
        ('{"text": ["x"], "label": 1}\n{"text": "y", "label": 0}', "row 1 (train-0): text is a list; expected a text"
         " or a number"),
        ('{"text": "x\\ud83d", "label": 1}\n{"text": "y", "label": 0}', "row 1 (train-0): text has half of a Unicode"
         " character; correct the text"),
    ],
)  # fmt: skip
def test_mistakes_in_jsonl(folder, lines, message):
    found = mistake(folder, {"train.jsonl": lines}, files={"train": "train.jsonl"})
    assert found == f"tasks/mine/train.jsonl: {message}"


def test_mistakes_in_other_files(folder):
    assert mistake(folder, {"train.parquet": b"no parquet"}, files={"train": "train.parquet"}).startswith(
        "tasks/mine/train.parquet: not a parquet file: "
    )
    assert mistake(folder, {"train.tsv": TWO}, files={"train": "train.tsv"}) == (
        r"tasks/mine/train.tsv: the header is one column, 'text,label', when split at '\t'; name it .csv, or separate"
        " its columns with tabs"
    )
    frame = pd.DataFrame({"text": ["a", "b"], "label": [1.0, 0.0]})
    assert "label 1.0 is a decimal" in mistake(folder, {"t.parquet": frame}, files={"train": "t.parquet"})


@pytest.mark.parametrize("name", ["train.csv", "train.tsv", "train.jsonl", "train.parquet"])
def test_a_pointer_in_place_of_a_file(folder, name):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"
    assert mistake(folder, {name: pointer}, files={"train": name}) == (
        f"tasks/mine/{name}: a pointer of Git LFS in place of the data; fetch it with git lfs pull"
    )


def test_a_file_that_is_not_there(folder):
    assert mistake(folder, files={"train": "trian.csv"}) == (
        "tasks/mine/trian.csv: no such file, but tasks/mine/task.yaml names it; data files there: train.csv"
    )


@pytest.mark.parametrize(
    ("test", "labels", "message"),
    [
        ("x,worse", None, "label 'worse' is not among the labels of tasks/mine/train.csv: bad, good"),
        ("x,worse", ["good", "bad"], "label 'worse' is not among labels in tasks/mine/task.yaml: good, bad"),
    ],
)
def test_a_label_in_test_that_train_lacks(folder, test, labels, message):
    files = {"train.csv": TWO, "test.csv": f"text,label\ny,bad\n{test}\n"}
    found = mistake(folder, files, files={"train": "train.csv", "test": "test.csv"}, labels=labels)
    assert found == f"tasks/mine/test.csv: row 2 (test-1): {message}"


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["good", "evil"], "row 2 (train-1): label 'bad' is not among labels in tasks/mine/task.yaml: good, evil"),
        (["good", "bad", "odd"], "no row has the label 'odd', which is among labels in tasks/mine/task.yaml"),
    ],
)
def test_labels_of_the_card_and_of_the_data(folder, labels, message):
    assert mistake(folder, labels=labels) == f"tasks/mine/train.csv: {message}"


def test_an_index_beyond_the_labels(folder):
    assert mistake(folder, "text,label\nx,0\ny,2\n", labels=["no", "yes"]) == (
        "tasks/mine/train.csv: row 2 (train-1): label '2' is not among the indices of labels in tasks/mine/task.yaml:"
        " 0, 1"
    )


# --- Mistakes in the card ---

HUB = {"path": "a/b", "revision": "0" * 40, "splits": {"train": "train"}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"files": None}, "source is local, so the card needs the key files"),
        ({"source": "hub"}, "source is hub, so the card needs the key hub"),
        ({"hub": HUB}, "source is local, so the card may not have the key hub"),
        ({"source": "hub", "files": None, "hub": HUB, "separator": ";"}, "separator is for local csv files, and the"
         " card names none"),
        ({"files": {"train": "a.parquet"}, "quoting": "none"}, "quoting is for local csv and tsv files, and the card"
         " names none"),
        ({"quoting": "all"}, "quoting: input should be 'none' (found 'all')"),
        ({"columns": {"text": "a", "label": "b", "group": 1}}, "columns.group: give the name of a column, or false for"
         " no groups (found 1)"),
        ({"columns": {"text": "a", "label": "b", "group": "b"}}, "columns: group has to be another column than label"),
        ({"clean_roles": ["test"]}, "clean_roles.0: input should be 'feedback' or 'selection' (found 'test')"),
        ({"clean_roles": ["feedback", "feedback"]}, "clean_roles: each item may stand in the list once (found"
         " ['feedback', 'feedback'])"),
        ({"labels": ["\u00e9", "e\u0301"]}, "labels: each item may stand in the list once (found ['é',"
         " 'e\u0301'])"),
        ({"separator": ";;"}, "separator: give one character, such as ';', or \"\\t\" in double quotes for a tab (found"
         " ';;')"),
        ({"source": "hub", "files": None, "hub": HUB | {"revision": "main"}}, "hub.revision: give the commit to pin to,"
         " 40 hexadecimal digits (found 'main')"),
        ({"files": {"train": "train.xlsx"}}, "files: train: 'train.xlsx' is not a file of a known kind (.csv, .tsv,"
         " .jsonl, .parquet)"),
        ({"files": {"train": "../train.csv"}}, "files: train: '../train.csv' is not beside the card; copy the file"
         " there"),
        ({"files": {"train": "a.csv", "test": "a.csv"}}, "files: 'a.csv' is named twice; a split may be read in one"
         " role only"),
        ({"files": {"train": "a.csv", "test": {"train": "b.csv"}}}, "files: test: a part may not be called train"),
        ({"columns": {"text": "a", "label": "a"}}, "columns: text, text_pair and label have to be different columns"),
        ({"labels": ["a", "a"]}, "labels: each item may stand in the list once (found ['a', 'a'])"),
        ({"labels": ["a", " b"]}, "labels: a label may not be blank, nor begin or end with a space (found ['a',"
         " ' b'])"),
        ({"metrics": ["auc"]}, "metrics.0: input should be 'accuracy', 'f1', 'macro_f1' or 'matthews' (found 'auc')"),
        ({"label_noise": 1.5}, "label_noise: input should be less than 1 (found 1.5)"),
        ({"label_noise": None}, "label_noise: missing, and it has no default"),
        ({"lable": ["a"]}, "lable: unknown key; check the spelling"),
    ],
)  # fmt: skip
def test_mistakes_in_the_card(folder, changes, message):
    assert mistake(folder, **changes) == f"tasks/mine/task.yaml: {message}"


def test_f1_is_for_two_classes(folder):
    assert mistake(folder, TWO + "so so,middling\n", metrics=["f1"]) == (
        "tasks/mine/task.yaml: metrics: f1 is for two classes, the task has 3; use macro_f1"
    )


def test_a_task_that_is_not_there(folder):
    read(folder)
    with pytest.raises(UserError, match=r"^params.yaml: task: no folder tasks/mina; there are mine$"):
        load_card(Path("tasks/mina"))
    Path("tasks/mina").mkdir()
    with pytest.raises(UserError, match=r"^tasks/mina/task.yaml: no such file; every task needs its card, such as "):
        load_card(Path("tasks/mina"))


# --- The leaderboard: rows to predict, whose labels are hidden ---


def leaderboard(folder: Path, data: dict, **changes) -> pd.DataFrame:
    """Write the files and the card, read the task, and then its leaderboard."""
    read(folder, {"train.csv": TWO} | data, **changes)
    return read_leaderboard(load_card(folder), folder)


def test_a_leaderboard_needs_no_labels_and_keeps_every_row(folder):
    files = {"near.tsv": "near.csv", "far.tsv": "far.jsonl"}
    data = {"near.csv": 'text\nfine day\n""\n', "far.jsonl": '{"text": "rain", "label": "no such label"}\n'}
    rows = leaderboard(folder, data, leaderboard={"files": files, "write": "names"})
    assert rows.to_dict("list") == {
        "file": ["near.tsv", "near.tsv", "far.tsv"], "index": [0, 1, 0], "text": ["fine day", "", "rain"]
    }  # fmt: skip


def test_a_task_without_a_leaderboard_has_no_rows_to_predict(folder):
    rows = leaderboard(folder, {})
    assert list(rows.columns) == ["file", "index", "text"]
    assert rows.empty


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"files": {"a.csv": "new.csv"}}, "leaderboard.files.a.csv.[key]: string should match pattern"
         " '^[\\w-]+\\.tsv$' (found 'a.csv')"),
        ({"files": {"a.tsv": "../new.csv"}}, "leaderboard.files.a.tsv: '../new.csv' is not beside the card; copy the"
         " file there"),
        ({"write": "labels"}, "leaderboard.write: input should be 'names' or 'ids' (found 'labels')"),
    ],
)  # fmt: skip
def test_mistakes_in_a_leaderboard(folder, changes, message):
    board = {"files": {"a.tsv": "new.csv"}, "write": "names"} | changes
    assert mistake(folder, leaderboard=board) == f"tasks/mine/task.yaml: {message}"


def test_a_leaderboards_file_lacks_the_text(folder):
    with pytest.raises(UserError, match=r"^tasks/mine/new.csv: no column 'text' \(columns.text in .*; found sentence$"):
        leaderboard(
            folder, {"new.csv": "sentence\nrain\n"}, leaderboard={"files": {"a.tsv": "new.csv"}, "write": "ids"}
        )


# --- The cards of the project ---


@pytest.mark.parametrize("card", sorted(ROOT.glob("tasks/*/task.yaml")), ids=lambda card: card.parent.name)
def test_cards_of_the_project(card):
    load_card(card.parent)


def test_the_template_runs_as_it_is():
    folder = ROOT / "tasks/_template"
    raw = read_splits(load_card(folder), folder)
    assert raw.labels == ["negative", "positive"]
    assert raw.splits["train"]["label"].value_counts().to_dict() == {0: 12, 1: 12}


# --- The generator ---


class GeneratorSettings(Strict):
    rows: int


def generate(settings: GeneratorSettings) -> dict[str, pd.DataFrame]:
    labels = ["no", "yes"] * settings.rows
    frame = pd.DataFrame({"text": labels, "label": labels, "true_label": ["no"] * len(labels)})
    return {"test": frame, "train": frame}


@pytest.fixture
def generated(folder, monkeypatch):
    demo = ModuleType("lgtm.data.demo")
    demo.GeneratorSettings, demo.generate = GeneratorSettings, generate
    monkeypatch.setitem(sys.modules, "lgtm.data.demo", demo)
    return {"source": "generated", "files": None}


def test_a_generator_may_know_the_truth(folder, generated):
    train = read(folder, generated={"rows": 2}, **generated).splits["train"]
    assert train["label"].tolist() == [0, 1, 0, 1]
    assert train["true_label"].tolist() == [0, 0, 0, 0]


def test_mistakes_in_the_generators_settings(folder, generated):
    assert mistake(folder, generated={"rows": "two"}, **generated) == (
        "tasks/mine/task.yaml: generated.rows: input should be a valid integer (found 'two')"
    )


# --- The hub ---


@pytest.fixture
def hub(folder, tmp_path, monkeypatch):
    """A hub card whose path is a folder of parquet files in the layout of the hub's own conversions."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    label = datasets.ClassLabel(names=["no", "yes"])
    features = datasets.Features({"text": datasets.Value("string"), "label": label})
    for split, labels in {"train": [1, 0, 1], "validation": [0, 1], "test": [-1, -1]}.items():
        (tmp_path / "data/default" / split).mkdir(parents=True)
        rows = datasets.Dataset.from_dict({"text": ["x"] * len(labels), "label": labels}, features=features)
        rows.to_parquet(tmp_path / "data/default" / split / "0000.parquet")
    splits = {"train": "train", "test": "validation"}
    return {
        "source": "hub",
        "files": None,
        "hub": {"path": "data", "revision": "0" * 40, "splits": splits},
    }


def test_hub(folder, hub):
    raw = read(folder, **hub)
    assert raw.labels == ["no", "yes"]
    assert raw.splits["train"]["label"].tolist() == [1, 0, 1]
    assert raw.splits["test"]["label"].tolist() == [0, 1]


def test_rows_without_labels_on_the_hub(folder, hub):
    hub["hub"]["splits"]["transfer"] = "test"
    read(folder, **hub)
    (table,) = read_transfer(load_card(folder), folder)
    assert table.frame["text"].tolist() == ["x", "x"]
    assert table.sample_ids.tolist() == ["transfer-0", "transfer-1"]

    hub["hub"]["splits"]["transfer"] = ["test", "tset"]
    read(folder, **hub)
    with pytest.raises(UserError, match=r"hub.splits.transfer: .* has no split 'tset'; it has train, "):
        list(read_transfer(load_card(folder), folder))


def test_a_leaderboard_on_the_hub(folder, hub):
    read(folder, **hub, leaderboard={"files": {"MINE.tsv": "test"}, "write": "names"})
    rows = read_leaderboard(load_card(folder), folder)
    assert rows.to_dict("list") == {"file": ["MINE.tsv"] * 2, "index": [0, 1], "text": ["x", "x"]}

    read(folder, **hub, leaderboard={"files": {"MINE.tsv": "tset"}, "write": "names"})
    with pytest.raises(UserError, match=r"leaderboard.files.MINE.tsv: .* has no split 'tset'; it has train, "):
        read_leaderboard(load_card(folder), folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "rtee"}, "tasks/mine/task.yaml: hub: cannot load {hub} rtee at " + "0" * 40 + ":"
         " BuilderConfig 'rtee' not found. Available: ['default']"),
        ({"splits": {"train": "train", "test": "tset"}}, "tasks/mine/task.yaml: hub.splits.test: {hub} has no split"
         " 'tset'; it has train, validation, test"),
        ({"splits": {"train": "train", "test": "test"}}, "{hub}, split test: row 1 (test-0): label '-1' is not among"
         " the indices of the hub's labels, no, yes: 0, 1"),
    ],
)  # fmt: skip
def test_mistakes_in_a_hub_card(folder, hub, changes, message):
    found = mistake(folder, **(hub | {"hub": hub["hub"] | changes}))
    assert found == message.replace("{hub}", hub["hub"]["path"])


def test_the_hubs_code_is_not_run(folder, hub, tmp_path, monkeypatch):
    """A data set that comes as a script, which would write a file; and no call of ours asks for trust."""
    import datasets

    asked, load = [], datasets.load_dataset_builder
    watched = lambda *names, **more: asked.append(more) or load(*names, **more)  # noqa: E731
    monkeypatch.setattr(datasets, "load_dataset_builder", watched)
    read(folder, **hub)
    (tmp_path / "script").mkdir()
    (tmp_path / "script/script.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nimport datasets\n")
    found = mistake(folder, **(hub | {"hub": hub["hub"] | {"path": "script"}}))
    assert found.startswith("tasks/mine/task.yaml: hub: cannot load ")
    assert not (tmp_path / "ran").exists()
    assert len(asked) == 2 and not any(more.get("trust_remote_code") for more in asked)


def test_labels_in_another_order_than_the_hubs(folder, hub):
    assert mistake(folder, labels=["yes", "no"], **hub) == (
        "tasks/mine/task.yaml: labels: the hub's are no, yes, in this order; write these, or none"
    )


def test_another_revision_in_the_cache_is_not_taken(folder, hub, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets, "load_dataset_builder", lambda *_, **__: SimpleNamespace(hash="1" * 40))
    found = mistake(folder, **(hub | {"hub": hub["hub"] | {"path": "some/set"}}))
    assert found.startswith(f"tasks/mine/task.yaml: hub: some/set at {'0' * 40} needs the hub once: run with network")


def test_offline_in_earnest(tmp_path):
    script = (
        "from pathlib import Path; from lgtm.data import sources, tasks; folder = Path('tasks/rte');"
        "sources.read_splits(tasks.load_card(folder), folder)"
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == (
        "lgtm.errors.UserError: tasks/rte/task.yaml: hub: nyu-mll/glue rte at bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c "
        "needs the hub once: run with network, without HF_HUB_OFFLINE (Couldn't reach 'nyu-mll/glue' on the Hub "
        "(OfflineModeIsEnabled))"
    )


def test_no_heavy_imports():
    heavy = "any(name in sys.modules for name in ('torch', 'datasets'))"
    script = f"import sys, lgtm.data.sources, lgtm.data.roles; sys.exit({heavy})"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    assert subprocess.run([sys.executable, "-c", script], env=environment).returncode == 0
