"""benchmarks.recipes at a tiny size: what it compares, on which rows, and how it fails."""

import argparse
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny
import tiny_project
import torch
import yaml
from accelerate.state import AcceleratorState
from transformers import Trainer

from benchmarks import baselines, recipes, workspace
from lgtm.errors import UserError
from lgtm.params import load_params

WORDS = {0: "bad", 1: "good"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A project with a tiny checkpoint, a recipe of a few steps, and real data's layout."""
    folder = tmp_path_factory.mktemp("root")
    (folder / "params.yaml").write_text(yaml.safe_dump(tiny_project.settings()))
    encoder, tokenizer = tiny.encoder("bert"), tiny.tokenizer()
    for part in (encoder, tokenizer):
        part.save_pretrained(folder / "checkpoints/tiny")
    network = {"checkpoint": "a/b", "revision": "0" * 40, "pooling": "mean", "learning_rate": 1e-3}
    (folder / "pairs").mkdir()
    card = {"description": "tiny", "teacher": network, "student": network | {"layers": [0]}}
    (folder / "pairs/minilm-to-2l.yaml").write_text(yaml.safe_dump(card))
    (folder / "recipes").mkdir()
    for name, least in (("350", 3), ("700", 5), ("3000", 7)):
        text = yaml.safe_dump({"teacher_warmup": {"min_steps": least}, "distill": {"epochs": 1}})
        (folder / f"recipes/{name}.yaml").write_text(text)
    (folder / "data/sst2").mkdir(parents=True)
    for name, rows in (("train", 200), ("validation", 30)):
        texts = [f"{WORDS[row % 2]} {name} {row} day" for row in range(rows)]
        table = pd.DataFrame({"sentence": texts, "label": [row % 2 for row in range(rows)]})
        table.to_parquet(folder / f"data/sst2/{name}.parquet")
    return folder


@pytest.fixture(autouse=True)
def at_root(root, monkeypatch):
    for module in (recipes, workspace):
        monkeypatch.setattr(module, "ROOT", root)
    monkeypatch.setattr(baselines, "TRAINER", [(1e-3, 1, 0.0), (1e-3, 2, 0.1)])
    monkeypatch.setattr(recipes, "missing", lambda library: True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    torch.use_deterministic_algorithms(False)


def options(root, **changes):
    given = {"data": root / "data", "checkpoint": "checkpoints/tiny", "seeds": [1], "max_test": 20, "changes": []}
    return argparse.Namespace(**given | changes)


@pytest.fixture(scope="module")
def made(root, tmp_path_factory):
    """The rows that the command keeps of one cell, and its folder."""
    folder = tmp_path_factory.mktemp("cells")
    with pytest.MonkeyPatch.context() as patch:
        for module in (recipes, workspace):
            patch.setattr(module, "ROOT", root)
        patch.setattr(baselines, "TRAINER", [(1e-3, 1, 0.0)])
        patch.setattr(recipes, "missing", lambda library: True)
        command = f"recipes {folder} --data {root / 'data'} --checkpoint checkpoints/tiny --tasks sst2 --rows 60"
        patch.setattr(sys, "argv", f"{command} --seeds 1 --max-test 20 --json {folder / 'rows.json'}".split())
        recipes.main()
    return json.loads((folder / "rows.json").read_text()), folder / "sst2-60"


def test_ours_and_the_others_are_measured_on_the_same_rows(made, monkeypatch):
    rows, folder = made
    assert {(row["network"], row["method"]) for row in rows} == {
        (network, method) for network in ("teacher", "student") for method in ("ours", "probe", "Trainer")
    }
    monkeypatch.chdir(folder)
    said = pd.read_parquet("work/evaluation/1/kd/student.parquet")
    ours = {row["network"]: row["value"] for row in rows if row["method"] == "ours"}
    assert ours["student"] == pytest.approx(100 * (said["predicted"] == said["label"]).mean())
    assert len(said) == 20
    params = load_params()
    assert (params.teacher_warmup.min_steps, params.prepare.max_train) == (3, 60)
    shown = recipes.table(pd.DataFrame(rows)).splitlines()
    assert "ours - best" in shown[0]


def test_the_recipe_is_the_one_nearest_to_the_rows(root, tmp_path, monkeypatch):
    monkeypatch.setattr(recipes.stages, "run", lambda name, item: None)
    recipes.make(tmp_path / "cell", "sst2", 600, options(root))
    monkeypatch.chdir(tmp_path / "cell")
    assert load_params().teacher_warmup.min_steps == 5


def test_data_that_are_not_there_are_one_line(root, tmp_path):
    with pytest.raises(UserError, match=r"trec/train.parquet: no such file; --data has a folder per task"):
        recipes.make(tmp_path / "cell", "trec", 60, options(root))


def roles(train=None):
    table = tiny.table(40).drop_duplicates("text")
    return baselines.Roles(train if train is not None else tiny.table(40), table, table, ["accuracy"], 16)


def test_a_probe_on_states_that_tell_the_label_is_right_on_pairs_too():
    def states(texts):
        return np.array([[text.startswith("good"), 1.0] for text in texts]) / np.sqrt(2)

    assert roles().score(baselines.probe(states, roles())) == 1.0
    paired = tiny.table(40)
    paired["text_pair"] = np.roll(paired["text"], 1)
    paired["text_pair"] = ["good" if row % 4 < 2 else "bad" for row in range(40)]
    paired["label"] = (paired["text"].str[:1] == paired["text_pair"].str[:1]).astype(int)
    both = baselines.Roles(paired, paired, paired, ["accuracy"], 16)
    assert both.score(baselines.probe(states, both)) == 1.0


def test_mean_states_are_those_of_a_text_alone(root):
    folder = root / "checkpoints/tiny"
    texts = ["good day night sun", "bad", "good night"]
    together = baselines.mean_states(folder, texts, 16)
    alone = np.vstack([baselines.mean_states(folder, [text], 16) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    encoder, tokenizer = tiny.AutoModel.from_pretrained(folder).eval(), tiny.tokenizer()
    with torch.no_grad():
        mean = encoder(**tokenizer(texts[0], return_tensors="pt")).last_hidden_state[0].mean(0)
    np.testing.assert_allclose(together[0], mean / mean.norm(), atol=1e-5)


@pytest.mark.parametrize("logits", [np.zeros((3, 2)), np.full((4, 2), np.nan)])
def test_logits_that_are_none_of_test_fail(logits):
    with pytest.raises(UserError, match="rows of finite logits"):
        roles().score(logits)


def test_a_trainer_that_did_not_train_fails(root, monkeypatch):
    monkeypatch.setattr(Trainer, "train", lambda self: None)
    with pytest.raises(UserError, match="Trainer took 0 steps in place of 3"):
        baselines.trainer(root / "checkpoints/tiny", roles(), 1)


def test_sentence_transformers_distils_the_student_s_states(root, tmp_path):
    pytest.importorskip("sentence_transformers")
    shutil.copytree(root / "checkpoints/tiny", tmp_path / "student")
    states = baselines.distilled_states(root / "checkpoints/tiny", Path(tmp_path / "student"), roles(), 1)
    assert states(["good day", "bad"]).shape == (2, 16)
