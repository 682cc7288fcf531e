import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import log_softmax, logsumexp, softmax
from torch.nn import functional as F

from lgtm.config import parse
from lgtm.data.answers import Answers, AnswerTable, read_answers
from lgtm.data.distributions import FLOOR
from lgtm.errors import UserError
from lgtm.networks.losses import DistillationLoss
from lgtm.networks.teachers import mean_logits

LABELS = ["bad", "good", "odd"]
SECTION = "teacher.predictions"
CARD = Path("pairs/mine.yaml")
TASK = pd.DataFrame({"sample_id": [f"train-{row}" for row in (0, 2, 5)], "text": ["Fine day", "foul  day", "no day"]})
PAIRS = TASK.assign(text_pair=["a", "b", "c"])
FORMATS = ["csv", "tsv", "jsonl", "parquet"]
FILE = "tasks/mine/said"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("tasks/mine").mkdir(parents=True)


def write(name: str, content: pd.DataFrame | str) -> None:
    path = Path("tasks/mine", name)
    match path.suffix:
        case _ if isinstance(content, str):
            path.write_text(content)
        case ".parquet":
            content.to_parquet(path)
        case ".jsonl":
            rows = content.astype(object).to_dict("records")
            path.write_text("".join(json.dumps(row, default=lambda value: value.item()) + "\n" for row in rows))
        case suffix:
            content.to_csv(path, sep="," if suffix == ".csv" else "\t", index=False)


def read(content: pd.DataFrame | str, name: str = "said.csv", classes=LABELS, paired: bool = False, **card):
    """Write the file and read it; what the card says of it is found by id unless by text."""
    write(name, content)
    card = {"file": name} | ({} if "text" in card else {"id": "id"}) | card
    return read_answers(parse(Answers, card, CARD, SECTION), Path("tasks/mine"), classes, paired, CARD, SECTION)


def mistake(*arguments, task: pd.DataFrame = TASK, role: str = "train", required: bool = True, **card) -> str:
    with pytest.raises(UserError) as caught:
        read(*arguments, **card).logits_for(task, role, required)
    message = str(caught.value)
    assert "\n" not in message
    return message


def said(values: np.ndarray, **columns) -> pd.DataFrame:
    """A file with an answer to every row of the task, in another order."""
    frame = pd.DataFrame(columns or {"id": TASK["sample_id"]})
    return frame.assign(**dict(zip(LABELS, np.asarray(values).T, strict=True)))[::-1]


def some_logits(rows: int = 3, scale: float = 5.0) -> np.ndarray:
    return (scale * np.random.default_rng(0).standard_normal((rows, 3))).astype(np.float32)


# --- What is read ---


@pytest.mark.parametrize("extension", FORMATS)
@pytest.mark.parametrize("digits", [np.float32, np.float64])
def test_logits_come_back_byte_for_byte(extension, digits):
    logits = some_logits(2000) * np.logspace(-6, 6, 2000, dtype=np.float32)[:, None]
    task = pd.DataFrame({"sample_id": [f"train-{row}" for row in range(2000)]})
    table = read(said(logits.astype(digits), id=task["sample_id"]), f"said.{extension}", kind="logits")
    found = table.logits_for(task, "train", True)
    assert found.dtype == np.float32 and found.tobytes() == logits.tobytes()


