"""The control of `crossfit`: the mean of as many teachers that have all seen every row."""

from lgtm.arms.shared.folds import bagged
from lgtm.arms.shared.lesson import Lesson, Targets
from lgtm.arms.shared.settings import ArmSettings
from lgtm.values import Teachers


class Settings(ArmSettings):
    """`teachers` in number."""

    trains_teacher = True
    warms_up = True
    teachers: Teachers


def teach(settings: Settings, lesson: Lesson) -> Targets:
    """The mean teacher's logits."""
    return Targets(bagged(lesson, settings.teachers), hidden=False)
