"""Plain knowledge distillation from the warmed-up teacher (Hinton et al., 2015)."""

from lgtm.arms.shared.lesson import WARM, Lesson, Targets
from lgtm.arms.shared.settings import ArmSettings


class Settings(ArmSettings):
    """No settings."""


def teach(settings: Settings, lesson: Lesson) -> Targets:
    """The warm teacher's own logits."""
    return Targets(WARM)