@pytest.mark.parametrize("extension", FORMATS)
def test_probabilities_and_their_logarithms(extension):
    logs = log_softmax(some_logits().astype(np.float64), axis=1)
    for kind, values in (("probabilities", np.exp(logs)), ("log_probabilities", logs)):
        found = read(said(values), f"said.{extension}", kind=kind).logits_for(TASK, "train", True)
        np.testing.assert_allclose(found, logs, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("extension", FORMATS)
def test_hard_labels(extension):
    frame = pd.DataFrame({"id": TASK["sample_id"], "answer": ["good", "bad", "odd"]})
    found = read(frame, f"said.{extension}", kind="label", label="answer", smoothing=0.3)
    expected = np.log(0.7 * np.eye(3)[[1, 0, 2]] + 0.1)
    np.testing.assert_allclose(found.logits_for(TASK, "train", True), expected, rtol=1e-6)


@pytest.mark.parametrize("extension", ["jsonl", "parquet"])
@pytest.mark.parametrize("listed", [True, False])
def test_scores_in_one_column(extension, listed):
    logits = some_logits()
    scores = [row if listed else dict(zip(LABELS[::-1], row[::-1], strict=True)) for row in logits.tolist()]
    frame = pd.DataFrame({"id": TASK["sample_id"], "scores": scores})
    found = read(frame, f"said.{extension}", kind="logits", scores="scores").logits_for(TASK, "train", True)
    assert found.tobytes() == logits.tobytes()


def test_classes_by_other_names():
    logits = some_logits()
    plain = read(said(logits), kind="logits").logits_for(TASK, "train", True)
    renamed = said(logits).rename(columns={"good": "0", "odd": "bad", "bad": "2"})
    columns = {"good": 0, "odd": "bad", "bad": 2}
    assert (read(renamed, kind="logits", columns=columns).logits_for(TASK, "train", True) == plain).all()
    labels = {0: "good", "bad": "odd", 2: "bad"}
    assert (read(renamed, kind="logits", labels=labels).logits_for(TASK, "train", True) == plain).all()
    synonyms = "id,answer\ntrain-0,GOOD\ntrain-2,fine\ntrain-5,bad\n"
    found = read(synonyms, kind="label", label="answer", smoothing=0.0, labels={"GOOD": "good", "fine": "good"})
    assert found.logits_for(TASK, "train", True).argmax(axis=1).tolist() == [1, 1, 0]


def test_two_ways_of_writing_an_accent_are_one_class():
    composed, apart = "caf\u00e9", "cafe\u0301"
    for labels in ([composed, "tea"], [composed, "tea"][::-1]):
        text = f"id,{apart},tea\ntrain-0,1,2\ntrain-2,1,2\ntrain-5,1,2\n"
        found = read(text, classes=labels, kind="logits").logits_for(TASK, "train", True)
        assert found[0].tolist() == ([1, 2] if labels[0] == composed else [2, 1])
    text = f"id,a\ntrain-0,{apart}\ntrain-2,tea\ntrain-5,tea\n"
    found = read(text, classes=[composed, "tea"], kind="label", label="a", smoothing=0.0)
    assert found.logits_for(TASK, "train", True).argmax(axis=1).tolist() == [0, 1, 1]


def test_several_files_and_rows_that_the_task_does_not_have():
    write("more.jsonl", '{"id": "train-2", "bad": 1, "good": 2, "odd": 3}\n{"id": 7, "bad": 0, "good": 0, "odd": 0}\n')
    rows = "id,bad,good,odd\n train-5 ,4,5,6\ntrain-1,0,0,0\ntrain-0,7,8,9\n"
    found = read(rows, kind="logits", file=["said.csv", "more.jsonl"]).logits_for(TASK, "train", True)
    assert found.tolist() == [[7, 8, 9], [1, 2, 3], [4, 5, 6]]


def test_separator_and_quoting():
    rows = 'text;bad;good;odd\n"fine day;1;2;3\nfoul day;4;5;6\nno day;7;8;9\n'
    task = TASK.assign(text=['"Fine day', "foul day", "no day"])
    found = read(rows, kind="logits", text="text", separator=";", quoting="none").logits_for(task, "train", True)
    assert found.tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]


def test_texts_are_found_whatever_their_case_space_and_accents():
    task = TASK.assign(text=["Fine\tday", " CAF\u00c9 ", "FINE  day"])
    text = "fine day", "cafe\u0301"
    frame = pd.DataFrame({"line": text, "bad": [1, 2], "good": [3, 4], "odd": [5, 6]})
    found = read(frame, kind="logits", text="line").logits_for(task, "train", True)
    assert found.tolist() == [[1, 3, 5], [2, 4, 6], [1, 3, 5]]


