"""What one stage finds of another's: there and whole, or one line that names the file and who writes it."""

import os
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import tiny
import torch
import yaml
from safetensors.torch import save_file

from lgtm.errors import UserError
from lgtm.handover import existing, remedy, writing
from lgtm.seconds import read_seconds, timed
from stages.artifacts import cell, require_rows_of, role_path, write_json, write_rows

OUTS = [
    (stage, out)
    for stage, definition in yaml.safe_load((tiny.ROOT / "dvc.yaml").read_text())["stages"].items()
    for out in definition.get("outs", [])
]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(tiny.ROOT / "dvc.yaml", tmp_path)


def refused(path: Path, what: str, *wanted: str) -> None:
    with pytest.raises(UserError) as error:
        existing(path, *wanted)
    assert str(error.value).startswith(f"{path}: ")
    assert re.search(what, str(error.value)), error.value


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    match path.suffix:
        case ".parquet":
            pd.DataFrame({"sample_id": ["a", "b"], "text": ["x", "y"]}).to_parquet(path)
        case ".json":
            path.write_text('{"sample_id": 1, "text": [2, 3]}')
        case ".tsv":
            path.write_text("sample_id\ttext\na\tx\n")
        case ".safetensors":
            save_file({"sample_id": torch.ones(3), "text": torch.zeros(2, 2)}, path)


@pytest.mark.parametrize("kind", ["parquet", "json", "tsv", "safetensors"])
def test_a_file_of_every_kind(kind):
    path = Path("work/data") / f"x.{kind}"
    refused(path, "not there; the stage prepare writes it: run dvc repro")
    write(path)
    assert existing(path) == existing(path, "text") == path
    refused(path, "has no 'label'; the stage prepare writes it", "text", "label")
    if kind != "tsv":  # some of its rows are a table too
        for size in (path.stat().st_size - 1, path.stat().st_size // 2, 3):
            os.truncate(path, size)
            refused(path, rf"not a whole {kind} file \(.*\); the stage prepare writes it: run dvc repro")
    path.write_bytes(b"")
    refused(path, "not a (whole .* file|table)")


def test_weights_with_something_behind_them_are_not_whole():
    path = Path("x.safetensors")
    write(path)
    path.write_bytes(path.read_bytes() + b"\0")
    refused(path, "its header says")


@pytest.mark.parametrize(("stage", "out"), OUTS, ids=lambda value: str(value))
def test_the_stage_that_writes_a_file_is_named(stage, out):
    path = Path(out.replace("${item.seed}", "7").replace("${item.arm}", "kd"))
    assert remedy(path) == remedy(path / "a/b.json") == f"the stage {stage} writes it: run dvc repro"


def test_what_no_stage_writes():
    assert remedy(Path("work/database/x")) == "run dvc repro"
    Path("dvc.yaml").unlink()
    assert remedy(Path("work/data/x")) == "run dvc repro"


def test_a_table_of_other_rows():
    for role, count in {"train": 3, "transfer": 2}.items():
        write_rows(role_path(role), pd.DataFrame({"sample_id": range(count)}))
    targets = cell(1, "teacher") / "targets.parquet"
    write_rows(targets, pd.DataFrame({"sample_id": range(5)}))
    require_rows_of(["train", "transfer"], targets)
    with pytest.raises(
        UserError, match=r"targets.parquet: has 5 rows, and train 3; the stage teacher_warmup writes it"
    ):
        require_rows_of(["train"], targets)


def test_what_cannot_be_written_is_named():
    Path("full.json").symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"^full.json: cannot be written: No space left on device$"):
        write_json(Path("full.json"), {})
    with pytest.raises(UserError, match=r"^x: cannot be written: of another kind$"), writing(Path("x"), ValueError):
        raise ValueError("of\nanother kind")
    with pytest.raises(ValueError, match="a mistake"), writing(Path("x")):
        raise ValueError("a mistake")


def test_seconds_of_a_run_that_was_killed_while_it_noted_them_are_none():
    output = cell(1, "kd", "student") / "model.safetensors"
    output.parent.mkdir(parents=True)
    with timed(output):
        output.write_bytes(b"weights")
    assert read_seconds(output) is not None
    output.parent.with_suffix(".seconds").write_text("")
    assert read_seconds(output) is None
