"""The tailored teacher: retrained to favour what helps this student (LGTM, at a frozen student)."""

from typing import Annotated

from pydantic import Field

from lgtm.arms.shared.lesson import Lesson, Targets
from lgtm.config import Strict


class Settings(Strict):
    """`lambda`: the weight of the influence, in units of the tangents' own scale."""

    lambda_: Annotated[float, Field(alias="lambda", ge=0.0)]


def teach(settings: Settings, lesson: Lesson) -> Targets:
    """The teacher after the shared extra steps, with the influence in its loss."""
    return lesson.retrain(influence_weight=settings.lambda_)
