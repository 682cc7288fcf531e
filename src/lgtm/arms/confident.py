"""Plain distillation on the rows of which the teacher is surest."""

from lgtm.arms.shared.lesson import Lesson, Targets
from lgtm.arms.shared.selection import Budget, confidence, taught_within


class Settings(Budget):
    """A budget alone."""


def teach(settings: Settings, lesson: Lesson) -> Targets:
    """The warm teacher's logits, on the rows of the highest confidence."""
    return taught_within(settings, lesson, confidence(lesson.warm_logits))
