"""The sign and the direction of every feedback loss, each against a loss written out here and against what steps do."""

import copy
import math
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
import torch
from test_influence import ragged_batches, single_rows
from torch.nn import functional as F

from lgtm.influence.direction import feedback_gradient, feedback_loss, normalise, precondition, scope_parameters
from lgtm.influence.identity import distillation_influence, label_influence, tangents
from lgtm.influence.validation import detection
from lgtm.networks.encoding import EncodedTexts, ordered_batches
from lgtm.networks.losses import LabelLoss, inputs_of
from lgtm.networks.training import count_steps, fit, predict

CLASSES, TEMPERATURE, MIX = 3, 2.0, 0.2
KINDS = ["cross_entropy", "calibrated", "margin"]


def nll(logits, labels, temperature=1.0):
    """Mean of −log p_y, p_c = exp(z_c / T) / Σ exp(z / T)."""
    values = []
    for row, label in zip(logits, labels, strict=True):
        powers = torch.exp(row / temperature)
        values.append(-torch.log(powers[label] / powers.sum()))
    return torch.stack(values).mean()


def minus_mean_margin(logits, labels):
    """Minus the mean over classes of the mean over a class's rows of its logit above the mean logit."""
    by_class = []
    for label in range(logits.shape[1]):
        rows = [row[label] - row.mean() for row, own in zip(logits, labels, strict=True) if own == label]
        by_class.append(torch.stack(rows).mean())
    return -torch.stack(by_class).mean()


def held_out_loss(kind, start_logits, labels):
    """The feedback loss as a function of logits; `calibrated`: at the temperature of a grid that fits the start."""
    if kind == "margin":
        return lambda logits: minus_mean_margin(logits, labels)
    temperature = 1.0
    if kind == "calibrated":
        grid = [math.exp(power) for power in np.linspace(math.log(0.05), math.log(20), 2001)]
        temperature = min(grid, key=lambda t: F.cross_entropy(start_logits / t, labels))
    return lambda logits: nll(logits, labels, temperature)


class Case:
    """A student in double precision, a feedback set, train, a teacher, and second moments or none."""

    def __init__(self, kind: str, preconditioned: bool):
        self.model = tiny.model("bert", CLASSES).double()
        self.feedback, self.train = ragged_batches(9, seed=1), ragged_batches(12, seed=2)
        self.train_rows = list(single_rows(self.train))
        self.labels = torch.cat([batch["labels"] for batch in self.train])
        self.teacher = torch.randn(12, CLASSES, generator=torch.Generator().manual_seed(3)).double()
        self.names = scope_parameters(self.model, "all")
        generator = torch.Generator().manual_seed(4)
        shapes = {name: self.model.get_parameter(name).shape for name in self.names}
        moments = {name: (torch.rand(shape, generator=generator) + 0.1).double() for name, shape in shapes.items()}
        self.moments = moments if preconditioned else None
        self.feedback_labels = torch.cat([batch["labels"] for batch in self.feedback])
        assert set(self.feedback_labels.tolist()) == set(range(CLASSES))
        self.kind, start = kind, self.feedback_logits().detach()
        self.held_out = held_out_loss(kind, start, self.feedback_labels)

    def feedback_logits(self):
        return torch.cat([self.model(**inputs_of(row)).logits for row in single_rows(self.feedback)])

    def influence(self):
        """By the library."""
        loss_sum = feedback_loss(self.kind, self.feedback_logits().detach(), self.feedback_labels)
        direction = feedback_gradient(self.model, self.feedback, self.names, loss_sum)
        if self.moments:
            direction = precondition(direction, self.moments)
        parts = list(tangents(self.model, self.train, normalise(direction), method="forward", step_size=0.0))
        logits, derivative = (torch.cat(column) for column in zip(*parts, strict=True))
        mix = {"temperature": TEMPERATURE, "hard_label_weight": MIX}
        return distillation_influence(logits, derivative, self.teacher, self.labels, **mix)

    def steps(self):
        """For each sample, its gradient as the student's optimizer would step along it."""
        parameters = [self.model.get_parameter(name) for name in self.names]
        for row, teacher, label in zip(self.train_rows, self.teacher, self.labels, strict=True):
            logits = self.model(**inputs_of(row)).logits
            soft = torch.exp(teacher / TEMPERATURE) / torch.exp(teacher / TEMPERATURE).sum()
            heard = -(soft * torch.log_softmax(logits[0] / TEMPERATURE, -1)).sum() * TEMPERATURE**2
            loss = (1 - MIX) * heard + MIX * nll(logits, label[None])
            gradients = torch.autograd.grad(loss, parameters)
            if self.moments:
                gradients = [g / (self.moments[n].sqrt() + 1e-8) for n, g in zip(self.names, gradients, strict=True)]
            yield gradients

    def loss_after(self, step, size):
        """The feedback loss after a step of a sample, down its gradient."""
        with torch.no_grad():
            start = copy.deepcopy(self.model.state_dict())
            for name, value in zip(self.names, step, strict=True):
                self.model.get_parameter(name).sub_(size * value)
            found = self.held_out(self.feedback_logits()).item()
            self.model.load_state_dict(start)
        return found


