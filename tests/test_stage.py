"""The runner of stages: what it says, and the seconds that it notes."""

from pathlib import Path

import pytest

from lgtm import stage


@pytest.fixture
def output(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Path("work/runs/1/kd/student/model.safetensors")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"weights")
    return path


def test_seconds_are_those_of_the_output_that_lies_there(output):
    assert stage.read_seconds("distill", 1, "kd") is None
    stage._note_seconds("distill-1-kd", output)
    assert stage.read_seconds("distill", 1, "kd") > 0
    output.write_bytes(b"others, from the cache")
    assert stage.read_seconds("distill", 1, "kd") is None
    output.unlink()
    assert stage.read_seconds("distill", 1, "kd") is None


@pytest.mark.parametrize("arguments", [[], ["--help"], ["nosuch"]])
def test_what_is_no_stage_ends_in_one_line(arguments, monkeypatch):
    monkeypatch.setattr("sys.argv", ["lgtm.stage", *arguments])
    with pytest.raises(SystemExit, match=r"usage: python -m lgtm.stage <script of stages/>"):
        stage.run()
