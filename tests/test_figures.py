"""The commands in the pages still exist: every setting, benchmark and make target that they name."""

import re
from pathlib import Path

import pytest

from benchmarks import workspace
from lgtm.config import read_yaml

ROOT = Path(__file__).parents[1]
# docs/log.md is a diary: its commands are of their day.
PAGES = [ROOT / "README.md", *sorted(path for path in (ROOT / "docs").glob("*.md") if path.name != "log.md")]


def found(pattern: str, page: Path) -> set[str]:
    return set(re.findall(pattern, page.read_text()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_of_a_command_exists(page):
    for key in found(r"-S '?([\w.]+)=", page):
        workspace.put(read_yaml(ROOT / "params.yaml"), key, None)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_benchmark_and_make_target_of_a_command_exists(page):
    for name in found(r"-m benchmarks\.(\w+)", page):
        assert (ROOT / "benchmarks" / f"{name}.py").is_file(), name
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert found(r"\bmake (repro|test|tune|compare|timings|recipe|lint)\b", page) <= targets


def test_every_benchmark_stands_in_the_list_of_figures():
    listed = found(r"benchmarks\.(\w+)", ROOT / "docs/figures.md")
    helpers = {"__init__", "baselines", "peers"}
    assert listed >= {path.stem for path in (ROOT / "benchmarks").glob("*.py")} - helpers
