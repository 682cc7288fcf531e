"""Every stage in a folder that holds what dvc.yaml says it depends on, and nothing else."""

import importlib
import itertools
from pathlib import Path

import pytest
import tiny_project
import torch
import yaml

from lgtm.config import read_yaml
from lgtm.params import ARM_SETTINGS, CO_TRAINED

STAGES = read_yaml(tiny_project.ROOT / "dvc.yaml")["stages"]
ARMS = sorted(ARM_SETTINGS)
LISTS = {"seeds": [1], "arms": ARMS, "rounds.arms": [arm for arm in ARMS if arm not in CO_TRAINED]}


@pytest.fixture
def home(tmp_path):
    tiny_project.write_cards(tmp_path)
    params = tiny_project.settings()
    tiny_project.edit(params, LISTS)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    (tmp_path / "checkpoints").mkdir()
    yield tmp_path
    torch.use_deterministic_algorithms(False)


def cells(stage: dict) -> list[dict]:
    """The items of a stage's matrix; one without keys where there is no matrix."""
    lists = {key: LISTS[values.strip("${}")] for key, values in stage.get("matrix", {}).items()}
    return [dict(zip(lists, item, strict=True)) for item in itertools.product(*lists.values())]


def paths(entries: list, cell: dict) -> list[Path]:
    """Paths of deps or outs with the templates filled in; code left out."""
    names = [name for entry in entries for name in ([entry] if isinstance(entry, str) else entry)]
    for key, value in {"task": "tiny", "pair": "tiny", **{f"item.{key}": value for key, value in cell.items()}}.items():
        names = [name.replace(f"${{{key}}}", str(value)) for name in names]
    return [Path(name) for name in names if not name.endswith(".py")]


def test_stages_need_no_more_than_they_declare_and_so_no_arm_sees_the_test(home, tmp_path_factory, monkeypatch):
    saw_test = set()
    for name, stage in STAGES.items():
        for cell in cells(stage):
            alone = tmp_path_factory.mktemp(name)
            cards = [card for entry in stage["params"] if isinstance(entry, dict) for card in entry]
            for path in {Path("params.yaml"), *paths([*cards, *stage["deps"]], cell)}:
                (alone / path).parent.mkdir(parents=True, exist_ok=True)
                (alone / path).symlink_to(home / path)
            monkeypatch.chdir(alone)
            if Path("work/data/test.parquet").exists():
                saw_test.add(name)
            importlib.import_module(f"stages.{name}").main(**cell)
            for path in paths([*stage.get("outs", []), *stage.get("metrics", []), *stage.get("plots", [])], cell):
                (home / path).parent.mkdir(parents=True, exist_ok=True)
                (alone / path).rename(home / path)
    assert saw_test == {"evaluate_warmup", "evaluate", "evaluate_rounds"}
    assert {path.name for path in (home / "work/evaluation/1").iterdir()} >= {"warmup", *ARMS}
