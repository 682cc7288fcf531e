"""The runner of stages: what it says, and what it holds a stage to."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lgtm import stage
from lgtm.seconds import read_seconds, timed
from stages.artifacts import cell

ROOT = Path(__file__).parents[1]
SCRIPT = """
from pathlib import Path

from lgtm.config import read_yaml


def main(seed: int) -> None:
    read_yaml("params.yaml")
    {during}
    Path("done").write_text("done")
"""


@pytest.fixture
def output(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = cell(1, "kd", "student") / "model.safetensors"
    path.parent.mkdir(parents=True)
    return path


def test_seconds_are_those_of_the_output_that_lies_there(output):
    assert read_seconds(output) is None
    with timed(output):
        output.write_bytes(b"weights")
    assert read_seconds(output) > 0
    assert [path.name for path in output.parent.iterdir()] == [output.name], "nothing in what DVC hashes"
    output.write_bytes(b"others, from the cache")
    assert read_seconds(output) is None
    output.unlink()
    assert read_seconds(output) is None


@pytest.mark.parametrize("arguments", [[], ["--help"], ["nosuch"]])
def test_what_is_no_stage_ends_in_one_line(arguments, monkeypatch):
    monkeypatch.setattr("sys.argv", ["lgtm.stage", *arguments])
    with pytest.raises(SystemExit, match=r"usage: python -m lgtm.stage <script of stages/>"):
        stage.run()


def run_stage(folder: Path, during: str, *flags: str) -> subprocess.CompletedProcess:
    """A stage of its own folder that does something while it runs."""
    (folder / "stages").mkdir()
    (folder / "stages/__init__.py").touch()
    (folder / "stages/neighbour.py").write_text("VALUE = 1")
    (folder / "stages/unused.py").write_text("VALUE = 1")
    (folder / "stages/own.py").write_text(SCRIPT.format(during=during))
    (folder / "params.yaml").write_text("temperature: 3")
    command = [sys.executable, *flags, "-m", "lgtm.stage", "own", "--seed", "1"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("during", "changed"),
    [
        ("pass", None),
        ("Path('params.yaml').write_text('temperature: 5')", "params.yaml"),
        ("Path('params.yaml').unlink()", "params.yaml"),
        ("import os; os.utime('params.yaml')", None),
        ("import stages.neighbour; Path('stages/neighbour.py').write_text('VALUE = 2')", "stages/neighbour.py"),
        ("Path('stages/own.py').write_text('')", "stages/own.py"),
        ("Path('stages/unused.py').write_text('VALUE = 2')", None),
    ],
)
def test_a_run_whose_settings_or_code_change_under_it_is_not_recorded(tmp_path, during, changed):
    done = run_stage(tmp_path, during)
    if changed is None:
        assert (done.returncode, done.stderr) == (0, "")
    else:
        assert done.returncode == 1
        assert done.stderr == f"error: {changed}: changed while own ran with what it was before; run it again\n"


def test_ctrl_c_ends_in_one_line_and_as_a_shell_expects(tmp_path):
    # The handler is Python's, whatever started the tests: in a shell's background SIGINT is ignored.
    heeded = "import os, signal, time; signal.signal(signal.SIGINT, signal.default_int_handler);"
    done = run_stage(tmp_path, f"{heeded} os.kill(os.getpid(), signal.SIGINT); time.sleep(9)")
    assert done.returncode == 130
    assert done.stderr == "own: stopped; run it again to go on\n"
    assert not (tmp_path / "done").exists()


def test_a_python_without_the_environment_ends_in_one_line(tmp_path):
    done = run_stage(tmp_path, "pass", "-S")
    assert done.returncode == 1
    assert "activate the environment: . .venv/bin/activate" in done.stderr
    assert done.stderr.count("\n") == 1
