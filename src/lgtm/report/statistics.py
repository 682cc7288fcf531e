"""Intervals over seeds, differences paired by seed, and tests of them."""

import math
from typing import TypedDict

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

SIGNIFICANCE = 0.05  # two-sided
POWER = 0.8
FEWEST_SEEDS = 3  # that a verdict may rest on


class Interval(TypedDict):
    """A mean over n seeds with its 95 % interval; no interval (None) from a single seed."""

    mean: float
    low: float | None
    high: float | None
    n: int


def interval(values: ArrayLike) -> Interval:
    """Mean of n values, one per seed, with its 95 % Student-t interval."""
    values = np.asarray(values, dtype=np.float64)
    mean, n = float(values.mean()), len(values)
    if n == 1:
        return {"mean": mean, "low": None, "high": None, "n": n}
    # Not stats.t.interval: it gives NaN where all values are equal.
    half_width = float(stats.t.ppf(0.975, n - 1) * stats.sem(values))
    return {"mean": mean, "low": mean - half_width, "high": mean + half_width, "n": n}


def paired_difference(a: pd.Series, b: pd.Series) -> Interval:
    """Interval of a − b, paired by seed (the index of both, in any order). Raises ValueError when the seeds differ."""
    if sorted(a.index) != sorted(b.index):
        raise ValueError(f"not paired: seeds {sorted(a.index)} against {sorted(b.index)}")
    return interval(a - b)


def crossed_test(differences: pd.Series) -> tuple[Interval, float]:
    """Mean of paired differences with its 95 % interval over seeds and examples together, and the p of a zero mean.

    differences: by (seed, example), every example in every seed, two seeds at least. The standard error is clustered
    by seed, by example, and by both (Cameron, Gelbach & Miller 2011), each with Student's t for one degree of freedom
    less than its fewest clusters. The widest counts: with few seeds, the first comes out near zero by chance, and the
    last even below. Raises ValueError when an example is missing in a seed.
    """
    table = differences.unstack().to_numpy(dtype=np.float64)
    if np.isnan(table).any():
        raise ValueError("not crossed: an example is missing in a seed")
    seed, example = np.indices(table.shape).reshape(2, -1)
    values = table.ravel()
    fits = [
        OLS(values, np.ones_like(values)).fit(cov_type="cluster", cov_kwds={"groups": groups}, use_t=True)
        for groups in (seed, example, np.column_stack([seed, example]))
    ]
    with np.errstate(divide="ignore", invalid="ignore"):
        # No p where the variance is below zero, or zero as the mean.
        found = [(float(fit.pvalues[0]), fit.conf_int()[0].tolist()) for fit in fits]
    mean, n = float(values.mean()), len(table)
    p, (low, high) = max((one for one in found if not math.isnan(one[0])), default=(1.0, [mean, mean]))
    return {"mean": mean, "low": low, "high": high, "n": n}, p


def holm(p: list[float]) -> list[float]:
    """p values corrected for their number (Holm 1979), in their order."""
    return multipletests(p, SIGNIFICANCE, "holm")[1].tolist()


def smallest_shown(differences: ArrayLike) -> float:
    """The true difference that a paired t-test over n seeds, one comparison alone, shows with a power of 80 %.

    differences: one per seed, of which only the standard deviation counts.
    """
    return float(np.std(differences, ddof=1)) * _effect_shown(len(differences))


def seeds_for_half(n: int) -> int:
    """How many seeds show half of the smallest difference that n seeds show, whatever its standard deviation."""
    return math.ceil(TTestPower().solve_power(_effect_shown(n) / 2, alpha=SIGNIFICANCE, power=POWER))


def _effect_shown(n: int) -> float:
    """In standard deviations between seeds."""
    return float(TTestPower().solve_power(nobs=n, alpha=SIGNIFICANCE, power=POWER))
