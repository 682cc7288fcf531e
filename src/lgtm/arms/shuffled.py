"""The placebo of `tailored`: the same retraining with the tangents permuted among the samples. Must not help."""

from typing import Annotated

import numpy as np
from pydantic import Field

from lgtm.arms.shared.lesson import Lesson, Targets
from lgtm.config import Strict


class Settings(Strict):
    """`lambda`: as of `tailored`."""

    lambda_: Annotated[float, Field(alias="lambda", ge=0.0)]


def teach(settings: Settings, lesson: Lesson) -> Targets:
    """The teacher after the shared extra steps, with other samples' tangents in its loss."""
    order = np.random.default_rng(lesson.seed).permutation(len(lesson.tangents))
    return lesson.retrain(influence_weight=settings.lambda_, tangents=lesson.tangents[order])
