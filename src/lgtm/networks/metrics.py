"""Metrics of a classifier: of its predictions, its probabilities, and its agreement with another."""

from collections.abc import Callable

import numpy as np
from scipy.special import log_softmax

# scikit-learn takes a second to import, so its metrics are imported where they are used.


def accuracy(labels: np.ndarray, predicted: np.ndarray) -> float:
    """Fraction of correct predictions."""
    return float(np.mean(labels == predicted))


def f1(labels: np.ndarray, predicted: np.ndarray) -> float:
    """Binary F1 of class 1; 0 when there is neither a positive label nor a positive prediction."""
    from sklearn.metrics import f1_score

    return float(f1_score(labels, predicted, zero_division=0))


def macro_f1(labels: np.ndarray, predicted: np.ndarray) -> float:
    """Unweighted mean of the classes' F1."""
    from sklearn.metrics import f1_score

    return float(f1_score(labels, predicted, average="macro", zero_division=0))


def matthews(labels: np.ndarray, predicted: np.ndarray) -> float:
    """Matthews correlation coefficient; 0 when only one class is predicted."""
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(labels, predicted))


METRICS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "accuracy": accuracy,
    "f1": f1,
    "macro_f1": macro_f1,
    "matthews": matthews,
}


def nll(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative log-likelihood of the labels, in nats; logits: N × C."""
    return float(-log_softmax(logits.astype(np.float64), axis=-1)[np.arange(len(labels)), labels].mean())


def expected_calibration_error(logits: np.ndarray, labels: np.ndarray, bins: int = 15) -> float:
    """Mean gap of confidence and accuracy over equal-width bins of confidence (Guo et al., 2017); logits: N × C."""
    probabilities = np.exp(log_softmax(logits.astype(np.float64), axis=-1))
    confidence = probabilities.max(-1)
    correct = probabilities.argmax(-1) == labels
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    # |Σ (confidence − correct)| of a bin is its share of the rows times its gap.
    gaps = np.bincount(bin_of, weights=confidence - correct, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def agreement(logits: np.ndarray, others: np.ndarray) -> float:
    """Fraction of rows in which two classifiers predict the same class; both N × C."""
    return float(np.mean(logits.argmax(-1) == others.argmax(-1)))


def evaluate_logits(logits: np.ndarray, labels: np.ndarray, metrics: list[str]) -> dict[str, float]:
    """The named metrics, nll and ece of logits (N × C) against labels (N)."""
    labels = np.asarray(labels)
    predicted = logits.argmax(-1)
    return {name: METRICS[name](labels, predicted) for name in metrics} | {
        "nll": nll(logits, labels),
        "ece": expected_calibration_error(logits, labels),
    }
