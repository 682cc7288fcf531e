"""Plain distillation from the warm teacher as it was when it was best calibrated: before it memorised."""

from lgtm.arms.shared.lesson import Lesson, Targets
from lgtm.arms.shared.settings import ArmSettings


class Settings(ArmSettings):
    """No settings."""

    trains_teacher = True
    warms_up = True


def teach(settings: Settings, lesson: Lesson) -> Targets:
    """The logits of the same warm-up's checkpoint with the lowest NLL on selection; it is run once more for that."""
    return Targets(lesson.fresh_teacher("early", keep="calibrated"), hidden=False)
