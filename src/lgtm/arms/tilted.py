"""No retraining: the warm teacher's logits, tilted against the student's tangents (the closed form of `tailored`)."""

from typing import Annotated

from pydantic import Field

from lgtm.arms.shared.lesson import Lesson, Targets
from lgtm.config import Strict


class Settings(Strict):
    """`lambda`: the weight of the influence, in units of the tangents' own scale."""

    lambda_: Annotated[float, Field(alias="lambda", ge=0.0)]


def teach(settings: Settings, lesson: Lesson) -> Targets:
    """The teacher with the lowest T² KL(p_T ‖ p_warm) − λ · influence, per sample: warm logits − λ (1 − α) ṡ.

    With p = softmax(z / T), w the warm logits and α the labels' share this is T² KL(p ‖ p_warm) + λ (1 − α) T p·ṡ and a
    constant. Its derivative in p, T² (z − w) / T + λ (1 − α) T ṡ and a constant, is the same for all classes where
    z = w − λ (1 − α) ṡ, whatever T is.
    """
    share = 1 - lesson.hard_label_weight
    return Targets(lesson.warm_logits - settings.lambda_ * share * lesson.tangents)
