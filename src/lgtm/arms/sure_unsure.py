"""Plain distillation on the rows of which the teacher is sure and the student is not."""

from lgtm.arms.shared.lesson import Lesson, Targets
from lgtm.arms.shared.selection import Budget, entropy, taught_within


class Settings(Budget):
    """A budget alone."""


def teach(settings: Settings, lesson: Lesson) -> Targets:
    """The warm teacher's logits, on the rows where the student's entropy exceeds the teacher's most."""
    return taught_within(settings, lesson, entropy(lesson.student_logits) - entropy(lesson.warm_logits))
