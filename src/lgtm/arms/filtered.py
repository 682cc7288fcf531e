"""Plain distillation on the rows that help: those of the highest influence under the warm teacher."""

import numpy as np

from lgtm.arms.shared.lesson import Lesson, Targets
from lgtm.arms.shared.selection import Budget, gap_length, taught_within


class Settings(Budget):
    """`per_gap`: by the influence per unit of ‖p_S − p_T‖, the teacher's news about a row, in place of as it is."""

    per_gap: bool


def teach(settings: Settings, lesson: Lesson) -> Targets:
    """The warm teacher's logits, on the rows within the budget that help most."""
    scores = lesson.influence
    if settings.per_gap:
        scores = scores / np.maximum(gap_length(lesson.warm_logits, lesson.student_logits), np.finfo(np.float32).eps)
    return taught_within(settings, lesson, scores)