def test_the_order_of_a_pair_counts():
    task = pd.DataFrame({"sample_id": ["train-0", "train-1"], "text": ["A", "b"], "text_pair": ["b", "a"]})
    frame = pd.DataFrame({"p": ["b", "a"], "h": ["a", "b"], "bad": [1, 2], "good": 0, "odd": 0})
    table = read(frame, kind="logits", text="p", text_pair="h", paired=True)
    assert table.logits_for(task, "train", True)[:, 0].tolist() == [2, 1]
    assert table.logits_for(task[::-1], "train", True)[:, 0].tolist() == [1, 2]
    # Where the one text ends and the other begins counts too.
    other = task.assign(text=["a b", "b"], text_pair=["c", "a"])
    split = pd.DataFrame({"p": ["a", "b"], "h": ["b c", "a"], "bad": [1, 2], "good": 0, "odd": 0})
    with pytest.raises(UserError, match="1 of 2 rows of train have no answer"):
        read(split, kind="logits", text="p", text_pair="h", paired=True).logits_for(other, "train", True)


def test_the_same_answer_to_the_same_text_is_one():
    frame = pd.concat([said(some_logits(), line=TASK["text"])] * 2)
    found = read(frame, kind="logits", text="line").logits_for(TASK, "train", True)
    assert (found == some_logits()).all()


# --- What it means ---


def test_what_the_top_classes_leave_is_spread_evenly():
    rows = [{"good": 0.7}, {"good": 0.5, "odd": None, "bad": 0.3}, {"bad": 0.2, "good": 0.3, "odd": 0.5}]
    expected = [[0.15, 0.7, 0.15], [0.3, 0.5, 0.2], [0.2, 0.3, 0.5]]
    logs = [{name: None if p is None else np.log(p) for name, p in row.items()} for row in rows]
    for kind, values in (("probabilities", rows), ("log_probabilities", logs)):
        nested = [{"id": name, "scores": row} for name, row in zip(TASK["sample_id"], values, strict=True)]
        flat = [{"id": name, **row} for name, row in zip(TASK["sample_id"], values, strict=True)]
        for lines, card in ((nested, {"scores": "scores"}), (flat, {})):
            text = "".join(json.dumps(line) + "\n" for line in lines)
            found = read(text, "said.jsonl", kind=kind, top=True, **card).logits_for(TASK, "train", True)
            np.testing.assert_allclose(np.exp(found), expected, rtol=1e-6)
        for extension in FORMATS:
            found = read(pd.DataFrame(flat), f"said.{extension}", kind=kind, top=True)
            np.testing.assert_allclose(np.exp(found.logits_for(TASK, "train", True)), expected, rtol=1e-6)


def test_what_the_top_classes_leave_to_no_class_is_left_out():
    """Of a language model's first tokens, some are no class at all."""
    text = "".join(
        json.dumps({"id": name, "scores": {"good": 0.6, "odd": 0.15, "bad": 0.05}}) + "\n" for name in TASK["sample_id"]
    )
    found = read(text, "said.jsonl", kind="probabilities", top=True, scores="scores").logits_for(TASK, "train", True)
    np.testing.assert_allclose(softmax(found, axis=1), [[0.0625, 0.75, 0.1875]] * 3, rtol=1e-6)


def test_a_class_that_no_row_names_has_no_column():
    rows = "id,yes,no\ntrain-0,0.6,0.3\ntrain-2,1,0\ntrain-5,0.9995,0.001\n"
    found = read(rows, kind="probabilities", top=True, columns={"good": "yes", "bad": "no"})
    found = found.logits_for(TASK, "train", True)
    np.testing.assert_allclose(np.exp(found[0]), [0.3, 0.6, 0.1], rtol=1e-6)
    assert found[1].tolist() == [FLOOR, 0, FLOOR] and found[2, 2] == FLOOR


