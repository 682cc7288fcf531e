"""Plain distillation for longer: what `kd` makes of the compute that another arm takes."""

from typing import Annotated

from pydantic import Field

from lgtm.arms.shared.lesson import Lesson, Targets
from lgtm.arms.shared.settings import ArmSettings


class Settings(ArmSettings):
    """`epochs_factor`: of the student's epochs in distill."""

    epochs_factor: Annotated[float, Field(gt=0.0)]


def teach(settings: Settings, lesson: Lesson) -> Targets:
    """The warm teacher's own logits, for longer."""
    return Targets(lesson.warm_logits, longer=settings.epochs_factor)
