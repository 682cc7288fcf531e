"""Plain distillation on train alone, for as many steps as `kd` takes: what the rows without labels bring."""

import numpy as np

from lgtm.arms.shared.lesson import WARM, Lesson, Targets
from lgtm.arms.shared.settings import ArmSettings


class Settings(ArmSettings):
    """No settings."""


def teach(settings: Settings, lesson: Lesson) -> Targets:
    """The warm teacher's logits on the rows with a label, the more often the fewer they are."""
    return Targets(WARM, kept=np.flatnonzero(lesson.labelled), rows=len(lesson.labelled))
