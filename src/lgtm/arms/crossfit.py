"""The target of every row comes from a teacher that has not seen its label (K folds of train)."""

from lgtm.arms.shared.folds import crossfitted
from lgtm.arms.shared.lesson import Lesson, Targets
from lgtm.arms.shared.settings import ArmSettings
from lgtm.values import Teachers


class Settings(ArmSettings):
    """`folds` of train, and so teachers."""

    trains_teacher = True
    warms_up = True
    folds: Teachers


def teach(settings: Settings, lesson: Lesson) -> Targets:
    """The cross-fitted logits."""
    return Targets(crossfitted(lesson, settings.folds), hidden=False)
