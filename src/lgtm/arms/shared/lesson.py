"""What an arm is given, and what it gives back."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True)
class Targets:
    """What a student is taught: teacher logits (N × C), the teacher itself where the arm made a new one.

    weights: of the samples in the student's loss (N, mean 1); None for all alike. epochs_factor: of its epochs.
    """

    logits: np.ndarray
    teacher: Any = None
    weights: np.ndarray | None = None
    epochs_factor: float = 1.0


@dataclass(frozen=True)
class InfluenceTerm:
    """−`weight` · mean influence in a co-trained teacher's loss, the influence at the student after a tentative step.

    normalise: in units of the tangents' root mean square on the batch, as λ of the other arms is; else as it is.
    pilot: the tentative step, `adamw` or `sgd`, at the student's learning rate.
    """

    weight: float
    normalise: bool
    pilot: str


@dataclass(frozen=True)
class CoTraining:
    """How a teacher learns beside its student: the coefficients of its loss (see lgtm.arms.shared.cotraining).

    hard_label_weight: of the student's own loss, in place of distill's; None leaves that.
    """

    label_weight: float  # of CE(y, p_T)
    teacher_kl_weight: float  # of KL(p_T ‖ p_S)
    student_kl_weight: float  # of KL(p_S ‖ p_T)
    influence: InfluenceTerm | None
    learning_rate_factor: float  # of the pair's teacher learning rate
    hard_label_weight: float | None


class Lesson(Protocol):
    """What an arm may use: the warm teacher, what the influence stage found, and a way to train the teacher further.

    warm_logits: N × C. tangents: N × C, in units of their own scale (see identity.unit_scale). influence,
    influence_label: N, under the warm teacher and under the label. seed: of the cell. hard_label_weight: the labels'
    share in the loss that was scored; the rest is the teacher's.
    """

    seed: int
    hard_label_weight: float
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
