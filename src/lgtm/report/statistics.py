"""Intervals over seeds, differences paired by seed, and tests of them."""

import math
from typing import TypedDict

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import stdtrit
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

SIGNIFICANCE = 0.05  # two-sided
POWER = 0.8
FEWEST_SEEDS = 3  # that a verdict may rest on
Range = tuple[float, float]
SHARE: Range = (0.0, 1.0)
CORRELATION: Range = (-1.0, 1.0)
ROUNDING = 1e-9


class Interval(TypedDict):
    """A mean over n seeds with its 95 % interval; no interval (None) from a single seed."""

    mean: float
    low: float | None
    high: float | None
    n: int


def interval(values: ArrayLike, within: Range | None = None) -> Interval:
    """Mean of n values, one per seed, with its 95 % Student-t interval.

    within: the range that the values cannot leave, if there is one. Nor does their interval: it is Student's on the
    scale asin √x, x the place in the range from 0 to 1, about the plain mean. Raises ValueError for a value outside.
    """
    values = np.asarray(values, dtype=np.float64)
    mean, n = float(values.mean()), len(values)
    if n == 1:
        return {"mean": mean, "low": None, "high": None, "n": n}
    if within is None:
        low, high = _student(mean, values)
    else:
        # About the angle of the mean, not the mean of the angles: where values crowd at an end that one is biased, and
        # covers the less the more seeds there are.
        low, high = _place(_student(_angle(mean, within), _angle(values, within)), within)
    return {"mean": mean, "low": min(float(low), mean), "high": max(float(high), mean), "n": n}


def _student(centre: ArrayLike, values: np.ndarray) -> np.ndarray:
    # Not scipy's t.interval: it gives NaN where all values are equal.
    n = len(values)
    return centre + stdtrit(n - 1, [0.025, 0.975]) * values.std(ddof=1) / np.sqrt(n)


def _angle(values: ArrayLike, within: Range) -> np.ndarray:
    """The angular scale, from 0 to π / 2, on which a share varies as much near its ends as in the middle."""
    low, high = within
    share = (np.asarray(values) - low) / (high - low)
    if np.any((share < -ROUNDING) | (share > 1 + ROUNDING)):
        raise ValueError(f"not within {low:g} and {high:g}: {values}")
    return np.arcsin(np.sqrt(share.clip(0, 1)))


def _place(angle: np.ndarray, within: Range) -> np.ndarray:
    low, high = within
    return low + (high - low) * np.sin(angle.clip(0, np.pi / 2)) ** 2


def exceeds(value: Interval, floor: float) -> bool:
    """Whether a value is above a floor by its whole interval; the value itself where one seed gives no interval."""
    return (value["mean"] if value["low"] is None else value["low"]) > floor


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
