"""The arms: one module per way to make the teacher that a student learns from.

A module defines `Settings`, the schema of its section `teacher_tailored.<arm>` in params.yaml, and
`teach(settings, lesson)`, which returns the `Targets` of the student, or None for a student on labels alone.
To add an arm: add its module here and its section to params.yaml, then name it in `arms`.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True)
class Targets:
    """What a student is taught: teacher logits (N × C), and the teacher itself where the arm made a new one."""

    logits: np.ndarray
    teacher: Any = None


class Lesson(Protocol):
    """What an arm may use: the warm teacher, the student's tangents, and a way to train the teacher further."""

    warm_logits: np.ndarray

    def retrain(self, influence_weight: float) -> Targets:
        """Train the warm teacher for the shared extra steps with −`influence_weight` · mean influence in its loss."""
