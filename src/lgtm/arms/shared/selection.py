"""Which rows to teach when not all can be: budgets, and the scores that choose."""

from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, SerializeAsAny
from scipy.special import log_softmax, softmax

from lgtm.arms.shared.lesson import WARM, Lesson, Targets
from lgtm.arms.shared.settings import ArmSettings
from lgtm.values import SomeSteps


def share_or_rows(value: Any) -> Any:
    """A share of the rows above 0 and up to 1.0, or a number of rows from 2 on, because 1 could be meant as either."""
    share = isinstance(value, float) and 0 < value <= 1
    rows = isinstance(value, int) and not isinstance(value, bool) and value >= 2
    if not share and not rows:
        raise ValueError("should be a share such as 0.5, 1.0 for all rows, or a number of rows from 2 on such as 750")
    return value


class Budget(ArmSettings):
    """How many rows are taught, and for how long.

    `keep`: a share (0.8) or a number (750). `balanced`: of every class that the teacher predicts, the same share.
    `steps`: of the student's optimizer; null for distill's epochs over the kept rows.
    """

    keep: SerializeAsAny[Annotated[float | int, BeforeValidator(share_or_rows)]]
    balanced: bool
    steps: SomeSteps | None


def taught_within(budget: Budget, lesson: Lesson, scores: np.ndarray) -> Targets:
    """The warm teacher's logits, on the rows of the highest scores (N) alone."""
    classes = lesson.warm_logits.argmax(-1) if budget.balanced else np.zeros(len(scores), dtype=int)
    return Targets(WARM, kept=highest(scores, budget.keep, classes), steps=budget.steps)


def highest(scores: np.ndarray, keep: float | int, classes: np.ndarray) -> np.ndarray:
    """Places, in order, of the highest scores (N), from every class (N) its share; ties go to the first rows.

    keep: a share of the rows, or a number of them; at least one, at most all.
    """
    count = round(keep * len(scores)) if isinstance(keep, float) else keep
    count = min(max(count, 1), len(scores))
    order = np.argsort(-scores, kind="stable")
    # The rank of a row within its class, as a share: of every class the same share comes first.
    within = np.empty(len(scores))
    for label in np.unique(classes):
        own = order[classes[order] == label]
        within[own] = (np.arange(len(own)) + 0.5) / len(own)
    return np.sort(np.lexsort((-scores, within))[:count])


def confidence(logits: np.ndarray) -> np.ndarray:
    """The log-probability of the likeliest class (N)."""
    return log_softmax(logits, axis=-1).max(-1)


def disagreement(teacher: np.ndarray, student: np.ndarray) -> np.ndarray:
    """KL(p_T ‖ p_S) of every row (N), in nats: what its distillation has to remove."""
    own, other = log_softmax(teacher, axis=-1), log_softmax(student, axis=-1)
    return (np.exp(own) * (own - other)).sum(-1)


def gap_length(teacher: np.ndarray, student: np.ndarray) -> np.ndarray:
    """‖p_T − p_S‖ of every row (N): how much news the teacher has for this student."""
    return np.linalg.norm(softmax(teacher, axis=-1) - softmax(student, axis=-1), axis=-1)


def entropy(logits: np.ndarray) -> np.ndarray:
    """The entropy of every row's probabilities (N), in nats."""
    log_p = log_softmax(logits, axis=-1)
    return -(np.exp(log_p) * log_p).sum(-1)
