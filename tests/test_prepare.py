"""The stage `prepare` on a tiny task: what it writes, and how soon a mistake is told."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import tiny_project
import torch
import yaml

ROLES = ("train", "feedback", "selection", "test")


@pytest.fixture
def home(tmp_path, monkeypatch):
    tiny_project.write_cards(tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(tiny_project.settings()))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    torch.use_deterministic_algorithms(False)


def test_no_feedback_rows_where_the_folds_of_train_take_their_place(home):
    from stages import prepare

    params = tiny_project.settings()
    tiny_project.edit(params, {"prepare.feedback": 0.0, "influence.folds": 2, "arms": ["kd"]})
    (home / "params.yaml").write_text(yaml.safe_dump(params))
    prepare.main()
    assert not len(pd.read_parquet("work/data/feedback.parquet"))
    assert json.loads(Path("work/data/summary.json").read_text())["roles"]["feedback"]["rows"] == 0


def test_noise_is_everywhere_but_in_the_test_and_in_what_the_card_calls_clean(home):
    from stages import prepare

    card = home / "tasks/tiny/task.yaml"
    card.write_text(yaml.safe_dump(tiny_project.TASK | {"label_noise": 0.25, "clean_roles": ["selection"]}))
    prepare.main()
    roles = {role: pd.read_parquet(f"work/data/{role}.parquet") for role in ROLES}
    flips = {role: (rows["label"] != rows["true_label"]).sum() for role, rows in roles.items()}
    noisy = {role: round(0.25 * len(roles[role])) for role in ("train", "feedback")}
    assert noisy["feedback"] > 1
    assert flips == noisy | {"selection": 0, "test": 0}
    truth = {text: "good" in text for text in tiny_project.texts(120, 0, 6)}
    assert all(truth[row.text] == row.true_label for row in roles["feedback"].itertuples())

    task = json.loads(Path("work/data/task.json").read_text())
    given = roles["train"]["label"].value_counts()
    assert task["majority"] == given.idxmax()
    assert given.nunique() == 2
    # It must not tell of the test.
    assert set(task) == {"labels", "metrics", "max_length", "majority"}

    summary = json.loads(Path("work/data/summary.json").read_text())
    assert summary["label_noise"] == {"fraction": 0.25, "clean_roles": ["selection"]}
    assert summary["files"]["tasks/tiny/train.csv"] == {"rows": 120, "multi_line_fields": 0}
    assert set(summary) == {"roles", "transfer", "grouped_by", "crossing", "label_noise", "files", "truncated"}


NOT_TO_BE_IMPORTED = ("torch", "transformers", "tokenizers")


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("tasks/tiny/task.yaml", "label_noise", "label_nose", "error: tasks/tiny/task.yaml: label_noise: missing"),
        ("pairs/tiny.yaml", "vocab_size: 100", "vocab_size: 1", "error: pairs/tiny.yaml: tokenizer.vocab_size: input"),
        ("tasks/tiny/train.csv", "text,label", "words,label", "error: tasks/tiny/train.csv: no column 'text'"),
    ],
)
def test_a_mistake_is_told_before_torch_is_imported(home, file, old, new, message):
    (home / "stages").symlink_to(tiny_project.ROOT / "stages")
    (home / file).write_text((home / file).read_text().replace(old, new))
    for name in NOT_TO_BE_IMPORTED:
        (home / "without").mkdir(exist_ok=True)
        (home / f"without/{name}.py").write_text(f"raise SystemExit('{name} was imported')")
    environment = os.environ | {"PYTHONPATH": f"without:{tiny_project.ROOT / 'src'}"}
    done = subprocess.run(
        [sys.executable, "-m", "lgtm.stage", "prepare"], env=environment, capture_output=True, text=True
    )
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == done.returncode == 1
