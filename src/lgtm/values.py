"""What the values of settings may be: types of numbers with their bounds, and what else a value is held to."""

from collections.abc import Callable
from typing import Annotated

from pydantic import Field

# What numbers may be, far beyond what anyone uses on either side: a slip of the keyboard would run for years, fill the
# memory, overflow or be nothing in fp32, and none of that is told.
MOST_STEPS = 10**7
HIGHEST = 10_000  # beyond it a term alone would be heard
Rows = Annotated[int, Field(ge=1, le=10**9)]
Tokens = Annotated[int, Field(ge=1, le=10**9)]
BatchSize = Annotated[int, Field(ge=1, le=10**5)]
Times = Annotated[int, Field(ge=1, le=10_000)]  # that a network is trained, evaluated or shown
Teachers = Annotated[int, Field(ge=2, le=1000)]  # in place of one, or folds, each with its own
Steps = Annotated[int, Field(ge=0, le=MOST_STEPS)]
SomeSteps = Annotated[int, Field(ge=1, le=MOST_STEPS)]
Epochs = Annotated[float, Field(ge=1e-3, le=10_000)]
Weight = Annotated[float, Field(ge=0.0, le=HIGHEST)]  # of a term in a loss
Factor = Annotated[float, Field(ge=1e-4, le=10_000)]
Temperature = Annotated[float, Field(ge=0.01, le=100)]
LearningRate = Annotated[float, Field(ge=1e-9, le=1.0)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
OpenFraction = Annotated[float, Field(gt=0.0, lt=1.0)]
NoneOrEpochs = Annotated[float, Field(ge=0.0, le=10_000)]
FEWEST_SUBSETS = 10


def a_name(of: str) -> Callable[[str], str]:
    """What holds a value to being a name, of a folder or a card: no path leads to somewhere else."""

    def checked(value: str) -> str:
        if value in ("", ".", "..") or set(value) & set("/\\\0"):
            raise ValueError(f"should be the name of {of}")
        return value

    return checked


def no_repeats(values: list) -> list:
    """A list in which nothing stands twice."""
    if len(set(values)) < len(values):
        raise ValueError("each item may stand in the list once")
    return values


def none_or_several(folds: int) -> int:
    """A number of folds, or 0."""
    if folds == 1:
        raise ValueError("should be 0, for the feedback role, or at least 2")
    return folds


def enough_or_none(number: int) -> int:
    """A number of subsets over which a rank correlation has an interval, or 0."""
    if number and number < FEWEST_SUBSETS:
        raise ValueError(f"should be 0, which turns it off, or at least {FEWEST_SUBSETS}")
    return number
