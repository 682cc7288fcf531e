"""Deep mutual learning: teacher and student learn from the labels and from each other (Zhang et al., 2018)."""

from typing import Annotated

from pydantic import Field

from lgtm.arms.shared.lesson import WARM, CoTraining, Lesson, Targets
from lgtm.arms.shared.settings import ArmSettings
from lgtm.values import Factor


class Settings(ArmSettings):
    """`hard_label_weight`: the labels' share in the student's loss, in place of distill's."""

    trains_teacher = True

    hard_label_weight: Annotated[float, Field(ge=0.0, le=1.0)]
    learning_rate_factor: Factor


def teach(settings: Settings, lesson: Lesson) -> Targets:
    """The warm teacher's logits, to start from."""
    return Targets(WARM)


def co_training(settings: Settings) -> CoTraining:
    """CE and KL(p_S ‖ p_T), equation 4 of the paper."""
    return CoTraining(
        label_weight=1.0,
        teacher_kl_weight=0.0,
        student_kl_weight=1.0,
        influence=None,
        learning_rate_factor=settings.learning_rate_factor,
        hard_label_weight=settings.hard_label_weight,
    )
