"""Plain distillation, each sample weighted in the student's loss by a bounded function of its influence."""

from lgtm.arms.shared.lesson import WARM, Lesson, Targets
from lgtm.arms.shared.settings import ArmSettings
from lgtm.arms.shared.weights import bounded_weights
from lgtm.values import Weight


class Settings(ArmSettings):
    """`slope` of the weights (see lgtm.arms.shared.weights)."""

    slope: Weight


def teach(settings: Settings, lesson: Lesson) -> Targets:
    """The warm teacher's logits, with weights."""
    return Targets(WARM, weights=bounded_weights(lesson.influence, settings.slope))
