"""Several teachers in place of one: for each row one that has not seen it, or the mean of some that have seen all."""

import numpy as np

from lgtm.arms.shared.lesson import Lesson
from lgtm.influence.folds import assign_folds
from lgtm.networks.teachers import mean_logits


def crossfitted(lesson: Lesson, folds: int) -> np.ndarray:
    """Logits (N × C) of `folds` teachers, each trained on train without one fold: a row's come from the one without it.

    On a row that none has seen, transfer's, their mean. A label that is wrong cannot be repeated by a teacher that
    never saw it: the cure for a teacher that has memorised its labels (cross-fitting, Chernozhukov et al., 2018).
    """
    fold = assign_folds(lesson.rows, folds, lesson.seed)
    said = [
        lesson.fresh_teacher(f"fold_{number + 1}", only=(fold != number)[lesson.labelled]) for number in range(folds)
    ]
    logits = mean_logits(said, [1.0] * folds)
    for number, own in enumerate(said):
        logits[fold == number] = own[fold == number]
    return logits


def bagged(lesson: Lesson, teachers: int) -> np.ndarray:
    """Logits (N × C): the mean of so many teachers that have all seen all of train, in other orders.

    The control of `crossfitted` at the same number of teachers: what an ensemble brings by itself.
    """
    said = [lesson.fresh_teacher(f"bag_{number + 1}", order=number + 1) for number in range(teachers)]
    return mean_logits(said, [1.0] * teachers)
