"""The control of `tailored`: a teacher given the same extra steps, without the influence."""

from lgtm.arms.shared.lesson import Lesson, Targets
from lgtm.config import Strict


class Settings(Strict):
    """No settings."""


def teach(settings: Settings, lesson: Lesson) -> Targets:
    """The teacher after the shared extra steps."""
    return lesson.retrain(influence_weight=0.0)
