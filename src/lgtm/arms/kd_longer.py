"""Plain distillation for longer: what `kd` makes of the compute that another arm takes."""

from lgtm.arms.shared.lesson import WARM, Lesson, Targets
from lgtm.arms.shared.settings import ArmSettings
from lgtm.values import Factor


class Settings(ArmSettings):
    """`epochs_factor`: of the student's epochs in distill."""

    epochs_factor: Factor


def teach(settings: Settings, lesson: Lesson) -> Targets:
    """The warm teacher's own logits, for longer."""
    return Targets(WARM, longer=settings.epochs_factor)
