"""The loss that is distilled is the one that is scored, tailored for and validated, and a change of it reaches all."""

import importlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny_project
import torch
import yaml

from lgtm.influence.identity import distillation_influence
from lgtm.params import load_params
from stages.artifacts import TAUGHT, read_matrix, read_roles

CELL = Path("work/runs/1")
# The smallest run of what follows, with an influence that is felt, and settings that are not the defaults.
CHANGES = {
    "seeds": [1],
    "arms": ["tailored", "tilted"],
    "distill.temperature": 2.0,
    "distill.hard_label_weight": 0.1,
    "teacher_tailored.tailored.lambda": 2.0,
    "validation.subsets": 0,
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder in which everything before the influence has run."""
    root = tmp_path_factory.mktemp("home")
    tiny_project.write_cards(root)
    (root / "checkpoints").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        write_params()
        run("prepare")
        run("teacher_warmup", seed=1)
        run("student_warmup", seed=1)
    yield root
    torch.use_deterministic_algorithms(False)


def write_params(**changes) -> None:
    params = tiny_project.settings()
    tiny_project.edit(params, CHANGES | changes)
    Path("params.yaml").write_text(yaml.safe_dump(params))


def run(stage: str, **cell) -> None:
    importlib.import_module(f"stages.{stage}").main(**cell)


def influence() -> np.ndarray:
    return pd.read_parquet(CELL / "influence/influence.parquet")["influence"].to_numpy()


def targets(arm: str) -> np.ndarray:
    return read_matrix(CELL / arm / "teacher/targets.parquet", "logits")


def found_with(**changes) -> dict[str, np.ndarray]:
    """What the stages that use the loss write."""
    write_params(**changes)
    run("influence", seed=1)
    run("validation", seed=1)
    run("teacher_tailored", seed=1, arm="tailored")
    run("teacher_tailored", seed=1, arm="tilted")
    validation = json.loads(Path("work/validation/1/validation.json").read_text())
    return {
        "influence": influence(),
        "tailored": targets("tailored"),
        "tilted": targets("tilted"),
        "retrained": np.array(validation["nothing_dropped"]),
    }


@pytest.fixture
def at_home(home, monkeypatch):
    monkeypatch.chdir(home)


@pytest.fixture(scope="module")
def first(home):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        return found_with()


def expected_influence(temperature: float, hard_label_weight: float) -> np.ndarray:
    taught = read_roles(TAUGHT)
    scores = CELL / "influence/influence.parquet"
    columns = [read_matrix(scores, "student_logits"), read_matrix(scores, "tangents")]
    columns.append(read_matrix(CELL / "teacher/targets.parquet", "logits"))
    return distillation_influence(
        *map(torch.tensor, columns),
        torch.tensor(taught["label"].to_numpy()),
        temperature=temperature,
        hard_label_weight=hard_label_weight,
    ).numpy()


def test_another_temperature_of_distill_is_another_influence_teacher_and_retrained_student(at_home, first):
    changed = found_with(**{"distill.temperature": 5.0})
    np.testing.assert_allclose(changed["influence"], expected_influence(5.0, 0.1), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(first["influence"], expected_influence(2.0, 0.1), rtol=1e-4, atol=1e-7)
    for name in ("influence", "tailored", "retrained"):
        assert not np.array_equal(changed[name], first[name]), name
    # Which the closed form is free of: it is the same at every temperature.
    np.testing.assert_array_equal(changed["tilted"], first["tilted"])


def test_another_share_of_labels_is_too(at_home, first):
    changed = found_with(**{"distill.hard_label_weight": 0.6})
    np.testing.assert_allclose(changed["influence"], expected_influence(2.0, 0.6), rtol=1e-4, atol=1e-7)
    for name in ("influence", "tailored", "tilted", "retrained"):
        assert not np.array_equal(changed[name], first[name]), name
    warm = read_matrix(CELL / "teacher/targets.parquet", "logits")
    np.testing.assert_allclose((changed["tilted"] - warm) / 0.4, (first["tilted"] - warm) / 0.9, rtol=1e-3, atol=1e-5)


def test_another_loss_is_scored_where_it_is_named(at_home, first):
    named = {"influence.temperature": 2, "influence.hard_label_weight": 0.1}
    changed = found_with(**named | {"distill.temperature": 5.0, "distill.hard_label_weight": 0.6})
    assert load_params().distill.temperature == 5.0
    for name, value in first.items():
        np.testing.assert_array_equal(changed[name], value, err_msg=name)
