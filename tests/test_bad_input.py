"""Whatever is wrong in what a user gives or a stage finds: one clear line, a failure, and nothing is overwritten.

The tables are in tests/bad. Each case is a stage that is run in a fork of this process, in a copy of a workspace in
which every cell has run, with one thing spoilt; whoever asks on standard input is told yes.
"""

import gc
import importlib
import shutil
import tempfile
from pathlib import Path

import pytest
from bad import artifacts, bench, models, places, settings, tables
from bad.bench import Case

KINDS = {"settings": settings, "tables": tables, "models": models, "artifacts": artifacts, "places": places}
CASES = {f"{kind}: {case.name}": case for kind, module in KINDS.items() for case in module.CASES}
# Imported where they are used: here once, for all forks.
LATE = ("dvclive", "lgtm.networks.trial", "lgtm.runner.__main__", "lgtm.runner.graph", "lgtm.recipe")


@pytest.fixture(scope="module")
def whole() -> Path:
    """The workspace in which all is well."""
    for module in [*(f"stages.{path.stem}" for path in (bench.ROOT / "stages").glob("[!_]*.py")), *LATE]:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # what is there is shared with the forks as long as nobody looks for garbage in it
    with tempfile.TemporaryDirectory() as folder:  # not pytest's own, which no other user may enter
        Path(folder).chmod(0o755)
        bench.set_up(Path(folder) / "whole")
        yield Path(folder) / "whole"
    gc.unfreeze()


def copied(whole: Path, case: Case) -> Path:
    """A copy of the workspace; for prepare without what the other stages wrote."""
    folder, others = whole.parent / "case", ("runs", "evaluation", "validation", "figures")
    shutil.rmtree(folder, ignore_errors=True)
    return shutil.copytree(
        whole, folder, symlinks=True, ignore=shutil.ignore_patterns(*others) if case.run == "prepare" else None
    )


def test_there_are_cases_of_every_kind():
    assert len(CASES) == sum(len(module.CASES) for module in KINDS.values()), "two of one name"
    assert {kind: len(module.CASES) >= 35 for kind, module in KINDS.items()} == dict.fromkeys(KINDS, True)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_bad_input_is_one_line_and_nothing_is_overwritten(whole, case: Case):
    workspace = copied(whole, case)
    bench.spoil(workspace, case)
    before = bench.digests(workspace, case)
    error = bench.run(workspace, case.run, case.inside).error
    assert [part for part in case.says if part not in error] == [], error
    assert len(error) < 700, "one line that can be read"
    assert error.isprintable()
    assert bench.digests(workspace, case) == before


def test_the_workspace_that_the_cases_spoil_is_well(whole):
    """Otherwise every case would be an error of the workspace's own."""
    untouched = Case("untouched", ())
    workspace = copied(whole, untouched)
    before = bench.digests(workspace, untouched)
    assert bench.run(workspace, "prepare").status == 0
    assert bench.digests(workspace, untouched) == before
