"""The control of `tailored`: a teacher given the same extra steps, without the influence."""

from lgtm.arms.shared.lesson import Lesson, Targets
from lgtm.arms.shared.settings import Based


class Settings(Based):
    """As of `tailored`."""

    trains_teacher = True


def teach(settings: Settings, lesson: Lesson) -> Targets:
    """The teacher after the shared extra steps."""
    return lesson.retrain(influence_weight=0.0, towards=settings.base_logits(lesson))
