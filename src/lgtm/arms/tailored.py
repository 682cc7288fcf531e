"""The tailored teacher: retrained to favour what helps this student (LGTM, at a frozen student)."""

from lgtm.arms.shared.lesson import Lesson, Targets
from lgtm.arms.shared.settings import Tailoring


class Settings(Tailoring):
    """Of the shared extra steps see `retrain`."""

    trains_teacher = True


def teach(settings: Settings, lesson: Lesson) -> Targets:
    """The teacher after the shared extra steps, with the influence in its loss."""
    return lesson.retrain(settings.lambda_, towards=settings.base_logits(lesson))
