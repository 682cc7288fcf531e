"""The benchmarks' own code, at a tiny size: what they report, never how long it took."""

import pytest

from benchmarks import influence


@pytest.fixture(scope="module")
def rows():
    return {row["name"]: row for row in influence.measure(samples=20, peer_samples=6, rounds=1)}


def test_every_way_has_its_cost_and_its_error_against_the_autograd_loop(rows):
    assert {*influence.OURS, influence.LOOP} <= set(rows)
    assert all(set(row) == {"name", "passes", "error"} and row["passes"] > 0 for row in rows.values())
    for name, (_, method) in influence.OURS.items():
        assert rows[name]["error"] < (1e-5 if method == "forward" else 1e-3)


def test_captum_agrees_with_the_loop(rows):
    pytest.importorskip("captum")
    assert rows["captum TracInCP"]["error"] < 1e-5


def test_a_peer_that_is_not_installed_is_said_in_one_line(capsys):
    assert influence.missing("no_such_library")
    assert capsys.readouterr().out.count("\n") == 1