def test_zero_is_finite_and_is_zero_at_every_usual_temperature():
    for kind, none, one in (("probabilities", 0.0, 1.0), ("log_probabilities", -np.inf, 0.0)):
        found = read(said(np.where(np.eye(3), one, none)), "said.jsonl", kind=kind).logits_for(TASK, "train", True)
        assert np.isfinite(found).all() and (softmax(found / 9, axis=1) == np.eye(3)).all()
    hard = read("id,a\ntrain-0,bad\ntrain-2,good\ntrain-5,odd\n", kind="label", label="a", smoothing=0.0)
    assert (hard.logits_for(TASK, "train", True) == found).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_hard_labels_distil_as_labels_do(smoothing):
    rows = "id,a\ntrain-0,good\ntrain-2,bad\ntrain-5,good\n"
    logits = read(rows, kind="label", label="a", smoothing=smoothing).logits_for(TASK, "train", True)
    labels = torch.tensor([1, 0, 1])
    student = torch.tensor(some_logits(), requires_grad=True)
    batch = {"labels": labels.flip(0), "index": torch.arange(3)}

    class Outputs:
        logits = student

    soft = DistillationLoss(torch.from_numpy(logits), temperature=1.0, hard_label_weight=0.0)(Outputs, batch)
    (own,) = torch.autograd.grad(soft, student)
    (expected,) = torch.autograd.grad(F.cross_entropy(student, labels, label_smoothing=smoothing), student)
    torch.testing.assert_close(own, expected)
    hot = DistillationLoss(torch.from_numpy(logits), temperature=8.0, hard_label_weight=0.0)(Outputs, batch)
    (gradient,) = torch.autograd.grad(hot, student)
    assert hot.isfinite() and gradient.isfinite().all()
    if not smoothing:
        (expected,) = torch.autograd.grad(64 * F.cross_entropy(student / 8, labels), student)
        torch.testing.assert_close(gradient, expected)


# --- Roles, and pieces of them ---


def numbered(role: str, rows: int) -> pd.DataFrame:
    return pd.DataFrame(
        {"sample_id": [f"{role}-{row}" for row in range(rows)], "text": [f"{role} {row}" for row in range(rows)]}
    )


def of_roles(**counts: int) -> AnswerTable:
    ids = [name for role, count in counts.items() for name in numbered(role, count)["sample_id"]]
    return read(said(some_logits(len(ids)), id=ids), kind="logits")


def test_pieces_of_a_role_get_what_the_whole_gets():
    task = numbered("train", 50)
    whole = of_roles(train=50, selection=2).logits_for(task, "train", True)
    for required in (True, False):
        table = of_roles(train=50, selection=2)
        pieces = [table.logits_for(task[start : start + 7], "train", required) for start in range(0, 50, 7)]
        assert np.concatenate(pieces).tobytes() == whole.tobytes() == some_logits(52)[:50].tobytes()


def test_an_optional_role_is_answered_or_not():
    table = of_roles(train=3, selection=4)
    assert len(table.logits_for(numbered("selection", 4), "selection", False)) == 4
    assert table.logits_for(numbered("test", 4), "test", False) is None
    with pytest.raises(UserError) as caught:
        of_roles(train=3, test=4).logits_for(numbered("test", 6), "test", False)
    assert str(caught.value) == (
        f"{FILE}.csv: 2 of 6 rows of test have no answer, the first is test-4; answer every row of test, or none"
    )


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ((0, 4), (4, 8), "none of 4 rows of selection is there by its id: the file has 'selection-3', the task 'sele"),
        ((4, 8), (0, 4), "selection-0 has an answer, but rows of selection before it have none; answer every row of"),
        ((4, 8), (2, 6), "2 of 4 rows of selection have no answer, the first is selection-4; answer every row of"),
    ],
)
def test_an_optional_role_is_answered_in_all_its_pieces_or_in_none(first, second, message):
    table, task = of_roles(selection=4), numbered("selection", 8)
    assert (table.logits_for(task[slice(*first)], "selection", False) is None) == (first == (4, 8))
    with pytest.raises(UserError, match=message):
        table.logits_for(task[slice(*second)], "selection", False)


# --- What is wrong ---

ROWS = "id,bad,good,odd\ntrain-0,{0}\ntrain-2,{1}\ntrain-5,{2}\n"
GOOD = "0.2,0.3,0.5"
RIGHT = ROWS.format(GOOD, GOOD, GOOD)
HARD = {"kind": "label", "label": "a", "smoothing": 0.1}
NESTED = {"kind": "probabilities", "scores": "s"}
WHERE = f"pairs/mine.yaml: {SECTION}"


def rows(third: str) -> str:
    return ROWS.format(GOOD, GOOD, third)


def lines(*scores) -> str:
    return "".join(json.dumps({"id": f"train-{row}", "s": score}) + "\n" for row, score in enumerate(scores))


