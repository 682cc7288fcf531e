"""Does the influence mean something? What it says of known flips and errors, and of students that are retrained.

Influence is positive where a sample helps (see influence.py). A retrained student's held-out loss is its mean
cross-entropy on the selection role, which neither the influence's direction nor the test has seen.
"""

import numpy as np
from scipy import stats
from scipy.special import softmax
from sklearn.metrics import average_precision_score, roc_auc_score

Masks = dict[str, np.ndarray]


def detection(scores: np.ndarray, flagged: np.ndarray) -> dict[str, float]:
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


def per_logit_step(influence_label: np.ndarray, student_logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Influence under the label divided by the length of the loss's gradient in the logits, ‖p_S − y‖.

    A sample that the student fits already has hardly any gradient left, so its influence is near zero whatever its
    label; per unit step of its logits it is not. N values from N, N × C and N.
    """
    gap = softmax(student_logits, axis=-1)
    gap[np.arange(len(labels)), labels] -= 1
    length = np.linalg.norm(gap, axis=-1)
    return influence_label / np.maximum(length, np.finfo(gap.dtype).eps)


def random_subsets(rows: int, number: int, fraction: float, seed: int) -> np.ndarray:
    """Random subsets of train, number × rows booleans, each with round(fraction · rows) rows."""
    rng = np.random.default_rng(seed)
    size = max(1, round(fraction * rows))
    subsets = np.zeros((number, rows), dtype=bool)
    for subset in subsets:
        subset[rng.choice(rows, size, replace=False)] = True
    return subsets


def linear_datamodeling_score(influence: np.ndarray, subsets: np.ndarray, losses: np.ndarray) -> float:
    """Spearman correlation of the summed influence of each subset with minus its student's held-out loss.

    influence: N; subsets: S × N booleans; losses: S, means over training seeds. 1: the influence orders the subsets as
    retraining does, 0: not at all (Park et al., 2023, TRAK, definition 2.4).
    """
    return float(stats.spearmanr(subsets @ influence, -losses).statistic)


def without(influence: np.ndarray, fraction: float, seed: int) -> Masks:
    """What stays of train when a fraction of it is dropped: its most helpful, its most harmful, or random rows.

    influence: N. Returns booleans, True for a row that stays.
    """
    drop = round(fraction * len(influence))
    order = np.argsort(influence, kind="stable")
    dropped = {
        "most harmful": order[:drop],
        "random": np.random.default_rng(seed).choice(len(influence), drop, replace=False),
        "most helpful": order[len(order) - drop :],
    }
    masks = {}
    for name, rows in dropped.items():
        masks[name] = np.ones(len(influence), dtype=bool)
        masks[name][rows] = False
    return masks
