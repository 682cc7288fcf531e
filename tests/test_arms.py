"""What every arm asks of its lesson, and what it hands to the student."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from scipy.optimize import minimize
from scipy.special import softmax

from lgtm.arms.shared.lesson import WARM as UNCHANGED
from lgtm.arms.shared.lesson import Targets
from lgtm.arms.shared.weights import bounded_weights
from lgtm.errors import UserError
from lgtm.influence.folds import UNSEEN, assign_folds
from lgtm.networks.losses import DistillationLoss, TailoringLoss
from lgtm.params import ARM_SETTINGS, ARMS, load_params

RNG = np.random.default_rng(0)
WARM = {"base": "warm", "teachers": 3}


@dataclass
class Lesson:
    """A lesson of ten samples that notes how a teacher would be retrained."""

    seed: int = 3
    hard_label_weight: float = 0.0
    warm_logits: np.ndarray = field(default_factory=lambda: RNG.normal(size=(10, 3)))
    tangents: np.ndarray = field(default_factory=lambda: RNG.normal(size=(10, 3)))
    influence: np.ndarray = field(default_factory=lambda: RNG.normal(size=10))
    influence_label: np.ndarray = field(default_factory=lambda: RNG.normal(size=10))
    student_logits: np.ndarray = field(default_factory=lambda: RNG.normal(size=(10, 3)))
    labelled: np.ndarray = field(default_factory=lambda: np.arange(10) < 8)
    asked: list = field(default_factory=list)

    @property
    def rows(self):
        ids = [f"row-{row}" for row in range(10)]
        label = np.where(self.labelled, np.arange(10) % 2, -100)
        return pd.DataFrame({"sample_id": ids, "label": label, "group": range(10)})

    def retrain(self, influence_weight, **asked):
        self.asked = {"influence_weight": influence_weight} | asked
        return Targets(self.warm_logits + 1, teacher="new")

    def fresh_teacher(self, name, **asked):
        self.asked.append({"name": name} | asked)
        return np.full((10, 3), len(self.asked)) * np.array([1.0, 0, 0])

    def pooled_teacher(self):
        return Targets(np.zeros((12, 3)), teacher="pooled", roles=("train", "transfer", "feedback"))


def teach(arm: str, lesson: Lesson | None = None, **settings):
    lesson = lesson or Lesson()
    return lesson, ARMS[arm].teach(ARM_SETTINGS[arm].model_validate(settings), lesson)


def test_ce_has_no_teacher_and_kd_the_warm_one():
    alone = teach("ce")[1]
    assert alone.logits is None and alone.roles == ("train",) and alone.rows == 10
    targets = teach("kd")[1]
    assert targets.teacher is None and targets.logits is UNCHANGED


def test_kd_longer_is_kd_for_more_epochs():
    targets = teach("kd_longer", epochs_factor=2.5)[1]
    assert targets.logits is UNCHANGED
    assert targets.longer == 2.5


def test_tailored_and_control_differ_in_the_influence_alone():
    lesson = Lesson()
    asked = {}
    for arm, settings in {"tailored": WARM | {"lambda": 0.7}, "control": WARM}.items():
        teach(arm, lesson, **settings)
        asked[arm] = dict(lesson.asked)
        assert asked[arm].pop("towards") is lesson.warm_logits
    assert asked == {"tailored": {"influence_weight": 0.7}, "control": {"influence_weight": 0.0}}


def test_shuffled_is_tailored_with_the_tangents_of_other_samples():
    lesson, _ = teach("shuffled", **WARM, **{"lambda": 0.7})
    assert lesson.asked["influence_weight"] == 0.7
    given = lesson.asked["tangents"]
    assert sorted(map(tuple, given)) == sorted(map(tuple, lesson.tangents))
    assert not np.array_equal(given, lesson.tangents)


def minimised(loss, shape) -> np.ndarray:
    """The logits at which scipy finds the least loss over all rows, centred over the classes."""
    batch = {"index": torch.arange(shape[0]), "labels": torch.zeros(shape[0], dtype=torch.long)}

    def value_and_gradient(flat):
        logits = torch.tensor(flat.reshape(shape), requires_grad=True)
        value = shape[0] * loss(SimpleNamespace(logits=logits), batch)
        return value.item(), torch.autograd.grad(value, logits)[0].numpy().ravel()

    found = minimize(value_and_gradient, np.zeros(shape).ravel(), jac=True, method="BFGS", options={"gtol": 1e-9})
    return found.x.reshape(shape) - found.x.reshape(shape).mean(-1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize(
    ("temperature", "mix", "weight"),
    [(1.0, 0.0, 1.5), (1.0, 0.5, 1.5), (2.0, 0.0, 0.5), (4.0, 0.3, 3.0), (0.5, 0.9, 2)],
)
def test_tilted_is_the_optimum_of_tailored_at_every_temperature_and_share_of_labels(temperature, mix, weight, classes):
    rng = np.random.default_rng(classes)
    warm, tangents, student = rng.normal(size=(3, 6, classes))
    tangents -= tangents.mean(-1, keepdims=True)
    lesson = Lesson(hard_label_weight=mix, warm_logits=warm, tangents=tangents)
    found = teach("tilted", lesson, **WARM, **{"lambda": weight})[1].logits
    loss = TailoringLoss(
        *map(torch.tensor, (warm, student, tangents)),
        anchor="warm_teacher",
        student_weight=0.0,
        influence_weight=weight,
        temperature=temperature,
        hard_label_weight=mix,
    )
    np.testing.assert_allclose(found - found.mean(-1, keepdims=True), minimised(loss, warm.shape), atol=1e-4)


def test_reweighted_trusts_helpful_labels_more():
    lesson, _ = teach("reweighted", slope=2.0)
    order = np.argsort(lesson.influence_label)
    assert lesson.asked["influence_weight"] == 0.0
    assert (np.diff(lesson.asked["weights"][order]) > 0).all()


BUDGET = {"keep": 0.8, "balanced": False, "steps": None}


def test_filtered_keeps_the_most_helpful():
    lesson, targets = teach("filtered", **BUDGET, per_gap=False)
    assert set(targets.kept) == set(range(10)) - set(np.argsort(lesson.influence)[:2])
    assert list(teach("filtered", **BUDGET | {"keep": 1.0}, per_gap=False)[1].kept) == list(range(10))
    one = teach("filtered", lesson, **BUDGET | {"keep": 0.1}, per_gap=False)[1]
    assert list(one.kept) == [lesson.influence.argmax()]


def test_filtered_per_gap_asks_how_much_a_step_helps_for_its_length():
    lesson = Lesson()
    lesson.student_logits = lesson.warm_logits.copy()
    lesson.student_logits[0, 0] += 0.1  # a little news with a little influence
    lesson.student_logits[1:, 0] += 5
    lesson.influence = np.where(np.arange(10) == 0, 0.9, 1.0)
    plain, per_gap = (teach("filtered", lesson, **BUDGET | {"keep": 0.1}, per_gap=each)[1] for each in (False, True))
    assert plain.kept[0] != 0 and per_gap.kept[0] == 0


@pytest.mark.parametrize(
    ("arm", "first"),
    [("confident", 4), ("disagreeing", 7), ("sure_unsure", 4)],
)
def test_the_other_selections_ask_the_teacher_and_the_student(arm, first):
    lesson = Lesson()
    lesson.warm_logits, lesson.student_logits = np.zeros((10, 3)), np.zeros((10, 3))
    lesson.warm_logits[4, 0] = 8.0  # sure, and the student is not
    lesson.warm_logits[5, 0] = lesson.student_logits[5, 0] = 7.0  # both sure of the same
    lesson.warm_logits[6, 0], lesson.student_logits[6, 1] = 6.0, 6.0  # both sure, of different classes
    lesson.student_logits[7, 0] = 12.0  # the student alone is sure: the teacher's mass lies where it puts none
    assert list(teach(arm, lesson, **BUDGET | {"keep": 0.1})[1].kept) == [first]


def test_random_rows_are_as_many_and_others_with_another_seed():
    first, again, other = (
        teach("random_rows", Lesson(seed=seed), **BUDGET | {"keep": 5})[1].kept for seed in (1, 1, 2)
    )
    assert len(first) == 5 and list(first) == list(again) != list(other)


def test_a_balanced_budget_takes_the_same_share_of_every_predicted_class():
    lesson = Lesson()
    lesson.warm_logits = np.eye(3)[[0] * 6 + [1] * 4]
    lesson.influence = np.arange(10, 0, -1.0)  # class 0 first
    assert list(teach("filtered", lesson, **BUDGET | {"keep": 5}, per_gap=False)[1].kept) == [0, 1, 2, 3, 4]
    balanced = BUDGET | {"keep": 5, "balanced": True}
    assert list(teach("filtered", lesson, **balanced, per_gap=False)[1].kept) == [0, 1, 2, 6, 7]


def test_crossfit_hears_of_a_row_from_the_teacher_that_has_not_seen_it():
    lesson, targets = teach("crossfit", folds=3)
    unseen = [~asked["only"] for asked in lesson.asked]
    assert np.array_equal(np.sum(unseen, axis=0), np.ones(8))  # every labelled row in one fold
    for number, rows in enumerate(unseen):
        said = targets.logits[:8][rows, 0] - targets.logits[:8][rows, 1]
        np.testing.assert_allclose(said, number + 1, rtol=1e-6)
    probability = np.mean([softmax([level, 0.0, 0.0]) for level in (1, 2, 3)], axis=0)
    np.testing.assert_allclose(softmax(targets.logits[8]), probability, rtol=1e-6)


def test_a_group_stands_in_one_fold_and_more_folds_than_groups_are_one_line():
    rows = pd.DataFrame(
        {"label": [0, 1] * 30 + [-100] * 3, "group": [*np.repeat(range(20), 3), np.nan, np.nan, np.nan]}
    )
    fold = assign_folds(rows, 4, seed=1)
    assert list(fold[60:]) == [UNSEEN] * 3 and set(fold[:60]) == {0, 1, 2, 3}
    assert (pd.Series(fold[:60]).groupby(rows["group"][:60]).nunique() == 1).all()
    with pytest.raises(UserError, match="21 folds of train, whose groups and classes allow 20; set fewer"):
        assign_folds(rows, 21, seed=1)


def test_bagged_is_the_mean_of_as_many_teachers_that_have_seen_all_in_other_orders():
    lesson, targets = teach("bagged", teachers=3)
    assert all("only" not in asked for asked in lesson.asked)
    assert len({asked["order"] for asked in lesson.asked} | {0}) == 4  # none is the warm teacher again
    probability = np.mean([softmax([level, 0.0, 0.0]) for level in (1, 2, 3)], axis=0)
    np.testing.assert_allclose(softmax(targets.logits, axis=-1), np.tile(probability, (10, 1)), rtol=1e-6)


@pytest.mark.parametrize("arm", ["control", "tailored", "shuffled", "tilted"])
@pytest.mark.parametrize("base", ["crossfit", "bagged"])
def test_what_tailors_goes_on_from_its_base(arm, base):
    settings = {"base": base, "teachers": 3} | ({} if arm == "control" else {"lambda": 0.0})
    lesson, plain = Lesson(), teach(base, **{"folds" if base == "crossfit" else "teachers": 3})[1].logits
    lesson.asked = fresh = []
    targets = teach(arm, lesson, **settings)[1]
    assert len(fresh) == 3
    np.testing.assert_allclose(targets.logits if arm == "tilted" else lesson.asked["towards"], plain, rtol=1e-6)


def test_kd_train_is_kd_on_the_rows_with_a_label_for_as_long():
    targets = teach("kd_train")[1]
    assert targets.logits is UNCHANGED
    assert list(targets.kept) == list(range(8))
    assert targets.rows == 10


def test_early_is_the_same_warm_up_that_keeps_the_best_calibrated():
    lesson, targets = teach("early")
    assert lesson.asked == [{"name": "early", "keep": "calibrated"}]
    assert targets.teacher is None and targets.roles is None


def test_pooled_teaches_the_feedback_rows_too():
    assert teach("pooled")[1].roles == ("train", "transfer", "feedback")


def test_a_list_of_weights_is_a_trial_each():
    settings = ARM_SETTINGS["tailored"].model_validate(WARM | {"lambda": [0, 0.5, 2.0]})
    trials = dict(settings.trials())
    assert {name: tried.lambda_ for name, tried in trials.items()} == {"0": 0, "0.5": 0.5, "2": 2.0}
    assert not dict(ARM_SETTINGS["tailored"].model_validate(WARM | {"lambda": 0.5}).trials())
    for wrong in ([0.5, 2], [0], [0, 0], "0.5", -1, [0, -1]):
        with pytest.raises(ValidationError):
            ARM_SETTINGS["tailored"].model_validate(WARM | {"lambda": wrong})


def test_weighted_student_follows_the_influence_under_the_teacher():
    lesson, targets = teach("weighted_student", slope=1.0)
    assert (np.diff(targets.weights[np.argsort(lesson.influence)]) > 0).all()


def test_weights_are_bounded_have_mean_one_and_do_not_depend_on_the_unit():
    influence = RNG.normal(size=50)
    weights = bounded_weights(influence, 3.0)
    assert weights.mean() == pytest.approx(1)
    assert weights.min() > 0
    assert np.allclose(weights, bounded_weights(1e-6 * influence, 3.0))
    assert np.allclose(bounded_weights(influence, 0.0), 1)
    assert np.allclose(bounded_weights(np.zeros(5), 3.0), 1)


def test_weights_where_all_samples_hurt_far_beyond_their_spread_are_numbers():
    influence = np.linspace(-2.67e-4, -2.64e-4, 9, dtype=np.float32)  # of a tiny run: 290 deviations below zero
    weights = bounded_weights(influence, 2.0)
    assert weights.mean() == pytest.approx(1)
    assert (np.diff(weights) > 0).all()


def test_a_sample_of_weight_two_counts_as_two_samples():
    teacher, student = torch.randn(2, 3), torch.randn(2, 3)
    labels = torch.tensor([0, 2])
    mix = {"temperature": 2.0, "hard_label_weight": 0.3}

    def loss(weights, index):
        batch = {"index": torch.tensor(index), "labels": labels[index]}
        outputs = type("Outputs", (), {"logits": student[index]})
        return DistillationLoss(teacher, **mix, weights=weights)(outputs, batch)

    weighted = loss(torch.tensor([4 / 3, 2 / 3]), [0, 1])
    assert weighted.item() == pytest.approx(loss(None, [0, 0, 1]).item(), rel=1e-5)


def test_every_arm_has_its_section():
    assert set(ARM_SETTINGS) < set(type(load_params().teacher_tailored).model_fields)
