"""The paper's step-by-step LGTM: teacher and student learn together (Ren et al., ACL 2023, algorithm 1)."""

from typing import Annotated

from pydantic import Field

from lgtm.arms.shared.lesson import WARM, CoTraining, InfluenceTerm, Lesson, Targets
from lgtm.arms.shared.settings import ArmSettings
from lgtm.values import Factor, Weight


class Settings(ArmSettings):
    """The weights of the teacher's loss; `lambda`'s unit is the tangents' own scale, or with `normalise` off, none."""

    trains_teacher = True

    lambda_: Annotated[Weight, Field(alias="lambda")]
    normalise: bool
    label_weight: Weight
    student_weight: Weight
    learning_rate_factor: Factor


def teach(settings: Settings, lesson: Lesson) -> Targets:
    """The warm teacher's logits, to start from."""
    return Targets(WARM)


def co_training(settings: Settings) -> CoTraining:
    """CE, KL(p_S ‖ p_T) and the influence at the student after a tentative AdamW step."""
    return CoTraining(
        label_weight=settings.label_weight,
        teacher_kl_weight=0.0,
        student_kl_weight=settings.student_weight,
        influence=InfluenceTerm(settings.lambda_, settings.normalise, pilot="adamw"),
        learning_rate_factor=settings.learning_rate_factor,
        hard_label_weight=None,
    )
