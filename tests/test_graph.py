"""dvc.yaml against the code: every stage depends on the modules it imports, and on no others."""

import ast
import json
import re
from pathlib import Path

import pytest

from lgtm.config import read_yaml
from lgtm.params import Params

ROOT = Path(__file__).parents[1]
STAGES = read_yaml(ROOT / "dvc.yaml")["stages"]
# They check input and cannot change a result: no schema has a default, and what they raise ends the run.
CHECKS = {f"src/lgtm/{name}.py" for name in ("config", "errors", "pairs", "params", "stage", "arms/__init__")}


def imported(path: Path) -> set[Path]:
    """The project's own modules that a module imports anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module]
        else:
            continue
        for name in names:
            parts = name.split(".")
            for base in (ROOT / "stages", ROOT / "src"):
                for candidate in (base.joinpath(*parts).with_suffix(".py"), base.joinpath(*parts, "__init__.py")):
                    if candidate.is_file():
                        found.add(candidate)
    return found


def reached(path: Path) -> set[str]:
    """The module and all that it imports, directly or not, as paths from the root; the checks are not entered."""
    seen, todo = set(), [path]
    while todo:
        module = todo.pop()
        name = str(module.relative_to(ROOT))
        if name in CHECKS or name in seen or name == "src/lgtm/__init__.py":
            continue
        seen.add(name)
        todo.extend(imported(module))
    return seen


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_code_it_uses(stage):
    declared = {dep for dep in STAGES[stage]["deps"] if dep.endswith(".py")}
    per_arm = set()
    if stage in ("teacher_tailored", "distill", "rounds"):
        per_arm = {"src/lgtm/arms/${item.arm}.py"}
        for arm in (ROOT / "src/lgtm/arms").glob("[!_]*.py"):
            per_arm |= reached(arm) - {str(arm.relative_to(ROOT))}
    assert declared == reached(ROOT / "stages" / f"{stage}.py") | per_arm


def test_script_is_stage_is_section():
    scripts = {path.stem for path in (ROOT / "stages").glob("*.py")} - {"artifacts", "gathered", "network"}
    assert scripts == set(STAGES)
    # There is nothing to set about gathering scores.
    assert set(STAGES) - set(Params.model_fields) == {"selection"}
    for stage, definition in STAGES.items():
        assert definition["cmd"].startswith(f"${{run}} {stage}")
        sections = {param.split(".")[0] for param in definition["params"] if isinstance(param, str)}
        assert stage in sections | {"selection"}


def test_only_evaluate_depends_on_the_test_role():
    """And on the whole of work/data no stage does. tests/test_alone.py shows that they need no more."""
    for name, stage in STAGES.items():
        data = {Path(dep).name for dep in stage["deps"] if Path(dep).parts[:2] == ("work", "data")}
        assert "data" not in data
        assert {"test.parquet", "leaderboard"} & data == (
            {"test.parquet", "leaderboard"} if name == "evaluate" else set()
        )


def test_only_evaluate_reads_the_test_role():
    for path in (ROOT / "stages").glob("*.py"):
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        roles = {argument.value for call in calls for argument in call.args if isinstance(argument, ast.Constant)}
        assert ("test" in roles) == (path.stem == "evaluate"), path


def test_make_tune_shows_selection_and_no_figure_of_the_test():
    recipe = re.search(r"^tune:.*\n\t.*--drop '(.*)'", (ROOT / "Makefile").read_text(), re.MULTILINE)
    dropped = re.compile(recipe[1].replace("$$", "$"))
    assert all(dropped.match(column) for column in json.loads((ROOT / "reports/summary.json").read_text()))
    for column in ("Experiment", "selection.kd", "distill.temperature", "teacher_tailored.tailored.lambda"):
        assert not dropped.match(column)
