"""Recipes: every key is one of params.yaml, what they say is written, and everything else stays as it was."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import ROOT

from lgtm.config import read_yaml
from lgtm.errors import UserError
from lgtm.params import load_params
from lgtm.recipe import apply, load_recipe

NAMES = sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml"))


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def value(params, key):
    for part in key.split("."):
        params = params[part]
    return params


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_changes_its_own_lines_and_no_others(name):
    before = Path("params.yaml").read_text()
    changes = apply(name)
    after = Path("params.yaml").read_text()
    recipe = load_recipe(name)
    load_params()
    assert changes
    assert {key: value(read_yaml("params.yaml"), key) for key in recipe} == recipe
    pairs = list(zip(before.splitlines(), after.splitlines(), strict=True))
    assert sum(old != new for old, new in pairs) == len(changes)
    for old, new in pairs:
        assert old.partition("#")[2] == new.partition("#")[2]
        assert old.partition(":")[0] == new.partition(":")[0]
    assert apply(name) == {}
    assert Path("params.yaml").read_text() == after


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("distill: {epoch: 3}", r"recipes/mine.yaml: distill.epoch: params.yaml has no such key"),
        ("distil: {epochs: 3}", r"recipes/mine.yaml: distil.epochs: params.yaml has no such key"),
        ("distill: {epochs: many}", r"recipes/mine.yaml: distill.epochs: input should be a valid number"),
    ],
)
def test_a_wrong_recipe_changes_nothing(text, message):
    Path("recipes/mine.yaml").write_text(text)
    before = Path("params.yaml").read_text()
    with pytest.raises(UserError, match=f"^{message}"):
        apply("mine")
    assert Path("params.yaml").read_text() == before


def test_an_unknown_recipe_names_those_there_are():
    with pytest.raises(UserError, match=r"^no recipe recipes/500.yaml; there are 350, 700, 3000: take the one nearest"):
        apply("500")


def test_the_command_says_what_it_changed():
    command = [sys.executable, "-m", "lgtm.recipe", "350"]
    first, again = (
        subprocess.run(
            command, env={"PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    )
    assert f"teacher_warmup.min_steps: 0 -> {load_recipe('350')['teacher_warmup.min_steps']}\n" in first
    assert again == "params.yaml has all of it already\n"