@pytest.mark.parametrize("preconditioned", [False, True], ids=["raw", "adamw"])
@pytest.mark.parametrize("kind", KINDS)
def test_influence_is_how_fast_a_step_on_the_sample_lowers_the_feedback_loss(kind, preconditioned):
    case = Case(kind, preconditioned)
    parameters = [case.model.get_parameter(name) for name in case.names]
    direction = torch.autograd.grad(case.held_out(case.feedback_logits()), parameters)
    scaled = direction
    if case.moments:
        scaled = [v / (case.moments[name].sqrt() + 1e-8) for name, v in zip(case.names, direction, strict=True)]
    length = torch.sqrt(sum((v**2).sum() for v in scaled))
    found, size = case.influence(), 1e-6
    before = case.held_out(case.feedback_logits()).item()
    # ⟨v / √m, g⟩ = ⟨v, g / √m⟩: what the step of the optimizer does to the feedback loss, per size of step.
    falls = torch.tensor([(before - case.loss_after(step, size)) / size for step in case.steps()]) / length
    assert ((found - falls).norm() / falls.norm()).item() < 1e-3
    assert found.min() < 0 < found.max()


@pytest.mark.parametrize("kind", KINDS)
def test_a_descent_on_the_most_helpful_samples_lowers_the_feedback_loss_and_on_the_least_raises_it(kind):
    """With steps that are not small, the first order aside."""
    case = Case(kind, preconditioned=False)
    found, steps = case.influence(), list(case.steps())
    before = case.held_out(case.feedback_logits()).item()
    best, worst = (case.loss_after(steps[index], 1e-3) for index in (found.argmax(), found.argmin()))
    assert best < before < worst


@pytest.fixture(scope="module")
def noisy():
    """Students after a little training on sentences of which a fifth has the wrong label, and clean feedback."""
    frame, clean = tiny.table(80), tiny.table(24, start=80)
    flipped = np.random.default_rng(0).permutation(80) < 16
    frame.loc[flipped, "label"] = 1 - frame.loc[flipped, "label"]
    train, feedback = (EncodedTexts(rows, tiny.tokenizer(), max_length=16) for rows in (frame, clean))
    students = [student_of(train, feedback, seed) for seed in range(6)]
    return SimpleNamespace(train=train, feedback=feedback, flipped=flipped, students=students)


def student_of(train, selection, seed):
    """A trained student and its second moments."""
    model = tiny.model("bert", 2)
    settings = SimpleNamespace(
        epochs=3,
        min_steps=0,
        batch_size=8,
        warmup_ratio=0.1,
        weight_decay=0.01,
        max_grad_norm=1.0,
        evaluations=1,
        keep="last",
    )
    fitted = fit(
        model,
        LabelLoss(),
        train,
        selection,
        settings,
        steps=count_steps(len(train), settings),
        learning_rate=2e-3,
        precision="fp32",
        seed=seed,
        metrics=["accuracy"],
        log=lambda step, values: None,
        description="test",
    )
    return model.eval(), fitted.second_moments


def in_order(data):
    return ordered_batches(data, 8, list(range(len(data))), torch.device("cpu"))


def found_flips(noisy, model, moments, kind):
    """AUC of the influence as a finder of flipped labels; preconditioned where there are moments."""
    labels = torch.tensor(noisy.feedback.labels)
    loss_sum = feedback_loss(kind, torch.from_numpy(predict(model, noisy.feedback, 8)), labels)
    direction = feedback_gradient(model, in_order(noisy.feedback), scope_parameters(model, "head"), loss_sum)
    if moments:
        direction = precondition(direction, moments)
    scored = tangents(model, in_order(noisy.train), normalise(direction), method="finite_difference", step_size=1e-4)
    logits, derivative = (torch.cat(column) for column in zip(*scored, strict=True))
    influence = label_influence(logits, derivative, torch.tensor(noisy.train.labels))
    return detection(influence.numpy(), noisy.flipped)["auc"]


# Not `calibrated`: a student that is right everywhere is left no direction, and docs/influence.md has it inverted.
@pytest.mark.parametrize("preconditioned", [False, True], ids=["raw", "adamw"])
@pytest.mark.parametrize("kind", ["cross_entropy", "margin"])
def test_flipped_labels_have_the_lower_influence(noisy, kind, preconditioned):
    aucs = [found_flips(noisy, model, moments if preconditioned else None, kind) for model, moments in noisy.students]
    # The task has few different texts, and a student's AUC is 0.6 to 1.0 by its seed. A turned sign gives 0.3 at most.
    assert np.mean(aucs) > 0.7, aucs


def test_a_parameter_that_the_logits_do_not_depend_on_has_no_part_in_the_direction():
    model, batches = tiny.model("bert", CLASSES), ragged_batches(6, seed=1)
    loss_sum = feedback_loss("margin", torch.zeros(3, CLASSES), torch.arange(CLASSES))
    without = feedback_gradient(model, batches, scope_parameters(model, "all"), loss_sum)
    model.bert.register_parameter("spare", torch.nn.Parameter(torch.ones(5)))
    with_it = feedback_gradient(model, batches, scope_parameters(model, "all"), loss_sum)
    assert not with_it.pop("bert.spare").any()
    assert all(torch.equal(with_it[name], value) for name, value in without.items())
