"""The control of `crossfit`: the mean of as many teachers that have all seen every row."""

from typing import Annotated

from pydantic import Field

from lgtm.arms.shared.folds import bagged
from lgtm.arms.shared.lesson import Lesson, Targets
from lgtm.arms.shared.settings import ArmSettings


class Settings(ArmSettings):
    """`teachers` in number."""

    trains_teacher = True
    warms_up = True
    teachers: Annotated[int, Field(ge=2)]


def teach(settings: Settings, lesson: Lesson) -> Targets:
    """The mean teacher's logits."""
    return Targets(bagged(lesson, settings.teachers), hidden=False)
