"""The measures of the influence against naive loops, hand-made cases and scipy's own correlation."""

import numpy as np
import pytest
from scipy import stats

from lgtm.influence.validation import (
    detection,
    known_errors,
    linear_datamodeling_score,
    random_subsets,
    teacher_errors,
    without,
)


@pytest.fixture
def random():
    return np.random.default_rng(0)


def test_the_area_is_the_share_of_pairs_in_order_and_the_precision_is_the_mean_over_found_rows(random):
    flagged = random.random(80) < 0.3
    scores = random.normal(size=80) - flagged
    found = detection(scores, flagged)
    in_order = [low < high for low in scores[flagged] for high in scores[~flagged]]
    assert found["auc"] == pytest.approx(np.mean(in_order))
    hits = flagged[np.argsort(scores)]
    precisions = [hits[: rank + 1].mean() for rank in np.flatnonzero(hits)]
    assert found["average_precision"] == pytest.approx(np.mean(precisions))
    assert found["share"] == flagged.mean()


def test_ties_count_half():
    assert detection(np.zeros(4), np.array([True, False, False, True]))["auc"] == 0.5


@pytest.mark.parametrize("flagged", [[False] * 3, [True] * 3])
def test_nothing_to_find_is_no_measure(flagged):
    assert detection(np.arange(3.0), np.array(flagged)) == {}


def test_each_score_is_asked_for_the_errors_that_it_is_about():
    labels, truth = np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0])  # the third label is flipped
    teacher = np.array([[3.0, 0], [0, 3.0], [3.0, 0], [0, 0.5]])  # wrong, and least sure, on the fourth
    student = np.array([[2.0, 0], [0, 2.0], [2.0, 0], [2.0, 0]])  # the third label unlikely, the fourth's teacher too
    by_label, by_teacher = np.array([1.0, 1, -1, 1]), np.array([1.0, 1, 1, -1])
    found = known_errors(by_teacher, by_label, student, teacher, labels, truth)
    perfect = {"auc": 1.0, "average_precision": 1.0, "share": 0.25}
    assert found == {
        "mislabel": {"influence": perfect, "influence_per_unit": perfect, "likelihood": perfect},
        "teacher_error": {"influence": perfect, "likelihood": perfect, "confidence": perfect},
        "shares": {"mislabel": 0.25, "teacher_error": 0.25},
    }


def test_where_nothing_is_wrong_that_is_said_too(random):
    truth = np.array([0, 1, 1])
    right = np.eye(2)[truth]
    found = known_errors(random.normal(size=3), random.normal(size=3), right, right, truth, truth)
    assert found["shares"] == {"mislabel": 0, "teacher_error": 0}
    assert found["teacher_error"] == {"influence": {}, "likelihood": {}, "confidence": {}}


def test_a_memorised_flip_is_found_per_unit_of_the_logit_gradient():
    labels, truth = np.array([0, 0, 0]), np.array([0, 0, 1])
    student = np.array([[0.5, 0], [1.0, 0], [9.0, 0]])  # has memorised the flip: its p - y is nearly zero
    tangents = np.array([[-1.0, 1], [-1, 1], [1, -1]])  # that against which the true class grows
    gap = np.exp(student) / np.exp(student).sum(-1, keepdims=True) - [1, 0]
    by_label = (gap * tangents).sum(-1)
    found = known_errors(by_label, by_label, student, student, labels, truth)["mislabel"]
    assert found["influence_per_unit"]["auc"] == 1
    assert np.allclose(by_label / np.linalg.norm(gap, axis=-1), [2**0.5, 2**0.5, -(2**0.5)])


def test_subsets_are_of_one_size_and_follow_the_seed():
    subsets = random_subsets(50, 200, 0.3, seed=1)
    assert (subsets.sum(1) == 15).all()
    assert subsets.mean(0) == pytest.approx(0.3, abs=0.15)  # no row is left out
    assert (subsets == random_subsets(50, 200, 0.3, seed=1)).all()
    assert (subsets != random_subsets(50, 200, 0.3, seed=2)).any()
    assert random_subsets(50, 1, 0.001, seed=1).sum() == 1


def test_the_score_is_one_for_what_retraining_confirms_and_minus_one_for_its_opposite(random):
    summed = random.normal(size=30)
    confirmed = linear_datamodeling_score(summed, np.exp(-summed), seed=0)
    assert confirmed == {"correlation": pytest.approx(1), "low": pytest.approx(1), "high": pytest.approx(1)}
    assert linear_datamodeling_score(summed, summed**3, seed=0)["correlation"] == pytest.approx(-1)


def test_the_score_is_spearmans_and_its_interval_that_of_a_resampling_loop(random):
    summed = random.normal(size=40)
    losses = random.normal(size=40) - summed
    found = linear_datamodeling_score(summed, losses, seed=0)
    assert found["correlation"] == pytest.approx(stats.spearmanr(summed, -losses).statistic)
    draws = random.integers(40, size=(2000, 40))
    low, high = np.percentile([stats.spearmanr(summed[rows], -losses[rows]).statistic for rows in draws], [2.5, 97.5])
    assert (found["low"], found["high"]) == (pytest.approx(low, abs=0.06), pytest.approx(high, abs=0.06))


def test_what_is_dropped_is_the_end_of_the_order(random):
    influence = random.permutation(20).astype(float)
    masks = without(influence, 0.25, seed=0)
    assert list(masks) == ["most helpful", "random", "most harmful"]
    assert all(mask.sum() == 15 for mask in masks.values())
    assert set(influence[~masks["most helpful"]]) == {15, 16, 17, 18, 19}
    assert set(influence[~masks["most harmful"]]) == {0, 1, 2, 3, 4}
    assert set(influence[~masks["random"]]) not in ({15, 16, 17, 18, 19}, {0, 1, 2, 3, 4})


def test_the_teachers_errors_are_looked_for_on_rows_without_labels_too(random):
    """What is found needs no label, and is the same as among labelled rows."""
    truth = random.integers(2, size=60)
    student, teacher = random.normal(size=(2, 60, 2))
    influence = random.normal(size=60)
    errors, share = teacher_errors(influence, student, teacher, truth)
    labelled = known_errors(influence, influence, student, teacher, 1 - truth, truth)
    assert errors == labelled["teacher_error"]
    assert share == labelled["shares"]["teacher_error"] == np.mean(teacher.argmax(-1) != truth)
