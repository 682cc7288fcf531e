"""What a new machine is told before anything is fetched."""

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


@pytest.fixture
def unpacked(tmp_path):
    """A copy of the project without its repository, as from a ZIP."""
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    return tmp_path


def error_of(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["make", "repro", *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode != 0
    assert not (folder / ".venv").exists()
    return done.stderr


def test_a_folder_without_git_is_told_before_the_install(unpacked):
    assert error_of(unpacked).startswith("error: this folder is not a git repository, which DVC needs: git clone")


def test_an_old_python_is_told_before_the_install(unpacked):
    subprocess.run(["git", "init", "--quiet"], cwd=unpacked, check=True)
    assert error_of(unpacked, "PYTHON=false").startswith(
        "error: false is older than 3.11; name a newer one: make PYTHON"
    )


def test_the_lock_holds_what_the_project_asks_for():
    lock = {}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        if "==" in line and not line.startswith("#"):
            name, version = line.split("==")
            lock[canonicalize_name(name)] = version
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for line in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        asked = Requirement(line)
        assert asked.specifier.contains(lock[canonicalize_name(asked.name)]), line
