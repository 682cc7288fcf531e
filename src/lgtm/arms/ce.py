"""The student learns from the labels alone, for as many steps as `kd` takes."""

from lgtm.arms.shared.lesson import Lesson, Targets
from lgtm.arms.shared.settings import ArmSettings


class Settings(ArmSettings):
    """No settings."""


def teach(settings: Settings, lesson: Lesson) -> Targets:
    """No teacher, and no rows without a label: train the more often."""
    return Targets(None, roles=("train",), rows=len(lesson.labelled))
