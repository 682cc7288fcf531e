"""Intervals over seeds, differences paired by seed, and how well a score separates two groups."""

from typing import TypedDict

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats


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


def separation(scores: pd.Series, flagged: pd.Series) -> float:
    """Area under the ROC curve with which a low score finds the flagged rows (booleans): 0.5 is chance, 1 perfect."""
    low, high = scores[flagged], scores[~flagged]
    return float(stats.mannwhitneyu(high, low).statistic / (len(low) * len(high)))
