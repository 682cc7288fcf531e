"""The rule by which one arm is better than another, and the sentence that says so."""

import pandas as pd

from lgtm.report.names import WARMUP, Metrics
from lgtm.report.statistics import (
    FEWEST_SEEDS,
    SIGNIFICANCE,
    Interval,
    crossed_test,
    holm,
    seeds_for_half,
    smallest_shown,
)
from lgtm.report.text import show_p, show_points

BASELINES = ("kd", "control", "pooled")
BETTER, WORSE, EVEN = "better", "worse", "not distinguishable"
TOO_FEW, MIXED = "too few seeds for a verdict", "cells of different environments"


def pairs(arms: list[str]) -> list[tuple[str, str]]:
    """The comparisons (a, b), to be read a − b: every arm against every baseline there is, each pair once."""
    baselines = [b for b in BASELINES if b in arms]
    return [(a, b) for i, b in enumerate(baselines) for a in arms if a != b and a not in baselines[:i]]


def starts(arms: list[str]) -> list[tuple[str, str]]:
    """The comparisons of every arm with the warm student that it starts from: a family apart from `pairs`."""
    return [(arm, WARMUP) for arm in arms]


def decisions(metrics: Metrics, official: str) -> dict[str, str]:
    """The verdict on every comparison a-b: is a better than b on the official metric?

    metrics: of summarise, or its from_warm, with significance as `tests` and cautions.differing as `environments`. A
    winner needs both:
    an interval over seeds clear of zero, and a corrected p over seeds and examples, of a difference in the same
    direction. It needs enough seeds, all made alike.
    """
    tests = metrics["tests"]
    if metrics["environments"]:
        return dict.fromkeys(metrics["differences"], MIXED)
    return {
        name: _decide(values[official], tests[name]) if name in tests else TOO_FEW
        for name, values in metrics["differences"].items()
    }


def _decide(difference: Interval, test: Metrics) -> str:
    significant = test["p_holm"] < SIGNIFICANCE
    if significant and difference["low"] > 0 and test["accuracy"]["mean"] > 0:
        return BETTER
    if significant and difference["high"] < 0 and test["accuracy"]["mean"] < 0:
        return WORSE
    return EVEN


def reversed_interval(difference: Interval) -> Interval:
    """Of a − b, that of b − a."""
    if difference["low"] is None:
        return difference | {"mean": -difference["mean"]}
    return difference | {"mean": -difference["mean"], "low": -difference["high"], "high": -difference["low"]}


def significance(students: pd.DataFrame, right: pd.DataFrame, compared: list[tuple[str, str]]) -> dict[str, Metrics]:
    """A test per comparison a-b of students: what metrics.json has as `tests`. None below three seeds.

    students: the official metric, seeds × arms; right: of right_answers; compared: of pairs or starts, one family that
    is corrected together. `accuracy` is the difference in the share of
    right answers, with its interval over seeds and examples together; p belongs to it, and p_holm is p corrected for
    the number of comparisons. smallest_shown (of the official metric, a fraction) and seeds_for_half are about seeds
    alone.
    """
    if not compared or len(students) < FEWEST_SEEDS:
        return {}
    tests = [crossed_test(right[a] - right[b]) for a, b in compared]
    corrected = holm([p for _, p in tests])
    return {
        f"{a}-{b}": {
            "accuracy": accuracy,
            "p": p,
            "p_holm": p_holm,
            "smallest_shown": smallest_shown(students[a] - students[b]),
            "seeds_for_half": seeds_for_half(len(students)),
        }
        for (a, b), (accuracy, p), p_holm in zip(compared, tests, corrected, strict=True)
    }


def verdict(name: str, difference: Interval, test: Metrics | None, decision: str) -> str:
    """One sentence on a difference a-b of fractions, for the reader who reads nothing else."""
    a, b = name.split("-")
    n = difference["n"]
    said = f"{a} is {decision}" if decision in (BETTER, WORSE) else decision
    seeds = f"{n} seed{'s' if n > 1 else ''}{with_p(test)}"
    return f"{a} − {b}: {show_points(difference)}, {seeds}: {said}"


def with_p(test: Metrics | None) -> str:
    """What a text that names a difference ends in: its corrected p, where there is a test."""
    return f", p {show_p(test['p_holm'])}" if test else ""
