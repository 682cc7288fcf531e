"""Intervals and paired differences against scipy's own test and by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from lgtm.statistics import interval, paired_difference, separation


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


def test_no_variance_is_a_point():
    assert interval([0.5, 0.5, 0.5]) == {"mean": 0.5, "low": 0.5, "high": 0.5, "n": 3}


def test_the_interval_covers_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(size=(4000, 3))
    covered = [i["low"] < 0 < i["high"] for i in map(interval, draws)]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)


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


def test_separation_is_the_area_under_the_roc_curve():
    random = np.random.default_rng(0)
    flagged = pd.Series(random.random(300) < 0.2)
    scores = pd.Series(random.normal(size=300) - flagged).round(1)  # ties
    assert separation(scores, flagged) == pytest.approx(roc_auc_score(flagged, -scores))
    assert separation(-flagged.astype(float), flagged) == 1.0
