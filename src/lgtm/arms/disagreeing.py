"""Plain distillation on the rows where teacher and student disagree most."""

from lgtm.arms.shared.lesson import Lesson, Targets
from lgtm.arms.shared.selection import Budget, disagreement, taught_within


class Settings(Budget):
    """A budget alone."""


def teach(settings: Settings, lesson: Lesson) -> Targets:
    """The warm teacher's logits, on the rows of the largest KL(p_T ‖ p_S)."""
    return taught_within(settings, lesson, disagreement(lesson.warm_logits, lesson.student_logits))