@pytest.mark.parametrize(
    ("content", "card", "message"),
    [
        # Cells
        (rows("0.2,0.3,0.4"), {}, "row 3: the probabilities sum to 0.9; expected 1, or set kind: logits"),
        (rows("0.2,0.3,0.502"), {}, "row 3: the probabilities sum to 1.002; expected 1"),
        (rows("0.2,0.9,"), {"top": True}, "row 3: the probabilities sum to 1.1; expected at most 1"),
        (rows("-0.2,0.7,0.5"), {}, "row 3: the probability of 'bad' is -0.2; expected from 0 to 1, or set kind"),
        (rows("0.2,1.3,0.5"), {}, "row 3: the probability of 'good' is 1.3; expected from 0 to 1"),
        (rows("0.2,inf,0.5"), {}, "row 3: the probability of 'good' is inf; expected from 0 to 1"),
        (rows("0.2,nan,0.5"), {}, "row 3: no value for the class 'good'; give every class one, or set top: true"),
        (rows("0.2,,0.8"), {}, "row 3: no value for the class 'good'; give every class one, or set top: true"),
        (rows("1,,0.8"), {"kind": "logits"}, "row 3: no value for the class 'good'; give every class one"),
        (rows(", ,"), {"top": True}, "row 3: no value for any class; give one, or leave the row out"),
        (rows("1,x,0"), {}, "row 3: good is 'x'; expected a number"),
        (RIGHT, {"kind": "log_probabilities"}, "row 1: the log-probability of 'bad' is 0.2; expected at most 0, or"),
        (ROWS.format(*["-1,-2,-3"] * 3), {"kind": "log_probabilities"}, "row 1: the probabilities sum to 0.553002;"),
        (rows("1,-inf,0"), {"kind": "logits"}, "row 3: the logit of 'good' is -inf; make it finite"),
        (rows("1,1e39,0"), {"kind": "logits"}, "row 3: the logit of 'good' is 1e+39; make it finite"),
        (rows("1,0,0").replace("train-5", " "), {}, "row 3: id is empty; fill it in, or leave the row out"),
        # Labels
        (
            "id,a\ntrain-0,bad\ntrain-2,Good\n",
            HARD,
            "row 2: a: 'Good' is not among the classes bad, good, odd; say which",
        ),
        ("id,a\ntrain-0,bad\ntrain-2,\n", HARD, "row 2: a is empty; fill it in, or leave the row out"),
        # Columns
        (RIGHT, {"id": "Id"}, f"no column 'Id' (in {WHERE}.id); found id, bad, good, odd; did you mean 'id'?"),
        (RIGHT, {"id": None, "text": "line"}, f"no column 'line' (in {WHERE}.text); found id, bad, good, odd"),
        (
            RIGHT.replace("good", "goods"),
            {},
            f"no column 'good' (in {WHERE}.columns); found id, bad, goods, odd; did you",
        ),
        (RIGHT.replace("good", "bad"), {}, "2 columns are called 'bad'; rename one"),
        ("id,x\ntrain-0,1\n", {"top": True}, f"no column 'bad' (in {WHERE}.columns); found id, x"),
        # Rows
        (RIGHT + f"train-2,{GOOD}\n", {}, f"row 4: answered before, in {FILE}.csv: row 2; keep one"),
        (
            RIGHT + "train-2,0,0,1\n",
            {},
            f"row 4: answered before, and otherwise, in {FILE}.csv: row 2; keep one of them",
        ),
        (
            "t,bad,good,odd\na b,0,0,1\nb,0,0,1\nA  b,0,1,0\n",
            {"id": None, "text": "t"},
            f"row 3: answered before, and otherwise, in {FILE}.csv: row 1; keep one of them, or let",
        ),
        (
            RIGHT.replace("train-2", "train-3"),
            {},
            "1 of 3 rows of train have no answer, the first is train-2; answer every row of train",
        ),
        (
            RIGHT.replace("train-", ""),
            {},
            "none of 3 rows of train is there by its id: the file has '0', the task 'train-0'; answer every",
        ),
        (
            f"t,bad,good,odd\nfine day,{GOOD}\n",
            {"id": None, "text": "t"},
            "2 of 3 rows of train have no answer, the first is train-2 ('foul day'); answer every row of train",
        ),
        (
            f"t,bad,good,odd\n{'long ' * 20},{GOOD}\n",
            {"id": None, "text": "t"},
            "none of 3 rows of train is there by its text: the file has "
            "'long long long long long long long long …', the task 'fine day'; answer every row of train",
        ),
        ("id,bad,good,odd\n", {}, "the file has no rows, only the names of 4 columns"),
    ],
)
def test_a_wrong_file(content, card, message):
    found = mistake(content, **{"kind": "probabilities"} | {key: value for key, value in card.items() if value})
    start = f"{FILE}.csv: "
    assert found.startswith(start) and found.removeprefix(start).startswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lines([0.5, 0.25, 0.25], [0.5, 0.5]), "row 2: s has 2 values; expected a mapping of classes, or a list"),
        (lines({"bad": 0.5, "fine": 0.5}), "row 1: s: 'fine' is not among the classes bad, good, odd; say"),
        (lines({"bad": 0.5, "good": "x", "odd": 0}), "row 1: s: good is 'x'; expected a number"),
        (lines({"bad": 0.5, "good": [1], "odd": 0}), "row 1: s: good is [1]; expected a number"),
        (lines({"bad": 0.5, "good": 0.5}), "row 1: no value for the class 'odd'; give every class one, or"),
        (lines([0, 0, 1], None), "row 2: s is None; expected a mapping of classes, or a list of 3 values"),
        ('{"id": ["a"], "s": [0, 0, 1]}\n', "row 1: id is a list; expected a text or a number"),
        ('{"id": "a", "s": [0, 0, 1]\n', "line 1: not valid JSON: "),
        ('{"id": "a"}\n', f"no column 's' (in {WHERE}.scores); found id"),
    ],
)  # fmt: skip
def test_a_wrong_file_of_scores(content, message):
    found = mistake(content, "said.jsonl", **NESTED)
    start = f"{FILE}.jsonl: "
    assert found.startswith(start) and found.removeprefix(start).startswith(message)


