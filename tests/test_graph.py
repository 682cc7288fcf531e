"""dvc.yaml against the code: every stage depends on the rooms it uses, and on no others; no import runs back up."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from lgtm.config import read_yaml
from lgtm.params import Params

ROOT = Path(__file__).parents[1]
STAGES = read_yaml(ROOT / "dvc.yaml")["stages"]
# They check input, or start, stop, go on and write, and cannot change a result: no schema has a default, and what they
# raise ends the run.
CHECKED = (
    "config", "demands", "environment", "errors", "handover", "inputs", "params", "premises", "processes", "resume",
    "seconds", "stage", "states", "values",
)  # fmt: skip
CHECKS = {f"src/lgtm/{name}.py" for name in CHECKED}
# What each room may import besides itself.
FLOORS = {
    "errors": set(),
    "environment": set(),
    "git": set(),
    "values": set(),
    "inputs": set(),
    "config": {"errors", "inputs"},
    "data": {"errors", "config", "inputs"},
    "networks": {"errors", "config", "resume", "states", "values"},
    "influence": {"errors", "networks"},
    "arms": {"errors", "config", "networks", "influence", "states", "values"},
    "report": {"errors", "inputs", "networks"},
    "params": {"config", "arms", "values"},
    "demands": {"errors", "data", "networks", "params"},
    "handover": {"config", "errors"},
    "checks": {
        "errors",
        "config",
        "data",
        "demands",
        "handover",
        "influence",
        "networks",
        "params",
        "processes",
        "report",
    },
    "compare": {"config", "errors", "git", "handover", "report"},
    "recipe": {"config", "errors", "params"},
    "processes": {"errors"},
    "premises": {"config", "inputs"},
    "states": {"inputs"},
    "resume": {"premises", "processes", "states"},
    "seconds": {"handover", "inputs", "processes", "resume"},
    "stage": {"environment", "errors", "inputs", "processes", "resume"},
    "runner": {"environment", "errors", "checks", "config", "demands", "handover", "inputs", "params", "processes"},
    "newtask": {"checks", "data", "demands", "errors", "handover", "networks", "params", "values"},
    "shipping": {"errors", "config", "data", "git", "handover", "networks", "report"},
    "trace": {"data", "errors", "git", "handover", "networks", "runner"},
    "cli": {"checks", "compare", "config", "data", "errors", "handover", "newtask", "params", "runner", "shipping"}
    | {"environment", "trace"},
}
ROOMS = {"data", "networks", "influence", "arms", "report"}


def imported(path: Path) -> set[Path]:
    """The project's own modules that a module imports anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            parts = name.split(".")
            for base in (ROOT, ROOT / "src"):
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
        if name in CHECKS or name in seen or module.name == "__init__.py":
            continue
        seen.add(name)
        todo.extend(imported(module))
    return seen


def as_declared(modules: set[str]) -> set[str]:
    """Modules as dvc.yaml names them: a room of src/lgtm whole, everything else file by file."""
    room = re.compile(r"src/lgtm/(arms/shared|(?!arms/)\w+)/")
    return {found[0].rstrip("/") if (found := room.match(name)) else name for name in modules}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_code_it_uses(stage):
    declared = {dep for dep in STAGES[stage]["deps"] if dep.endswith(".py") or dep.startswith("src/")}
    if stage == "report":  # what a reader is told of an arm is its module's first line
        declared.remove("src/lgtm/arms")
    used = reached(ROOT / "stages" / f"{stage}.py")
    if stage in ("teacher_tailored", "distill", "rounds"):
        for arm in (ROOT / "src/lgtm/arms").glob("[!_]*.py"):
            used |= reached(arm) - {str(arm.relative_to(ROOT))}
        used.add("src/lgtm/arms/${item.arm}.py")
    assert declared == {name for name in as_declared(used)}


