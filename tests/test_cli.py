"""The command line itself: quick, plain in a pipe, the code of the folder that it is called in."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "transformers", "dvc", "pandas", "numpy", "rich"}
COMMANDS = ("new-task", "check", "verify", "compare", "trace", "predict", "export")
ENTRY = "from lgtm.cli.app import main; main()"  # what an installed `lgtm` does


def lgtm(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", ENTRY, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_the_installed_command_is_this_one():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, _, function = project["scripts"]["lgtm"].partition(":")
    assert f"from {module} import {function}; {function}()" == ENTRY
    assert "--no-deps --editable ." in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize("arguments", [[], *([command] for command in COMMANDS)])
def test_help_is_plain_and_quick_and_there_everywhere(tmp_path, arguments):
    done = lgtm(tmp_path, *arguments, "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage:" in done.stdout
    assert "\x1b" not in done.stdout
    program = f"import sys; sys.argv[1:] = {[*arguments, '--help']}\n"
    program += "try:\n    from lgtm.cli.app import main\n    main()\n"
    program += "except SystemExit:\n    print(*sys.modules, file=sys.stderr)"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    loaded = ran.stderr.split()
    assert "typer" in loaded
    assert not HEAVY & set(loaded)


def test_a_mistake_is_one_line(tmp_path):
    done = lgtm(tmp_path, "check")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: {tmp_path}: no dvc.yaml here; run it in the project's folder\n"


def test_the_copy_of_an_experiment_runs_its_own_code(tmp_path):
    own = tmp_path / "src/lgtm/cli"
    own.mkdir(parents=True)
    for package in (own, own.parent):
        (package / "__init__.py").write_text("")
    (own / "__main__.py").write_text("import sys; print('own', *sys.argv[1:])")
    assert lgtm(tmp_path, "check", "-S", "task=x").stdout == "own check -S task=x\n"
