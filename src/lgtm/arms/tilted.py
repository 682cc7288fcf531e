"""No retraining: the warm teacher's logits, tilted against the student's tangents (the closed form of `tailored`)."""

from typing import Annotated

from pydantic import Field

from lgtm.arms.shared.lesson import Lesson, Targets
from lgtm.config import Strict


class Settings(Strict):
    """`lambda`: the weight of the influence, in units of the tangents' own scale."""

    lambda_: Annotated[float, Field(alias="lambda", ge=0.0)]


def teach(settings: Settings, lesson: Lesson) -> Targets:
    """The distribution p with the lowest KL(p ‖ p_warm) − λ · influence, per sample: softmax(warm logits − λ ṡ)."""
    return Targets(lesson.warm_logits - settings.lambda_ * lesson.tangents)
