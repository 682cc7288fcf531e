"""A project of DVC whose stages are commands of a line, run and ready to be copied."""

import os
import subprocess
import sys
from pathlib import Path

import yaml
from tiny_project import ROOT

PATHS = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "src")}


def shell(command: str, folder: Path | None = None) -> str:
    done = subprocess.run(command, shell=True, cwd=folder, env=PATHS, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def make(folder: Path, graph: dict, files: dict[str, str]) -> Path:
    """Write the files and dvc.yaml into a new folder, and run all of it."""
    for path, content in (files | {"dvc.yaml": yaml.safe_dump(graph, sort_keys=False)}).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    shell("git init -q && dvc init -q && dvc config core.analytics false && dvc repro -q && git add -A", folder)
    return folder
