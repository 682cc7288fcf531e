"""Rows without labels: in no other role, read piece by piece, and never by their labels."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny_project
import torch
import yaml

from lgtm.config import read_yaml
from lgtm.data import transfer
from lgtm.data.demo import GeneratorSettings, generate, unlabelled
from lgtm.data.duplicates import Met
from lgtm.data.files import read_file, read_pieces
from lgtm.data.roles import ROLES, assign_roles
from lgtm.data.sources import read_splits
from lgtm.data.tasks import load_card
from lgtm.data.transfer import TransferRows, chosen_rows
from lgtm.errors import UserError
from lgtm.params import load_params

CARD = Path("tasks/tiny/task.yaml")


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny_project.write_cards(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump(tiny_project.settings()))
    yield tmp_path
    torch.use_deterministic_algorithms(False)


def card(**changes) -> None:
    CARD.write_text(yaml.safe_dump(tiny_project.TASK | changes))


def rows_of() -> tuple[pd.DataFrame, TransferRows, dict[str, pd.DataFrame]]:
    """The transfer rows as prepare takes them, what counted them, and the other roles."""
    task, folder = load_card(CARD.parent), CARD.parent
    raw = read_splits(task, folder)
    roles, _ = assign_roles(raw, load_params().prepare)
    rows = TransferRows(task, folder, raw, roles)
    return pd.concat(rows, ignore_index=True), rows, roles


def test_a_text_of_another_role_an_empty_one_and_one_that_was_there_are_left_out(home):
    _, _, roles = rows_of()
    taken = [roles[role]["text"].iloc[0].upper() + " " for role in ROLES]  # the same but for case and white space
    (CARD.parent / "new.csv").write_text("\n".join(["text", *taken, "  ", "new one", "New  one", "newer"]) + "\n")
    rows, counted, _ = rows_of()
    assert rows["text"].tolist() == ["new one", "newer"]
    assert rows["sample_id"].tolist() == ["transfer-5", "transfer-7"]
    assert counted.counts == {
        "read": 8, "in_other_role": 4, "empty": 1, "duplicates": 1, "group_held_out": 0, "rows": 2
    }  # fmt: skip


def test_a_text_that_is_met_again_in_a_later_piece_or_file_is_left_out(home, monkeypatch):
    monkeypatch.setattr(transfer, "read_pieces", lambda *args: read_pieces(*args, size=2))
    card(files=tiny_project.TASK["files"] | {"transfer": ["new.csv", "more.jsonl"]})
    (CARD.parent / "new.csv").write_text("text\nq1\nq2\nq3\nq1\nq4\n")
    (CARD.parent / "more.jsonl").write_text('{"text": "q5"}\n{"text": "Q4"}\n{"text": "q6"}\n')
    rows, counted, _ = rows_of()
    assert rows["sample_id"].tolist() == [f"transfer-{place}" for place in (0, 1, 2, 4, 5, 7)]
    assert rows["text"].tolist() == [f"q{n}" for n in range(1, 7)]
    assert counted.counts["duplicates"] == 2


def test_a_group_that_is_held_out_gives_no_row_and_one_of_train_may(home):
    columns = tiny_project.TASK["columns"] | {"group": "user"}
    card(columns=columns, files={"train": "train.csv", "transfer": "new.csv"})
    rows = [f"{place} day,{('fine', 'awful')[place % 2]},u{place // 4}" for place in range(120)]
    (CARD.parent / "train.csv").write_text("\n".join(["text,label,user", *rows]) + "\n")
    (CARD.parent / "new.csv").write_text("\n".join(["text,user", *(f"new {n},U{n}" for n in range(31))]) + "\n")
    kept, counted, roles = rows_of()
    groups = {
        role: {f"u{int(sample.split('-')[1]) // 4}" for sample in table["sample_id"]} for role, table in roles.items()
    }
    held_out = groups["test"] | groups["selection"] | groups["feedback"]
    assert groups["train"] and held_out
    assert {f"u{row.split('-')[1]}" for row in kept["sample_id"]} == {f"u{n}" for n in range(31)} - held_out
    assert counted.counts["group_held_out"] == len(held_out)


def test_a_column_that_is_not_there_and_no_row_left_are_one_line(home):
    from stages import prepare

    (CARD.parent / "new.csv").write_text("Text\nq\n")
    with pytest.raises(UserError, match=r"new.csv: no column 'text' .*did you mean 'Text'"):
        prepare.main()
    (CARD.parent / "new.csv").write_text("text\n \n")
    with pytest.raises(UserError, match=r"task.yaml: transfer: every row is empty or stands in another role"):
        prepare.main()
    (CARD.parent / "new.csv").unlink()
    with pytest.raises(UserError, match=r"new.csv: no such file, but tasks/tiny/task.yaml names it"):
        prepare.main()
    card(files=tiny_project.TASK["files"] | {"transfer": ["test.csv"]})
    with pytest.raises(UserError, match=r"'test.csv' is named twice"):
        prepare.main()


def test_labels_in_a_transfer_file_are_not_read_and_the_limit_takes_random_rows_of_it(home):
    from stages import prepare

    (CARD.parent / "new.csv").write_text("\n".join(["label,text", *(f"nonsense,q{n}" for n in range(50))]) + "\n")
    params = tiny_project.settings()
    tiny_project.edit(params, {"prepare.max_transfer": 20})
    Path("params.yaml").write_text(yaml.safe_dump(params))
    prepare.main()
    rows = pd.read_parquet("work/data/transfer.parquet")
    assert list(rows) == ["sample_id", "text"] and len(rows) == 20
    assert rows["text"].tolist() == [f"q{sample.split('-')[1]}" for sample in rows["sample_id"]]
    summary = read_yaml("work/data/summary.json")
    assert summary["transfer"] | {"rows": 20, "left_out": 30} == summary["transfer"]
    assert summary["truncated"]["transfer"] == 0
    assert not list(Path("work/data").glob("transfer-all*"))


def test_a_task_without_them_has_an_empty_table(home):
    from stages import prepare

    card(files={"train": "train.csv"})
    prepare.main()
    rows = pd.read_parquet("work/data/transfer.parquet")
    assert list(rows) == ["sample_id", "text"] and not len(rows)


def test_random_rows_are_sorted_different_and_the_same_every_time():
    chosen = chosen_rows(1000, 100, seed=1)
    assert len(set(chosen)) == 100 and (np.diff(chosen) > 0).all() and chosen.max() > 900
    assert np.array_equal(chosen, chosen_rows(1000, 100, seed=1))
    assert not np.array_equal(chosen, chosen_rows(1000, 100, seed=2))
    assert list(chosen_rows(1000, 1000, seed=1)) == list(chosen_rows(1000, None, seed=1)) == list(range(1000))


def test_met_before_is_met_and_nothing_else():
    met = Met(pd.Series(["a", "b"]))
    met.add(pd.Series(["c", "a"]))
    assert met.of(pd.Series(["c", "d", "a", "b", ""])).tolist() == [True, False, True, True, False]
    assert Met(pd.Series(dtype=object)).of(pd.Series(["a"])).tolist() == [False]


def test_what_was_met_some_at_a_time_is_what_a_set_has_in_few_runs():
    rng, met, known = np.random.default_rng(0), Met(pd.Series(dtype=object)), set()
    for _ in range(100):
        texts = [str(number) for number in rng.integers(2000, size=rng.integers(1, 30))]
        assert met.of(pd.Series(texts)).tolist() == [text in known for text in texts]
        met.add(pd.Series(texts))
        known |= set(texts)
    assert len(met.runs) < 12
    assert all(len(run) > len(after) for run, after in zip(met.runs, met.runs[1:], strict=False))


@pytest.mark.parametrize("size", [1, 3, 4, 100])
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_pieces_are_the_file(tmp_path, suffix, size):
    path = tmp_path / f"rows.{suffix}"
    frame = pd.DataFrame({"text": [f'a "{n}"\nb, ü' for n in range(7)], "n": range(7)})
    if suffix == "csv":
        frame.to_csv(path, index=False)
    elif suffix == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_parquet(path)
    pieces = list(read_pieces(path, None, True, CARD, size))
    assert len(pieces[0]) == min(size, 7)
    whole = read_file(path, None, True, CARD)
    assert len(whole) == 7
    pd.testing.assert_frame_equal(pd.concat(pieces, ignore_index=True).astype(str), whole.astype(str))


def test_generated_rows_have_a_truth_that_nothing_trains_on_and_leave_the_others_what_they_were():
    settings = read_yaml("tasks/demo/task.yaml")["generated"]
    more = GeneratorSettings(**settings | {"transfer": 500})
    frames = list(unlabelled(more))
    assert sum(map(len, frames)) == 500
    for split, frame in generate(more).items():
        pd.testing.assert_frame_equal(frame, generate(GeneratorSettings(**settings | {"transfer": 0}))[split])
    assert set(frames[0]["true_label"]) == {0, 1}