def test_the_file_of_a_repeated_row_is_named():
    write("more.csv", rows("0,0,1").replace("train-0", "train-8").replace("train-5", "train-9"))
    found = mistake(RIGHT, kind="probabilities", file=["said.csv", "more.csv"])
    assert found.startswith(f"tasks/mine/more.csv: row 2: answered before, in {FILE}.csv: row 2")


def test_the_first_repeated_row_is_named():
    ids = [f"train-{row}" for row in range(40)] * 2
    found = mistake(said(some_logits(80), id=ids)[::-1], kind="logits")
    assert found.startswith(f"{FILE}.csv: row 41: answered before, and otherwise, in {FILE}.csv: row 1; keep one")


def test_no_such_file():
    found = mistake(RIGHT, kind="logits", file="sad.csv")
    assert found == "tasks/mine/sad.csv: no such file, but pairs/mine.yaml names it; data files there: said.csv"


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ({"id": None}, "give either id or text, the column by which a row is found"),
        ({"text": "t", "id": "id"}, "give either id or text, the column by which a row is found"),
        ({"text_pair": "t"}, "text_pair goes with text, not with id"),
        ({"kind": "odds"}, "kind: input should be 'probabilities', 'log_probabilities', 'logits' or"),
        ({"kind": "label", "label": "a"}, "kind is label, so smoothing has to be given"),
        ({"kind": "label", "smoothing": 0.1}, "kind is label, so label has to be given"),
        ({"kind": "label", "label": "a", "smoothing": 0.6}, "smoothing: input should be less than or equal to 0.5"),
        ({"kind": "label", "label": "a", "smoothing": 0.1, "top": True}, "kind is label, so top may not be given"),
        ({"smoothing": 0.1}, "kind is probabilities, so smoothing may not be given; columns, scores, top may"),
        ({"smoothing": 0.0}, "kind is probabilities, so smoothing may not be given; columns, scores, top may"),
        ({"kind": "logits", "top": True}, "kind is logits, so top may not be given; columns, scores may"),
        ({"scores": "s"}, "scores is for jsonl and parquet; in 'said.csv', give each class a column"),
        ({"file": []}, "file: value should have at least 1 item"),
        ({"file": ["a.csv", "a.csv"]}, "file: 'a.csv' is named twice"),
        ({"file": "../a.csv"}, "file: '../a.csv' is not beside the card; copy the file there"),
        ({"file": "a.xlsx"}, "file: 'a.xlsx' is not a file of a known kind (.csv, .tsv, .jsonl, .parquet)"),
        ({"columns": {"bad": "a"}, "labels": {"a": "bad"}}, "columns says where every class is; leave out"),
        ({"columns": {"bad": "a", "good": "a"}}, "columns: a class has one column, and a column one class"),
        ({"labels": {"a": "bad", "b": "bad"}}, "labels: a class has one column, and a column one class"),
        ({"columns": {"bad": "a", "fine": "b"}}, "columns: 'fine' is not a class of the task; it has bad, good, odd"),
        ({"columns": {"bad": "a", "odd": "b"}}, "columns: nothing is the class 'good'; say what"),
        ({"labels": {"a": "fine"}}, "labels: 'fine' is not a class of the task; it has bad, good, odd"),
        ({"labels": {"good": "bad"}}, "labels: nothing is the class 'good'; say what it is called in the file"),
        ({"id": None, "text": "t", "text_pair": "u"}, "text_pair: leave it out: the task has no second texts"),
        ({"id": None, "text": "t", "paired": True}, "text_pair: name the column of second texts"),
        ({"separator": ";;"}, "separator: give one character, such as ';'"),
        ({"answers": "a.csv"}, "answers: unknown key; check the spelling"),
    ],
)  # fmt: skip
def test_a_wrong_card(card, message):
    found = mistake(RIGHT, **{"kind": "probabilities"} | card)
    assert any(found.startswith(f"pairs/mine.yaml: {SECTION}{mark}{message}") for mark in (": ", "."))


