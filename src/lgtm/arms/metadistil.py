"""MetaDistil: the teacher learns from its student's loss on held-out data alone (Zhou et al., ACL 2022)."""

from lgtm.arms.shared.lesson import WARM, CoTraining, InfluenceTerm, Lesson, Targets
from lgtm.arms.shared.settings import ArmSettings
from lgtm.values import Factor


class Settings(ArmSettings):
    """`learning_rate_factor`: of the pair's teacher learning rate."""

    trains_teacher = True

    learning_rate_factor: Factor


def teach(settings: Settings, lesson: Lesson) -> Targets:
    """The warm teacher's logits, to start from."""
    return Targets(WARM)


def co_training(settings: Settings) -> CoTraining:
    """The gradient through a pilot SGD step of the student, but for its learning rate, which AdamW's steps ignore."""
    return CoTraining(
        label_weight=0.0,
        teacher_kl_weight=0.0,
        student_kl_weight=0.0,
        influence=InfluenceTerm(1.0, normalise=False, pilot="sgd"),
        learning_rate_factor=settings.learning_rate_factor,
        hard_label_weight=None,
    )
