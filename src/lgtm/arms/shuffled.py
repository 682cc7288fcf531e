"""The placebo of `tailored`: the same retraining with the tangents permuted among the samples. Must not help."""

import numpy as np

from lgtm.arms.shared.lesson import Lesson, Targets
from lgtm.arms.shared.settings import Tailoring


class Settings(Tailoring):
    """As of `tailored`."""

    trains_teacher = True


def teach(settings: Settings, lesson: Lesson) -> Targets:
    """The teacher after the shared extra steps, with other samples' tangents in its loss."""
    order = np.random.default_rng(lesson.seed).permutation(len(lesson.tangents))
    return lesson.retrain(settings.lambda_, towards=settings.base_logits(lesson), tangents=lesson.tangents[order])
