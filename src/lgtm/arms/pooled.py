"""The direct use of the same labels: teacher and student learn from train and feedback together."""

from lgtm.arms.shared.lesson import Lesson, Targets
from lgtm.arms.shared.settings import ArmSettings


class Settings(ArmSettings):
    """No settings."""

    trains_teacher = True
    warms_up = True


def teach(settings: Settings, lesson: Lesson) -> Targets:
    """The logits of a teacher that was warmed up on both roles, on the rows of both and of transfer."""
    return lesson.pooled_teacher()
