"""The benchmarks' own code, at a tiny size: what they report, never how long it took."""

import importlib.util
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def influence():
    # By its file, since the stage of the same name is on the path, and neighbours are looked for after the stages.
    sys.path.append(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("influence_benchmark", BENCHMARKS / "influence.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def rows(influence):
    return {row["name"]: row for row in influence.measure(samples=20, peer_samples=6, rounds=1)}


def test_every_way_has_its_cost_and_its_error_against_the_autograd_loop(influence, rows):
    assert {*influence.OURS, influence.LOOP} <= set(rows)
    assert all(set(row) == {"name", "passes", "error"} and row["passes"] > 0 for row in rows.values())
    for name, (_, method) in influence.OURS.items():
        assert rows[name]["error"] < (1e-5 if method == "forward" else 1e-3)


def test_captum_agrees_with_the_loop(rows):
    pytest.importorskip("captum")
    assert rows["captum TracInCP"]["error"] < 1e-5


def test_a_peer_that_is_not_installed_is_said_in_one_line(influence, capsys):
    assert influence.missing("no_such_library")
    assert capsys.readouterr().out.count("\n") == 1
