"""What an arm is given, and what it gives back."""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd

WARM: Literal["warm"] = "warm"  # in place of logits: those of the teacher that the lesson starts from, as they are


@dataclass(frozen=True)
class Targets:
    """What a student is taught: logits, and the teacher where the arm made a new one.

    logits: N × C; or WARM, of which no copy is written; or None for labels alone.
    roles: whose rows these are, one after another; None for the lesson's. kept: places of the rows that are taught, in
    rising order; None for all of them. weights: of the samples in the student's loss (N, mean 1); None for all alike.
    hidden: whether one network said all of it, whose hidden states may be matched too. rows: how many distill's epochs
    go through, None for the rows that are taught; longer: a factor of that time; steps: of the optimizer, in its place.
    """

    logits: np.ndarray | Literal["warm"] | None
    teacher: Any = None
    roles: tuple[str, ...] | None = None
    kept: np.ndarray | None = None
    weights: np.ndarray | None = None
    hidden: bool = True
    rows: int | None = None
    longer: float = 1.0
    steps: int | None = None


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
    """What an arm may use: what the warm teacher says, what the influence stage found, and ways to train a teacher.

    N rows: train's, then transfer's. rows: sample_id, label, below 0 where there is none, and group, a number;
    labelled: N booleans. warm_logits, student_logits: N × C. tangents: N × C, in units of their own scale (see
    identity.unit_scale). influence, influence_label: N, under the warm teacher and under the label. seed: of the cell.
    hard_label_weight: the labels' share in the loss that was scored; the rest is the teacher's.
    """

    seed: int
    hard_label_weight: float
    rows: pd.DataFrame
    labelled: np.ndarray
    warm_logits: np.ndarray
    student_logits: np.ndarray
    tangents: np.ndarray
    influence: np.ndarray
    influence_label: np.ndarray

    def retrain(
        self,
        influence_weight: float,
        *,
        towards: np.ndarray | None = None,
        tangents: np.ndarray | None = None,
        weights: np.ndarray | None = None,
    ) -> Targets:
        """Train the teacher for the shared extra steps with −`influence_weight` · mean influence in its loss.

        towards: logits (N × C) to be held to in place of the warm teacher's. tangents: in place of the lesson's own.
        weights: of the samples in the rest of the loss (N, mean 1).
        """

    def fresh_teacher(
        self, name: str, *, only: np.ndarray | None = None, order: int = 0, keep: str | None = None
    ) -> np.ndarray:
        """Warm a teacher up from its start, as teacher_warmup does, and return its logits (N × C).

        name: of its cost. only: booleans over train, the rows it sees. order: of its batches, 0 that of the warm
        teacher. keep: in place of teacher_warmup's.
        """

    def pooled_teacher(self) -> Targets:
        """Warm a teacher up on train and feedback; what it says of them and of transfer, in Targets' roles."""
