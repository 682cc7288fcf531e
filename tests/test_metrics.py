"""The metrics against values worked out by hand, naive loops and their own definitions."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lgtm
from lgtm.networks.metrics import METRICS, agreement, evaluate_logits, expected_calibration_error, nll

LABELS = np.array([1, 1, 1, 0, 0, 0, 0, 0])
PREDICTED = np.array([1, 1, 0, 1, 0, 0, 0, 0])  # tp 2, fn 1, fp 1, tn 4


@pytest.fixture
def logits():
    return np.random.default_rng(0).normal(scale=2, size=(200, 3)).astype(np.float32)


@pytest.fixture
def labels():
    return np.random.default_rng(1).integers(3, size=200)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("accuracy", 6 / 8),
        ("f1", 2 * 2 / (2 * 2 + 1 + 1)),
        ("macro_f1", (4 / 6 + 8 / 10) / 2),
        ("matthews", (2 * 4 - 1 * 1) / np.sqrt(3 * 3 * 5 * 5)),
    ],
)
def test_task_metrics_by_hand(metric, expected):
    value = METRICS[metric](LABELS, PREDICTED)
    assert type(value) is float
    assert value == pytest.approx(expected)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("metric", ["f1", "matthews"])
def test_a_model_that_predicts_one_class_scores_zero(metric):
    assert METRICS[metric](LABELS, 0 * LABELS) == 0.0


def test_nll_by_hand_and_for_huge_logits(logits, labels):
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    by_row = [-np.log(row[label]) for row, label in zip(probabilities, labels, strict=True)]
    assert nll(logits, labels) == pytest.approx(np.mean(by_row), rel=1e-5)
    assert nll(np.array([[0.0, 1000.0]]), np.array([0])) == pytest.approx(1000.0)


def test_calibration_error_against_a_loop(logits, labels):
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    confidence, correct = probabilities.max(-1), probabilities.argmax(-1) == labels
    expected = 0.0
    for m in range(1, 16):
        rows = (confidence > (m - 1) / 15) & (confidence <= m / 15)
        if rows.any():
            expected += rows.mean() * abs(correct[rows].mean() - confidence[rows].mean())
    assert expected_calibration_error(logits, labels) == pytest.approx(expected, rel=1e-5)


def test_calibration_error_at_the_ends():
    certain = np.array([[100.0, -100.0]] * 4)
    assert expected_calibration_error(certain, np.zeros(4)) == pytest.approx(0.0)
    assert expected_calibration_error(certain, np.ones(4)) == pytest.approx(1.0)
    # Half right at a confidence of one half: calibrated.
    assert expected_calibration_error(np.zeros((4, 2)), np.array([0, 1, 0, 1])) == pytest.approx(0.0)


def test_too_little_confidence_is_an_error_of_calibration_too():
    # All right, at a confidence of one half.
    assert expected_calibration_error(np.zeros((4, 2)), np.zeros(4)) == pytest.approx(0.5)


def test_agreement(logits):
    assert agreement(logits, 3 * logits + 1) == 1.0
    assert agreement(np.array([[0, 1], [0, 1]]), np.array([[0, 1], [1, 0]])) == 0.5


def test_evaluate_logits_keeps_the_order(logits, labels):
    values = evaluate_logits(logits, labels, ["macro_f1", "accuracy"])
    assert list(values) == ["macro_f1", "accuracy", "nll", "ece"]
    assert values["accuracy"] == (logits.argmax(-1) == labels).mean()


def test_the_import_is_light():
    """Every training process pays for what this module imports."""
    code = "import sys, lgtm.networks.metrics; sys.exit(any(m in sys.modules for m in ('sklearn', 'torch', 'pandas')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(lgtm.__file__).parents[1]).returncode == 0
