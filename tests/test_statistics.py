"""Intervals, paired differences and tests against scipy, sums of squares, simulation, and by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lgtm.report.names import range_of
from lgtm.report.statistics import (
    CORRELATION,
    SHARE,
    crossed_test,
    exceeds,
    holm,
    interval,
    paired_difference,
    seeds_for_half,
    smallest_shown,
)


def test_interval_is_the_one_of_the_t_test():
    values = [0.70, 0.74, 0.71, 0.77]
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    found = interval(values)
    assert found == {
        "mean": pytest.approx(0.73),
        "low": pytest.approx(expected.low),
        "high": pytest.approx(expected.high),
        "n": 4,
    }


def test_three_seeds_by_hand():
    # t(0.975, 2) = 4.3027; the standard error of 1, 2, 3 is 1 / √3.
    assert interval([1, 2, 3])["high"] == pytest.approx(2 + 4.3027 / np.sqrt(3), abs=1e-4)


def test_one_seed_has_no_interval():
    assert interval([0.5]) == {"mean": 0.5, "low": None, "high": None, "n": 1}


def test_above_a_floor_is_the_whole_interval_or_a_single_seed():
    several, alone = interval([0.70, 0.74, 0.71, 0.77]), interval([0.7])
    assert exceeds(several, several["low"] - 0.001)
    assert not exceeds(several, several["low"])
    assert exceeds(alone, 0.699)
    assert not exceeds(alone, 0.7)


def test_no_variance_is_a_point():
    assert interval([0.5, 0.5, 0.5]) == {"mean": 0.5, "low": 0.5, "high": 0.5, "n": 3}


def test_the_interval_covers_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(size=(4000, 3))
    covered = [i["low"] < 0 < i["high"] for i in map(interval, draws)]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)


def test_the_interval_of_a_share_by_hand():
    # The angles of 0.25, 0.5 and 0.75 are π/6, π/4 and π/3, with a standard error of π/12 / √3.
    half_width = 4.302653 * np.pi / 12 / np.sqrt(3)
    found = interval([0.25, 0.75, 0.5], SHARE)
    assert found["mean"] == 0.5
    assert found["low"] == pytest.approx(np.sin(np.pi / 4 - half_width) ** 2)
    assert found["high"] == pytest.approx(np.sin(np.pi / 4 + half_width) ** 2)
    twice = interval([-0.5, 0.5, 0.0], CORRELATION)
    assert [twice["low"], twice["high"]] == pytest.approx([2 * found[end] - 1 for end in ("low", "high")])


def test_far_from_its_ends_a_share_has_the_interval_of_the_t_test():
    values = [0.500, 0.501, 0.503, 0.498]
    assert interval(values, SHARE) == pytest.approx(interval(values), abs=1e-5)


@pytest.mark.parametrize("within", [SHARE, CORRELATION])
def test_no_interval_leaves_its_range_or_its_mean(within):
    random = np.random.default_rng(0)
    low, high = within
    draws = [random.beta(a, b, size=n) for a, b in ((50, 0.5), (0.1, 2), (0.2, 0.2)) for n in (2, 3, 5, 30) * 20]
    ends = [np.array(values) for values in ([1, 1, 0], [0, 0, 1], [1, 1], [0, 0, 0], [0, 1], [0.99, 1, 1], [0.7] * 3)]
    for values in draws + ends:
        found = interval(low + (high - low) * values, within)
        assert low <= found["low"] <= found["mean"] <= found["high"] <= high
        assert found["mean"] == pytest.approx(low + (high - low) * values.mean())
        if values.std() < 1e-12:
            assert found["high"] - found["low"] < 1e-9
    assert interval([1.0], within) == {"mean": 1.0, "low": None, "high": None, "n": 1}


@pytest.mark.parametrize(("value", "within"), [(1.01, SHARE), (-0.01, SHARE), (74.0, SHARE), (-1.1, CORRELATION)])
def test_a_value_out_of_its_range_is_refused(value, within):
    with pytest.raises(ValueError, match="not within"):
        interval([0.5, value], within)


@pytest.mark.parametrize("seeds", [3, 5, 20])
@pytest.mark.parametrize(("a", "b"), [(90, 10), (200, 2), (19, 1), (1, 9)])
def test_the_interval_of_a_share_covers_as_often_as_the_plain_one_or_more(a, b, seeds):
    """Near an end no interval of three seeds covers 95 %. About the mean angle it would cover less with more seeds."""
    draws = np.random.default_rng(0).beta(a, b, size=(1000, seeds))
    covered = {
        within: np.mean([i["low"] <= a / (a + b) <= i["high"] for i in (interval(row, within) for row in draws)])
        for within in (SHARE, None)
    }
    assert covered[SHARE] > max(0.91, covered[None] - 0.01)


@pytest.mark.parametrize(
    ("metric", "within"),
    [
        *((name, SHARE) for name in ("accuracy", "f1", "macro_f1", "ece", "agreement", "auc", "average_precision")),
        ("matthews", CORRELATION),
        ("nll", None),
        ("parameters", None),
        ("megabytes", None),
    ],
)
def test_the_range_of_a_metric(metric, within):
    assert range_of(metric) == range_of(f"{metric}_mismatched") == within


def test_differences_are_paired_by_seed_not_by_position():
    a = pd.Series({1: 0.71, 2: 0.81, 3: 0.91})
    b = pd.Series({3: 0.90, 1: 0.70, 2: 0.80})
    found = paired_difference(a, b)
    assert found["mean"] == pytest.approx(0.01)
    assert found["high"] - found["low"] < 1e-9


@pytest.mark.parametrize("seeds", [[1, 2], [1, 2, 4], [1, 2, 3, 4]])
def test_seeds_that_do_not_match_are_refused(seeds):
    with pytest.raises(ValueError, match="not paired"):
        paired_difference(pd.Series([0.1, 0.2, 0.3], index=[1, 2, 3]), pd.Series(0.1, index=seeds))


def crossed(table):
    """A seeds × examples array as crossed_test takes it."""
    return pd.DataFrame(table).rename_axis(index="seed", columns="sample_id").stack()


def students(random, seeds, examples, accuracy, by_seed, by_example, noise, effect=0.0):
    """Differences of correctness of two arms that find the same examples hard, seeds × examples.

    An arm differs by seed, by example, and by both. An effect lifts the first arm; all on the scale of a probit.
    """
    hard = 1.5 * random.normal(size=examples)
    scale = np.sqrt(1.5**2 + by_seed**2 + by_example**2 + noise**2)

    def right(lift):
        own = by_seed * random.normal(size=(seeds, 1)) + by_example * random.normal(size=examples)
        return (hard + own + noise * random.normal(size=(seeds, examples))) / scale + lift > stats.norm.isf(accuracy)

    return right(effect).astype(float) - right(0)


def by_sums_of_squares(table):
    """The three standard errors of crossed_test from the margins of a balanced table."""
    rows, columns, cells = table.mean(axis=1), table.mean(axis=0), table.ravel()
    seed, example, each = (stats.sem(values) ** 2 for values in (rows, columns, cells))
    return [(seed, len(rows) - 1), (example, len(columns) - 1), (seed + example - each, len(rows) - 1)]


@pytest.mark.parametrize("sources", [(0.3, 0.1, 0.5), (0.0, 1.0, 0.3), (0.0, 0.0, 1.0)])
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_crossed_test_is_the_widest_of_three(seeds, sources):
    table = students(np.random.default_rng(0), seeds, 200, 0.8, *sources, effect=0.1)
    found, p = crossed_test(crossed(table))
    mean = table.mean()
    errors = [(np.sqrt(square), df) for square, df in by_sums_of_squares(table) if square > 0]
    expected, (error, df) = max((2 * stats.t.sf(abs(mean) / error, df), (error, df)) for error, df in errors)
    assert p == pytest.approx(expected)
    assert found["mean"] == pytest.approx(mean)
    assert found["n"] == seeds
    assert found["high"] - found["mean"] == pytest.approx(stats.t.ppf(0.975, df) * error)
    assert found["mean"] - found["low"] == pytest.approx(stats.t.ppf(0.975, df) * error)


def test_equal_gains_of_few_examples_are_no_proof():
    """Each seed gets one more right, another one each: no variance between seeds, and still nothing shown."""
    table = np.zeros((3, 300))
    table[[0, 1, 2], [5, 6, 7]] = 1
    assert interval(table.mean(axis=1))["low"] > 0
    found, p = crossed_test(crossed(table))
    assert p > 0.05
    assert found["low"] < 0 < found["high"]


def test_no_difference_at_all_is_no_proof():
    assert crossed_test(crossed(np.zeros((3, 50)))) == ({"mean": 0.0, "low": 0.0, "high": 0.0, "n": 3}, 1.0)


def test_the_crossed_test_needs_every_example_in_every_seed():
    with pytest.raises(ValueError, match="an example is missing"):
        crossed_test(crossed(np.zeros((3, 50))).iloc[:-1])


NULLS = [  # accuracy, by seed, by example, noise
    (0.97, 0.0, 0.0, 0.5),
    (0.8, 0.2, 0.0, 1.0),
    (0.8, 0.05, 0.3, 0.7),
    (0.8, 0.0, 1.0, 0.1),
]


@pytest.mark.parametrize("null", NULLS)
@pytest.mark.parametrize("seeds", [3, 5])
def test_without_an_effect_the_crossed_test_seldom_finds_one(seeds, null):
    random = np.random.default_rng(0)
    p = np.array([crossed_test(crossed(students(random, seeds, 150, *null)))[1] for _ in range(250)])
    assert np.mean(p < 0.05) <= 0.08
    assert np.mean(p < 0.01) <= 0.02  # a correction for several comparisons lives on this end


def test_seeds_alone_find_effects_that_are_of_the_test_rows():
    """Why the test is crossed: arms that differ only in which examples suit them, on one choice of examples."""
    random = np.random.default_rng(0)
    found = [interval(students(random, 5, 150, 0.8, 0.0, 1.0, 0.1).mean(axis=1)) for _ in range(250)]
    assert np.mean([not i["low"] <= 0 <= i["high"] for i in found]) > 0.5


def test_a_real_effect_is_found():
    random = np.random.default_rng(0)
    tables = [students(random, 5, 500, 0.8, 0.05, 0.3, 0.7, effect=0.2) for _ in range(50)]
    assert np.mean([crossed_test(crossed(table))[1] < 0.05 for table in tables]) > 0.9


def test_holm_is_holm():
    assert holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert holm([0.03]) == [0.03]


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_the_smallest_difference_is_shown_four_times_in_five(seeds):
    random = np.random.default_rng(0)
    values = random.normal(size=seeds)
    values /= values.std(ddof=1)
    smallest = smallest_shown(0.02 * values) / 0.02
    for effect, n in ((smallest, seeds), (smallest / 2, seeds_for_half(seeds))):
        power = np.mean(stats.ttest_1samp(effect + random.normal(size=(4000, n)), 0, axis=1).pvalue < 0.05)
        # The number of seeds is rounded up.
        assert 0.78 < power < (0.82 if n == seeds else 0.9)
