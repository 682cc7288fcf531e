"""ProKT: the teacher learns on while it is held near its student (Shi et al., 2021)."""

from lgtm.arms.shared.lesson import WARM, CoTraining, Lesson, Targets
from lgtm.arms.shared.settings import ArmSettings
from lgtm.values import Factor, Weight


class Settings(ArmSettings):
    """`student_weight`: of KL(p_T ‖ p_S) beside the labels."""

    trains_teacher = True

    student_weight: Weight
    learning_rate_factor: Factor


def teach(settings: Settings, lesson: Lesson) -> Targets:
    """The warm teacher's logits, to start from."""
    return Targets(WARM)


def co_training(settings: Settings) -> CoTraining:
    """CE and KL(p_T ‖ p_S): a step of mirror descent from the student towards the labels."""
    return CoTraining(
        label_weight=1.0,
        teacher_kl_weight=settings.student_weight,
        student_kl_weight=0.0,
        influence=None,
        learning_rate_factor=settings.learning_rate_factor,
        hard_label_weight=None,
    )
