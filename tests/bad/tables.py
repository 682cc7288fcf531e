"""Data files: csv, tsv, JSON lines, parquet; their encodings, columns, rows and labels; answers of a teacher."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bad.artifacts import half
from bad.bench import DROP, Case

TRAIN = "tasks/tiny/train.csv"
ROWS = [("fine day", "fine"), ("awful day", "awful"), ("good sun", "fine"), ("bad night", "awful")]
GOOD = "text,label\n" + "".join(f"{text} {n},{label}\n" for n in range(10) for text, label in ROWS)
CSV = [
    # what train.csv is, what the line says of it
    ("", "the file is empty"),
    ("\n\n", "the file is empty"),
    ("text,label\n", "the file has no rows, only the names of 2 columns"),
    ("text;label\na;fine\n", "set separator: ';' in tasks/tiny/task.yaml"),
    ("text\tlabel\na\tfine\n", r'set separator: "\t" in tasks/tiny/task.yaml'),
    ("a,b\n1,2\n", "no column 'text' (columns.text in tasks/tiny/task.yaml); found a, b"),
    ("Text,label\na,fine\n", "no column 'text' (columns.text in tasks/tiny/task.yaml); found Text, label; did you"),
    ("text,text,label\na,b,fine\n", "2 columns are called 'text'; rename one"),
    ("text,label\na,b,fine\n", "line 2: 3 fields, but the header has 2; put a text that contains ','"),
    ("text,label\na\n", "line 2: 1 fields, but the header has 2"),
    ('text,label\n"a,fine\nb,awful\n', "line 2: a double quote opens that never closes"),
    ('text,label\n"a"b,fine\n', "line 2: "),
    ("text,label\na,fine\nb,fine\n", "every row has the label 'fine'; a task needs two classes or more"),
    ("text,label\na,fine\nb,\n", "row 2 (train-1): no label in column 'label' (1 such rows)"),
    ("text,label\na,1.5\nb,2.5\n", "the label 1.5 is a decimal number; write classes as integers or names"),
    (b"text,label\nfa\xe7ade,fine\n", "line 2: not UTF-8 text (byte 13); save the file as UTF-8"),
    ("text,label\na,fine\nb,awful\n".encode("utf-16"), "line 1: not UTF-8 text (byte 0); save the file as UTF-8"),
    (b"\x00" * 400, "the file has no rows, only the names of 1 columns"),
    (b"PK\x03\x04\xff\xfe zipped", "not UTF-8 text"),
    ("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS in place of the data"),
]  # fmt: skip
JSONL = [
    ("", "the file is empty"),
    ("{\n", "line 1: not valid JSON: "),
    ('{"text": "a", "label": "fine"}\n{"text": "b"\n', "line 2: not valid JSON: "),
    ("[1, 2]\n", 'line 1: expected one object a line, such as {"text": ...'),
    ("null\n", 'line 1: expected one object a line, such as {"text": ...'),
    ('{"text": "a"}\n', "no column 'label' (columns.label in tasks/tiny/task.yaml); found text"),
    (
        '{"text": ["a"], "label": "fine"}\n{"text": "b", "label": "awful"}\n',
        "row 1 (train-0): text is a list; expected a text or a number",
    ),
    (
        '{"text": {"a": 1}, "label": "fine"}\n{"text": "b", "label": "awful"}\n',
        "row 1 (train-0): text is a dict; expected a text or a number",
    ),
    ('{"text": "a", "label": null}\n', "row 1 (train-0): no label in column 'label'"),
    (
        '{"text": "\\ud83d", "label": 1}\n{"text": "b", "label": 2}\n',
        "row 1 (train-0): text has half of a Unicode character; correct the",
    ),
    (b'{"text": "\xff", "label": "fine"}\n', "line 1: not UTF-8 text (byte 10)"),
    ('{"text": "a", "label": NaN}\n', "row 1 (train-0): no label in column 'label'"),
    ("[" * 100_000 + "\n", "line 1: "),
]


def table(**columns) -> Callable[[Path], None]:
    return lambda path: pq.write_table(pa.table(columns), path)


def torn(path: Path) -> None:
    table(text=["a", "b"] * 50, label=["fine", "awful"] * 50)(path)
    half(path)


def flipped(path: Path) -> None:
    """Whole by its footer, its pages are not."""
    table(text=["a", "b"] * 500, label=["fine", "awful"] * 500)(path)
    content = bytearray(path.read_bytes())
    content[4:60] = b"\xff" * 56
    path.write_bytes(content)


PARQUET = [
    (b"", "the file is empty"),
    (b"PAR1", "not a parquet file: "),
    (GOOD.encode(), "not a parquet file: "),
    (torn, "not a parquet file: "),
    (flipped, "not a parquet file: "),
    (table(text=["a"]), "no column 'label' (columns.label in tasks/tiny/task.yaml); found text"),
    (table(text=pa.array([], "string"), label=pa.array([], "string")), "the file has no rows"),
    (table(text=[["a"], ["b"]], label=["fine", "awful"]), "row 1 (train-0): text is a "),
    (table(text=[b"\xff", b"b"], label=["fine", "awful"]), "row 1 (train-0): text is a bytes; expected a text or a"),
    (table(text=["a", "b"], label=[0.5, 1.5]), "the label 0.5 is a decimal number"),
    (table(text=["a", "b"], label=[[0], [1]]), "row 1 (train-0): label is a "),
    (table(text=["a", "b"], label=pa.array([0, 1], pa.timestamp("s"))), "row 1 (train-0): label is a Timestamp"),
    (table(text=["a", "b"], label=pa.array([None, None], "string")), "no label in column 'label' (2 such rows)"),
]
PREDICTED = {"file": "answers.csv", "text": "text", "kind": "probabilities"}
ANSWERS = [
    # what the card says of the answers, the file, what the line says
    ({"file": "../answers.csv"}, "", "'../answers.csv' is not beside the card; copy the file there"),
    ({"file": "/etc/answers.csv"}, "", "'/etc/answers.csv' is not beside the card; copy the file there"),
    ({"file": "nosuch.csv"}, "", "tasks/tiny/nosuch.csv: no such file, but pairs/tiny.yaml names it"),
    ({"file": []}, "", "teacher.predictions.file: value should have at least 1 item"),
    ({"id": "id"}, "", "give either id or text, the column by which a row is found"),
    ({"kind": "odds"}, "", "teacher.predictions.kind: input should be 'probabilities', 'log_probabilities'"),
    ({"labels": {"good": "nice"}}, "text,a\nx,1\n", "'nice' is not a class of the task; it has awful, fine"),
    ({"text_pair": "b"}, "text,b\nx,1\n", "text_pair: leave it out: the task has no second texts"),
    ({}, "", "tasks/tiny/answers.csv: the file is empty"),
    ({}, "text,fine\nx,1\n", "tasks/tiny/answers.csv: no column 'awful'"),
    ({}, "text,fine,awful\nx,much,0\n", "row 1: fine is 'much'; expected a number"),
    ({}, "text,fine,awful\nx,0.5,\n", "row 1: no value for the class 'awful'; give every class one"),
    ({}, "text,fine,awful\nx,0.9,0.9\n", "row 1: the probabilities sum to 1.8; expected 1"),
    ({}, "text,fine,awful\nx,-0.1,1.1\n", "row 1: the probability of 'awful' is 1.1; expected from 0 to 1"),
    ({}, "text,fine,awful\nx,nan,0.4\n", "row 1: no value for the class 'fine'"),
    ({"kind": "logits"}, "text,fine,awful\nx,inf,0\n", "row 1: the logit of 'fine' is inf; make it finite"),
    ({"kind": "logits"}, "text,fine,awful\nx,1e300,0\n", "row 1: the logit of 'fine' is 1e+300; make it finite"),
    ({}, "text,fine,awful\n,1,0\n", "row 1: text is empty; fill it in, or leave the row out"),
    (
        {},
        "text,fine,awful\nx,1,0\n",
        "none of 87 rows of train is there by its text: the file has 'x', the task '0 bad'",
    ),
    ({}, "text,fine,awful\nx,1,0\nX,0,1\n", "row 2: answered before, and otherwise, in tasks/tiny/answers.csv: row 1"),
]
CASES = [
    *(Case(f"csv {n} {text[:30]!r}", (f"{TRAIN}: ", says), files={TRAIN: text}) for n, (text, says) in enumerate(CSV)),
    *(
        Case(f"jsonl {n} {text[:30]!r}", ("tasks/tiny/train.jsonl: ", says), task={"files.train": "train.jsonl"},
             files={"tasks/tiny/train.jsonl": text})
        for n, (text, says) in enumerate(JSONL)
    ),
    *(
        Case(f"parquet {n}", ("tasks/tiny/train.parquet: ", says), task={"files.train": "train.parquet"},
             files={"tasks/tiny/train.parquet": content})
        for n, (content, says) in enumerate(PARQUET)
    ),
    *(
        Case(f"answers {n} {said}", (".", says), params={"arms": ["kd"]}, files={"tasks/tiny/answers.csv": text},
             pair={"teacher": {"predictions": PREDICTED | said}})
        for n, (said, text, says) in enumerate(ANSWERS)
    ),
    Case("tsv with a csv inside", ("the header is one column, 'text,label', when split at '\\t'; name it .csv",),
         task={"files.train": "train.tsv"}, files={"tasks/tiny/train.tsv": GOOD}),
    Case("test of another label", ("tasks/tiny/test.csv: row 1 (test-0): label 'odd' is not among the labels of",),
         files={"tasks/tiny/test.csv": "text,label\na,odd\n"}),
    Case("test without label", ("tasks/tiny/test.csv: row 1 (test-0): no label",),
         files={"tasks/tiny/test.csv": "text,label\na,\n"}),
    Case("test is train", ("task.yaml: train: every row is empty or stands in another role",),
         files={"tasks/tiny/test.csv": GOOD, TRAIN: GOOD}),
    Case("no texts", ("task.yaml: train: every row is empty or stands in another role",),
         files={TRAIN: "text,label\n ,fine\n ,awful\n"}),
    Case("one text", ("params.yaml: prepare.selection: 0.2 of 18 train rows is 4, and every group has more",),
         files={TRAIN: "text,label\n" + "same,fine\nsame,awful\n" * 9}),
    Case("three rows", ("params.yaml: prepare.feedback: 0.1 of 3 train rows is no row; raise it",),
         files={TRAIN: "text,label\na,fine\nb,awful\nc,so-so\n"}),
    Case("no test", ("tasks/tiny/test.csv: no such file",), without=("tasks/tiny/test.csv",)),
    Case("transfer is train", ("transfer: every row is empty or stands in another role",),
         files={TRAIN: GOOD, "tasks/tiny/new.csv": GOOD}),
    Case("transfer without texts", ("tasks/tiny/new.csv: no column 'text'",), files={"tasks/tiny/new.csv": "a\nb\n"}),
    Case("transfer empty", ("tasks/tiny/new.csv: the file is empty",), files={"tasks/tiny/new.csv": ""}),
    Case("transfer not utf-8", ("tasks/tiny/new.csv: line 2: not UTF-8",),
         files={"tasks/tiny/new.csv": b"text\n\xe9\n"}),
    Case("leaderboard empty", ("tasks/tiny/hidden.csv: the file is empty",), files={"tasks/tiny/hidden.csv": ""}),
    Case("a folder for a file", ("tasks/tiny/train.csv: no such file",), without=(TRAIN,), files={f"{TRAIN}/x": "y"}),
    Case("two rows", ("params.yaml: prepare.test: 0.2 of 2 train rows is no row; raise it",),
         files={TRAIN: "text,label\na,fine\nb,awful\n"}, task={"files.test": DROP}),
    Case("a class that is a formula", ("task.yaml: leaderboard.write: the class '=1+1' is a formula to a spreadsheet",),
         files={TRAIN: GOOD.replace(",fine", ",=1+1"), "tasks/tiny/test.csv": "text,label\nnew,=1+1\nold,awful\n"}),
    Case("an escape in a label", ("label '\\x1b[2Jodd' is not among the labels of tasks/tiny/train.csv",),
         files={"tasks/tiny/test.csv": "text,label\na,\x1b[2Jodd\n"}),
    Case("an escape in a column", ("no column 'text' (columns.text in tasks/tiny/task.yaml); found \\x1b[2Jx, label",),
         files={TRAIN: "\x1b[2Jx,label\na,fine\n"}),
]  # fmt: skip
