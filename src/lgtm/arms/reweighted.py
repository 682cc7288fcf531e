"""A teacher retrained on the labels, each sample weighted by a bounded function of its influence under the label."""

from lgtm.arms.shared.lesson import Lesson, Targets
from lgtm.arms.shared.settings import ArmSettings
from lgtm.arms.shared.weights import bounded_weights
from lgtm.values import Weight


class Settings(ArmSettings):
    """`slope` of the weights (see lgtm.arms.shared.weights)."""

    trains_teacher = True

    slope: Weight


def teach(settings: Settings, lesson: Lesson) -> Targets:
    """The teacher after the shared extra steps, on the samples whose labels help this student."""
    weights = bounded_weights(lesson.influence_label, settings.slope)
    return lesson.retrain(influence_weight=0.0, weights=weights)