def test_half_a_character_is_a_text_like_any_other():
    text = "".join(
        json.dumps({"t": name, "bad": 1, "good": 2, "odd": 3}) + "\n" for name in ("\ud800", "?", *TASK["text"])
    )
    assert len(read(text, "said.jsonl", kind="logits", text="t").logits_for(TASK, "train", True)) == 3


# --- Several teachers ---


def mixture(logits, weights) -> np.ndarray:
    probabilities = [softmax(own.astype(np.float64), axis=1) for own in logits]
    return np.average(probabilities, axis=0, weights=weights)


def test_several_teachers_are_the_mean_of_their_probabilities():
    logits, weights = [some_logits(), some_logits()[::-1], some_logits(scale=0.1)], [1, 2, 0.5]
    found = mean_logits(logits, weights)
    assert found.dtype == np.float32
    np.testing.assert_allclose(softmax(found, axis=1), mixture(logits, weights), rtol=1e-6)
    np.testing.assert_allclose(logsumexp(found, axis=1), 0, atol=1e-6)
    # Neither their order counts nor the unit of their weights, nor who is split in two.
    np.testing.assert_allclose(mean_logits(logits[::-1], weights[::-1]), found, rtol=1e-6)
    np.testing.assert_allclose(mean_logits(logits, [10, 20, 5]), found, rtol=1e-6)
    np.testing.assert_allclose(mean_logits([*logits, logits[1]], [1, 0.5, 0.5, 1.5]), found, rtol=1e-6)
    # What is added to all logits of a row says nothing.
    np.testing.assert_allclose(mean_logits([logits[0] + 3, *logits[1:]], weights), found, rtol=1e-5)


def test_one_teacher_is_itself():
    assert mean_logits([some_logits()], [3]).tobytes() == some_logits().tobytes()
    twice = mean_logits([some_logits(), some_logits()], [1, 3])
    np.testing.assert_allclose(twice, log_softmax(some_logits(), axis=1), rtol=1e-5)


def test_saturated_teachers_stay_finite():
    sure, most = np.where(np.eye(3), 0, FLOOR).astype(np.float32), np.finfo(np.float32).max
    agreed = mean_logits([sure, sure], [1, 1])
    assert np.isfinite(agreed).all() and (softmax(agreed, axis=1) == np.eye(3)).all()
    extreme = np.where(np.eye(3), most, -most).astype(np.float32)
    assert np.isfinite(mean_logits([extreme, extreme], [1, 1])).all()
    parted = mean_logits([sure, sure[[1, 0, 2]]], [3, 1])
    np.testing.assert_allclose(softmax(parted, axis=1)[0], [0.75, 0.25, 0], atol=1e-7)
