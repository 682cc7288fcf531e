"""The losses against their formulas, and the tailored teacher against its closed form."""

from types import SimpleNamespace

import torch
from torch.nn import functional as F

from lgtm.influence.identity import distillation_influence, unit_scale
from lgtm.networks.losses import DistillationLoss, HiddenMatching, LabelLoss, TailoringLoss

ROWS, CLASSES = 12, 3


def random(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def batch_of(index):
    return {"index": torch.tensor(index), "labels": torch.tensor(index) % CLASSES}


def outputs(logits, hidden=None):
    return SimpleNamespace(logits=logits, hidden_states=hidden)


def test_distillation_looks_up_its_rows_and_mixes_the_labels():
    teacher, batch = random(ROWS, CLASSES, seed=0), batch_of([5, 2, 9])
    logits = random(3, CLASSES, seed=1)
    temperature, mix = 3.0, 0.25
    target = (teacher[batch["index"]] / temperature).softmax(-1)
    soft = (target * (target.log() - (logits / temperature).log_softmax(-1))).sum(-1).mean() * temperature**2
    expected = (1 - mix) * soft + mix * F.cross_entropy(logits, batch["labels"])
    found = DistillationLoss(teacher, temperature, mix)(outputs(logits), batch)
    torch.testing.assert_close(found, expected)


def test_distillation_from_oneself_is_zero_and_has_no_gradient():
    teacher, batch = random(ROWS, CLASSES, seed=0), batch_of([0, 1, 2])
    logits = teacher[:3].clone().requires_grad_()
    loss = DistillationLoss(teacher, 2.0, 0.0)(outputs(logits), batch)
    loss.backward()
    assert abs(loss.item()) < 1e-6
    assert logits.grad.abs().max() < 1e-6


def test_hidden_matching_is_zero_for_parallel_states():
    hidden = random(ROWS, 4, seed=0)
    loss = HiddenMatching(LabelLoss(), hidden, student_width=4, weight=10.0)
    loss.projection.weight.data = torch.eye(4)
    batch, logits = batch_of([3, 4]), random(2, CLASSES, seed=1)
    same = 7 * hidden[3:5, None]
    torch.testing.assert_close(loss(outputs(logits, [same]), batch), LabelLoss()(outputs(logits), batch))
    assert loss(outputs(logits, [-same]), batch) > LabelLoss()(outputs(logits), batch) + 39


def tailoring(warm, student, tangents, **changes):
    settings = dict(
        anchor="warm_teacher", student_weight=0.0, influence_weight=1.5, temperature=1.0, hard_label_weight=0.0
    )
    return TailoringLoss(warm, student, tangents, **settings | changes)


def test_the_anchored_optimum_is_the_tilt_in_closed_form():
    # In double precision: single does not bring the optimizer to the optimum on every machine.
    warm, student, tangents = (random(ROWS, CLASSES, seed=seed).double() for seed in range(3))
    tangents = unit_scale(tangents)
    loss, batch = tailoring(warm, student, tangents), batch_of(list(range(ROWS)))
    logits = warm.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([logits], max_iter=300, tolerance_grad=1e-9, tolerance_change=1e-12)

    def closure():
        optimizer.zero_grad()
        value = ROWS * loss(outputs(logits), batch)
        value.backward()
        return value

    optimizer.step(closure)
    torch.testing.assert_close(logits.softmax(-1), (warm - 1.5 * tangents).softmax(-1), atol=1e-6, rtol=1e-5)


def test_the_tailoring_gradient_is_the_influence_gradient():
    warm, student, tangents = (random(ROWS, CLASSES, seed=seed) for seed in range(3))
    batch = batch_of(list(range(ROWS)))
    for temperature, mix in ((1.0, 0.0), (2.0, 0.3)):
        kind = dict(temperature=temperature, hard_label_weight=mix)
        logits = random(ROWS, CLASSES, seed=3).requires_grad_()
        on, off = (tailoring(warm, student, tangents, influence_weight=w, **kind) for w in (1.0, 0.0))
        (found,) = torch.autograd.grad(off(outputs(logits), batch) - on(outputs(logits), batch), logits)
        influence = distillation_influence(student, tangents, logits, batch["labels"], **kind).mean()
        (expected,) = torch.autograd.grad(influence, logits)
        torch.testing.assert_close(found, expected)


def test_without_influence_the_anchor_decides():
    warm, student, tangents = (random(ROWS, CLASSES, seed=seed) for seed in range(3))
    batch = batch_of([1, 2])
    at_warm = outputs(warm[1:3])
    assert abs(tailoring(warm, student, tangents, influence_weight=0.0)(at_warm, batch)) < 1e-6
    labels = tailoring(warm, student, tangents, influence_weight=0.0, anchor="labels")
    torch.testing.assert_close(labels(at_warm, batch), LabelLoss()(at_warm, batch))
    towards = tailoring(warm, student, tangents, influence_weight=0.0, student_weight=2.0)
    gap = (warm[1:3].softmax(-1) * (warm[1:3].log_softmax(-1) - student[1:3].log_softmax(-1))).sum(-1).mean()
    torch.testing.assert_close(towards(at_warm, batch), 2 * gap)
