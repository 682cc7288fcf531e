"""Does the influence mean something? What it says of known flips and errors, and of students that are retrained.

Influence is positive where a sample helps (see identity.py). A retrained student's held-out loss is its mean
cross-entropy with the true labels of the selection role, which has had no part in the influence.
"""

from typing import Any

import numpy as np
from scipy import stats
from scipy.special import log_softmax
from sklearn.metrics import average_precision_score, roc_auc_score

Detection = dict[str, float]
RESAMPLES = 1000


def known_errors(
    influence: np.ndarray,
    influence_label: np.ndarray,
    student_logits: np.ndarray,
    teacher_logits: np.ndarray,
    labels: np.ndarray,
    truth: np.ndarray,
) -> dict[str, dict[str, Any]]:
    """How well the influence finds the rows whose label, and those whose teacher, is not the truth.

    Flips are looked for with the influence under the label. Beside it stands what needs no gradient: how likely the
    student thinks the label. A row that the student has memorised has hardly any influence left, so that under the
    label is also given per unit of its logits' gradient p − y. Of the rest see teacher_errors. `shares`: how many there
    are to find, none or all too. Influences, labels, truth: N; logits: N × C.
    """
    flipped = labels != truth
    rows, student = np.arange(len(labels)), log_softmax(student_logits, axis=-1)
    gap = np.exp(student)
    gap[rows, labels] -= 1
    per_unit = influence_label / np.maximum(np.linalg.norm(gap, axis=-1), np.finfo(gap.dtype).eps)
    errors, share = teacher_errors(influence, student_logits, teacher_logits, truth)
    return {
        "mislabel": {
            "influence": detection(influence_label, flipped),
            "influence_per_unit": detection(per_unit, flipped),
            "likelihood": detection(student[rows, labels], flipped),
        },
        "teacher_error": errors,
        "shares": {"mislabel": float(flipped.mean()), "teacher_error": share},
    }


def teacher_errors(
    influence: np.ndarray, student_logits: np.ndarray, teacher_logits: np.ndarray, truth: np.ndarray
) -> tuple[dict[str, Detection], float]:
    """How well the influence under the teacher finds the rows on which the teacher is wrong, and their share.

    Beside it stands what needs no gradient: how likely the student thinks the teacher's class, how sure the teacher is.
    Influence, truth: N, the rows with a label or without; logits: N × C.
    """
    taught = teacher_logits.argmax(-1)
    wrong = taught != truth
    likelihood = log_softmax(student_logits, axis=-1)[np.arange(len(truth)), taught]
    return {
        "influence": detection(influence, wrong),
        "likelihood": detection(likelihood, wrong),
        "confidence": detection(log_softmax(teacher_logits, axis=-1).max(-1), wrong),
    }, float(wrong.mean())


def detection(scores: np.ndarray, flagged: np.ndarray) -> Detection:
    """How well a low score finds the flagged rows: area under the ROC curve, average precision, and their share.

    scores: N; flagged: N booleans. 0.5 is chance for the area, the share is chance for the precision. Empty where
    nothing or everything is flagged.
    """
    if flagged.all() or not flagged.any():
        return {}
    return {
        "auc": float(roc_auc_score(flagged, -scores)),
        "average_precision": float(average_precision_score(flagged, -scores)),
        "share": float(flagged.mean()),
    }


def random_subsets(rows: int, number: int, fraction: float, seed: int) -> np.ndarray:
    """Random subsets of train, number × rows booleans, each with round(fraction · rows) rows, at least one."""
    rng = np.random.default_rng(seed)
    size = max(1, round(fraction * rows))
    subsets = np.zeros((number, rows), dtype=bool)
    for subset in subsets:
        subset[rng.choice(rows, size, replace=False)] = True
    return subsets


def linear_datamodeling_score(summed: np.ndarray, losses: np.ndarray, seed: int) -> dict[str, float]:
    """Spearman correlation of each subset's summed influence with minus its student's held-out loss.

    summed, losses: one per subset. 1: the influence orders the subsets as retraining does, 0: not at all (Park et al.,
    2023, TRAK, definition 2.4). `low` and `high` are its 95 % bootstrap interval over the subsets.
    """

    def correlation(summed, losses, axis):
        return stats.spearmanrho(summed, -losses, axis=axis).statistic

    resampled = stats.bootstrap(
        (summed, losses), correlation, paired=True, method="percentile", n_resamples=RESAMPLES, rng=seed
    )
    low, high = resampled.confidence_interval
    return {"correlation": float(correlation(summed, losses, -1)), "low": float(low), "high": float(high)}


def without(influence: np.ndarray, fraction: float, seed: int) -> dict[str, np.ndarray]:
    """What stays of train when a fraction of it is dropped: its most helpful, its most harmful, or random rows.

    influence: N. Returns booleans, True for a row that stays.
    """
    drop = round(fraction * len(influence))
    order = np.argsort(influence, kind="stable")
    dropped = {
        "most helpful": order[len(order) - drop :],
        "random": np.random.default_rng(seed).choice(len(influence), drop, replace=False),
        "most harmful": order[:drop],
    }
    masks = {}
    for name, rows in dropped.items():
        masks[name] = np.ones(len(influence), dtype=bool)
        masks[name][rows] = False
    return masks