def test_who_uses_the_scored_loss_depends_on_all_that_it_is_made_of():
    asking = {f"stages/{path.name}" for path in (ROOT / "stages").glob("*.py") if ".scored_loss" in path.read_text()}
    using = {stage for stage in STAGES if asking & reached(ROOT / "stages" / f"{stage}.py")}
    assert using == {"influence", "validation", "teacher_tailored", "rounds"}
    for stage in using:
        declared = {param for param in STAGES[stage]["params"] if isinstance(param, str)}
        for section in ("influence", "distill"):
            for name in ("temperature", "hard_label_weight"):
                assert {section, f"{section}.{name}"} & declared, (stage, section, name)


def test_what_marks_a_package_holds_no_code():
    """So no stage has to depend on it."""
    for path in [*(ROOT / "src").rglob("__init__.py"), ROOT / "stages/__init__.py"]:
        (docstring,) = ast.parse(path.read_text()).body
        assert isinstance(docstring.value, ast.Constant), path


def test_no_import_runs_back_up():
    for path in (ROOT / "src/lgtm").rglob("*.py"):
        own = path.relative_to(ROOT / "src/lgtm").parts[0].removesuffix(".py")
        if own == "__init__":
            continue
        for module in imported(path):
            assert module.is_relative_to(ROOT / "src"), f"{path} imports {module}"
            room = module.relative_to(ROOT / "src/lgtm").parts[0].removesuffix(".py")
            assert room in FLOORS[own] | {own, "__init__"}, f"{path} imports {module}"
    folders = {path.name for path in (ROOT / "src/lgtm").iterdir() if path.is_dir()} - {"__pycache__"}
    assert folders == ROOMS | {"checks", "cli", "compare", "newtask", "runner", "shipping", "trace"}  # no stage's


def test_no_two_modules_import_each_other():
    modules = [*(ROOT / "src").rglob("[!_]*.py"), *(ROOT / "stages").glob("[!_]*.py")]
    TopologicalSorter({module: imported(module) for module in modules}).prepare()


def test_script_is_stage_is_section():
    helpers = {"artifacts", "gathered", "lesson", "network", "opinions", "shown", "teachers", "traced"}
    scripts = {path.stem for path in (ROOT / "stages").glob("[!_]*.py")} - helpers
    assert scripts == set(STAGES)
    # There is nothing to set about gathering scores, and the test is read in one way.
    assert set(STAGES) - set(Params.model_fields) == {"selection", "evaluate_warmup", "evaluate_rounds", "ship"}
    for stage, definition in STAGES.items():
        assert definition["cmd"].startswith(f"${{run}} {stage}")
        sections = {param.split(".")[0] for param in definition["params"] if isinstance(param, str)}
        assert {stage, stage.split("_")[0]} & sections or {"params.yaml": None} in definition["params"]


def test_only_evaluate_depends_on_the_test_role():
    """And on the whole of work/data no stage does. tests/test_alone.py shows that they need no more."""
    for name, stage in STAGES.items():
        data = {Path(dep).name for dep in stage["deps"] if Path(dep).parts[:2] == ("work", "data")}
        assert "data" not in data
        read = {"evaluate": {"test.parquet", "leaderboard"}, "evaluate_warmup": {"test.parquet"}}
        read["evaluate_rounds"] = read["evaluate_warmup"]
        assert {"test.parquet", "leaderboard"} & data == read.get(name, set())


def test_only_evaluate_reads_the_test_role():
    """What evaluate_warmup and evaluate_rounds know of it is evaluate's own `Measured`."""
    for path in (ROOT / "stages").glob("*.py"):
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        roles = {argument.value for call in calls for argument in call.args if isinstance(argument, ast.Constant)}
        assert ("test" in roles) == (path.stem == "evaluate"), path


def test_every_file_fits_in_the_head():
    for path in [*(ROOT / "src").rglob("*.py"), *(ROOT / "stages").glob("*.py")]:
        assert len(path.read_text().splitlines()) <= 300, path
    assert len((ROOT / "dvc.yaml").read_text().splitlines()) <= 210
