"""Plain distillation on the samples that help: those of the highest influence under the warm teacher."""

from typing import Annotated

import numpy as np
from pydantic import Field

from lgtm.arms.shared.lesson import Lesson, Targets
from lgtm.config import Strict


class Settings(Strict):
    """`keep`: the fraction of train that is kept."""

    keep: Annotated[float, Field(gt=0.0, le=1.0)]


def teach(settings: Settings, lesson: Lesson) -> Targets:
    """The warm teacher's logits; the least helpful samples have no weight."""
    kept = lesson.influence >= np.quantile(lesson.influence, 1 - settings.keep)
    return Targets(lesson.warm_logits, weights=kept / kept.mean())
