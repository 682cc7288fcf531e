"""What the settings of arms share: the schema of a section teacher_tailored.<arm> of params.yaml."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BeforeValidator, Field, SerializeAsAny

from lgtm.arms.shared.folds import bagged, crossfitted
from lgtm.arms.shared.lesson import Lesson
from lgtm.config import Strict
from lgtm.values import HIGHEST, Teachers


class ArmSettings(Strict):
    """Settings of an arm.

    trains_teacher: whether the arm trains a teacher; one that is a file of answers cannot be. warms_up: whether it does
    so from the teacher's start.
    """

    trains_teacher: ClassVar[bool | property] = False
    warms_up: ClassVar[bool | property] = False

    def trials(self) -> Iterator[tuple[str, "ArmSettings"]]:
        """The settings to choose from on selection, by name; none where there is nothing to choose."""
        yield from ()


def number_or_list(value: Any) -> Any:
    """A weight, or a list of weights to choose from that has 0 in it: so that tailoring can decline."""
    values = value if isinstance(value, list) else [value]
    if any(isinstance(each, bool) or not isinstance(each, (int, float)) or not 0 <= each <= HIGHEST for each in values):
        raise ValueError(f"should be a number from 0 to {HIGHEST}, or a list of such to choose from")
    if isinstance(value, list) and (0 not in value or len(set(value)) < max(len(value), 2)):
        raise ValueError("a list to choose from needs 0, which declines, and other numbers, each once")
    return value


Lambda = SerializeAsAny[Annotated[float | list[float], BeforeValidator(number_or_list), Field(alias="lambda")]]


class Based(ArmSettings):
    """`base`: whose logits the arm goes on from: those of the warm teacher, or of cross-fitted or bagged ones.

    `teachers`: the number of those (see lgtm.arms.shared.folds).
    """

    base: Literal["warm", "crossfit", "bagged"]
    teachers: Teachers

    @property
    def warms_up(self) -> bool:
        """For another base than the warm teacher."""
        return self.base != "warm"

    def base_logits(self, lesson: Lesson) -> np.ndarray:
        """The logits that the arm goes on from (N × C)."""
        match self.base:
            case "crossfit":
                return crossfitted(lesson, self.teachers)
            case "bagged":
                return bagged(lesson, self.teachers)
        return lesson.warm_logits


class Tailoring(Based):
    """`lambda`: the weight of the influence, in units of the tangents' own scale; or a list of them, to choose from.

    The choice is made on selection; `base` is what is tailored.
    """

    lambda_: Lambda

    def trials(self) -> Iterator[tuple[str, "Tailoring"]]:
        """One per weight, where several are given."""
        if isinstance(self.lambda_, list):
            for value in self.lambda_:
                yield f"{value:.12g}", self.model_copy(update={"lambda_": value})
