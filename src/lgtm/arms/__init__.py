"""The arms: one module per way to make what a student learns from.

A module defines `Settings`, the schema of its section `teacher_tailored.<arm>` in params.yaml, and
`teach(settings, lesson)`, which returns the `Targets` of the student, or None for a student on labels alone.
To add an arm: add its module here and its section to params.yaml, then name it in `arms`.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True)
class Targets:
    """What a student is taught: teacher logits (N × C), the teacher itself where the arm made a new one.

    weights: of the samples in the student's loss (N, mean 1); None for all alike.
    """

    logits: np.ndarray
    teacher: Any = None
    weights: np.ndarray | None = None


class Lesson(Protocol):
    """What an arm may use: the warm teacher, what the influence stage found, and a way to train the teacher further.

    warm_logits: N × C. tangents: N × C, in units of their own scale (see influence.unit_scale). influence,
    influence_label: N, under the warm teacher and under the label. seed: of the cell.
    """

    seed: int
    warm_logits: np.ndarray
    tangents: np.ndarray
    influence: np.ndarray
    influence_label: np.ndarray

    def retrain(
        self, influence_weight: float, tangents: np.ndarray | None = None, weights: np.ndarray | None = None
    ) -> Targets:
        """Train the teacher for the shared extra steps with −`influence_weight` · mean influence in its loss.

        tangents: in place of the lesson's own. weights: of the samples in the rest of the loss (N, mean 1).
        """


def bounded_weights(influence: np.ndarray, slope: float) -> np.ndarray:
    """Weights of samples (N, mean 1): a logistic function of the influence in units of its own standard deviation.

    slope 0: all alike; infinite: samples that help count alike, those that hurt not at all.
    """
    scale = influence.std() or 1.0
    weights = 1 / (1 + np.exp(-slope * influence / scale))
    return weights / weights.mean()
