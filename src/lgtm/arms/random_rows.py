"""The control of `filtered`: plain distillation on as many rows, drawn at random."""

import numpy as np

from lgtm.arms.shared.lesson import Lesson, Targets
from lgtm.arms.shared.selection import Budget, taught_within


class Settings(Budget):
    """A budget alone."""


def teach(settings: Settings, lesson: Lesson) -> Targets:
    """The warm teacher's logits, on random rows."""
    return taught_within(settings, lesson, np.random.default_rng(lesson.seed).random(len(lesson.warm_logits)))
