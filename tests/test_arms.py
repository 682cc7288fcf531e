"""What every arm asks of its lesson, and what it hands to the student."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from lgtm.arms.shared.lesson import Targets
from lgtm.arms.shared.weights import bounded_weights
from lgtm.networks.losses import DistillationLoss, TailoringLoss
from lgtm.params import ARM_SETTINGS, ARMS, load_params

RNG = np.random.default_rng(0)


@dataclass
class Lesson:
    """A lesson of ten samples that notes how a teacher would be retrained."""

    seed: int = 3
    hard_label_weight: float = 0.0
    warm_logits: np.ndarray = field(default_factory=lambda: RNG.normal(size=(10, 3)))
    tangents: np.ndarray = field(default_factory=lambda: RNG.normal(size=(10, 3)))
    influence: np.ndarray = field(default_factory=lambda: RNG.normal(size=10))
    influence_label: np.ndarray = field(default_factory=lambda: RNG.normal(size=10))

    def retrain(self, **asked):
        self.asked = asked
        return Targets(self.warm_logits + 1, teacher="new")


def teach(arm: str, lesson: Lesson | None = None, **settings):
    lesson = lesson or Lesson()
    return lesson, ARMS[arm].teach(ARM_SETTINGS[arm].model_validate(settings), lesson)


def test_ce_has_no_teacher_and_kd_the_warm_one():
    assert teach("ce")[1] is None
    lesson, targets = teach("kd")
    assert targets.teacher is None
    assert np.array_equal(targets.logits, lesson.warm_logits)


def test_kd_longer_is_kd_for_more_epochs():
    lesson, targets = teach("kd_longer", epochs_factor=2.5)
    assert np.array_equal(targets.logits, lesson.warm_logits)
    assert targets.epochs_factor == 2.5


def test_tailored_and_control_differ_in_the_influence_alone():
    tailored, _ = teach("tailored", **{"lambda": 0.7})
    control, _ = teach("control")
    assert tailored.asked == {"influence_weight": 0.7}
    assert control.asked == {"influence_weight": 0.0}


def test_shuffled_is_tailored_with_the_tangents_of_other_samples():
    lesson, _ = teach("shuffled", **{"lambda": 0.7})
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
    found = teach("tilted", lesson, **{"lambda": weight})[1].logits
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


def test_filtered_drops_the_least_helpful_and_keeps_the_scale_of_the_loss():
    lesson, targets = teach("filtered", keep=0.8)
    dropped = np.flatnonzero(targets.weights == 0)
    assert set(dropped) == set(np.argsort(lesson.influence)[:2])
    assert targets.weights.mean() == pytest.approx(1)
    assert np.allclose(teach("filtered", keep=1.0)[1].weights, 1)


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
