"""No retraining: logits of the teacher, tilted against the student's tangents (the closed form of `tailored`)."""

from lgtm.arms.shared.lesson import Lesson, Targets
from lgtm.arms.shared.settings import Tailoring


class Settings(Tailoring):
    """As of `tailored`."""

    @property
    def trains_teacher(self) -> bool:
        """Only for another base than the warm teacher."""
        return self.base != "warm"


def teach(settings: Settings, lesson: Lesson) -> Targets:
    """The teacher with the lowest T² KL(p_T ‖ p_warm) − λ · influence, per sample: warm logits − λ (1 − α) ṡ.

    With p = softmax(z / T), w the warm logits and α the labels' share this is T² KL(p ‖ p_warm) + λ (1 − α) T p·ṡ and a
    constant. Its derivative in p, T² (z − w) / T + λ (1 − α) T ṡ and a constant, is the same for all classes where
    z = w − λ (1 − α) ṡ, whatever T is. With another base, w is what that says.
    """
    share = 1 - lesson.hard_label_weight
    tilted = settings.base_logits(lesson) - settings.lambda_ * share * lesson.tangents
    return Targets(tilted, hidden=settings.base == "warm")
