"""The fast scores against the definition: a loop of per-sample autograd."""

import pytest
import tiny
import torch
from torch.nn import functional as F

from lgtm.influence import (
    distillation_influence,
    feedback_gradient,
    label_influence,
    normalise,
    precondition,
    scope_parameters,
    tangents,
    unit_scale,
)
from lgtm.losses import inputs_of

CLASSES = 3


def ragged_batches(rows: int, seed: int) -> list[dict]:
    generator = torch.Generator().manual_seed(seed)
    batches = []
    for start in range(0, rows, 4):
        lengths = torch.randint(3, 13, (min(4, rows - start),), generator=generator)
        mask = (torch.arange(lengths.max()) < lengths[:, None]).long()
        ids = torch.randint(4, 40, mask.shape, generator=generator) * mask
        labels = torch.randint(CLASSES, (len(lengths),), generator=generator)
        batches.append({"input_ids": ids, "attention_mask": mask, "labels": labels})
    return batches


def single_rows(batches):
    for batch in batches:
        for row in range(len(batch["labels"])):
            length = int(batch["attention_mask"][row].sum())
            yield {
                name: value[row : row + 1] if value.ndim == 1 else value[row : row + 1, :length]
                for name, value in batch.items()
            }


def distillation_loss(logits, teacher, label, temperature, mix):
    """Step 1 of the method, written out: cross-entropy at temperature T, times T², and the hard labels' share."""
    soft = -(torch.softmax(teacher / temperature, -1) * torch.log_softmax(logits / temperature, -1)).sum()
    return (1 - mix) * temperature**2 * soft + mix * F.cross_entropy(logits[None], label[None])


def autograd_influence(model, feedback, train, teacher_logits, names, temperature, mix, moments=None):
    """The definition: the inner product of the feedback gradient with each sample's own gradient."""
    parameters = [dict(model.named_parameters())[name] for name in names]
    rows = list(single_rows(feedback))
    total = sum(F.cross_entropy(model(**inputs_of(row)).logits, row["labels"]) for row in rows) / len(rows)
    direction = torch.autograd.grad(total, parameters)
    if moments:
        direction = [v / (moments[name].sqrt() + 1e-8) for name, v in zip(names, direction, strict=True)]
    norm = torch.cat([v.flatten() for v in direction]).norm()
    scores = []
    for row, teacher in zip(single_rows(train), teacher_logits, strict=True):
        loss = distillation_loss(model(**inputs_of(row)).logits[0], teacher, row["labels"][0], temperature, mix)
        gradient = torch.autograd.grad(loss, parameters)
        scores.append(sum((g * v).sum() for g, v in zip(gradient, direction, strict=True)) / norm)
    return torch.stack(scores)


def scored(model, feedback, train, names, method, moments=None):
    direction = feedback_gradient(model, feedback, names)
    if moments:
        direction = precondition(direction, moments)
    parts = list(tangents(model, train, normalise(direction), method=method, step_size=1e-4))
    return (torch.cat(column) for column in zip(*parts, strict=True))


def relative_error(found, true):
    return ((found - true).norm() / true.norm()).item()


@pytest.mark.parametrize("scope", ["all", "encoder", "head"])
@pytest.mark.parametrize("kind", tiny.SIZES)
def test_both_methods_agree_with_the_autograd_loop(kind, scope):
    model = tiny.model(kind, CLASSES)
    feedback, train = ragged_batches(6, seed=1), ragged_batches(10, seed=2)
    labels = torch.cat([batch["labels"] for batch in train])
    teacher = torch.randn(10, CLASSES, generator=torch.Generator().manual_seed(3))
    names = scope_parameters(model, scope)
    for method, tolerance in (("forward", 1e-5), ("finite_difference", 1e-3)):
        logits, derivative = scored(model, feedback, train, names, method)
        for temperature, mix in ((1.0, 0.0), (2.0, 0.0), (4.0, 0.3)):
            true = autograd_influence(model, feedback, train, teacher, names, temperature, mix)
            found = distillation_influence(
                logits, derivative, teacher, labels, temperature=temperature, hard_label_weight=mix
            )
            assert relative_error(found, true) < tolerance, (method, temperature, mix)


def test_preconditioned_direction_agrees_with_the_autograd_loop():
    model = tiny.model("bert", CLASSES)
    feedback, train = ragged_batches(6, seed=1), ragged_batches(10, seed=2)
    labels = torch.cat([batch["labels"] for batch in train])
    teacher = torch.randn(10, CLASSES, generator=torch.Generator().manual_seed(3))
    names = scope_parameters(model, "encoder")
    generator = torch.Generator().manual_seed(4)
    moments = {name: torch.rand(p.shape, generator=generator) + 0.1 for name, p in model.named_parameters()}
    true = autograd_influence(model, feedback, train, teacher, names, 1.0, 0.0, moments)
    logits, derivative = scored(model, feedback, train, names, "forward", moments)
    found = distillation_influence(logits, derivative, teacher, labels, temperature=1.0, hard_label_weight=0.0)
    assert relative_error(found, true) < 1e-5


def test_positive_influence_means_that_a_step_lowers_the_feedback_loss():
    model = tiny.model("bert", CLASSES)
    feedback, train = ragged_batches(12, seed=1), ragged_batches(20, seed=2)
    labels = torch.cat([batch["labels"] for batch in train])
    names = scope_parameters(model, "all")
    logits, derivative = scored(model, feedback, train, names, "forward")
    influence = label_influence(logits, derivative, labels)
    before = feedback_loss(model, feedback)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    for row, score in zip(single_rows(train), influence, strict=True):
        model.load_state_dict(start)
        loss = F.cross_entropy(model(**inputs_of(row)).logits, row["labels"])
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        # Small enough for the first order to decide, for all but the scores nearest zero.
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter.data -= 1e-4 * gradient
        if score.abs() > influence.abs().median() / 10:
            assert (feedback_loss(model, feedback) < before) == (score > 0)


@torch.no_grad()
def feedback_loss(model, feedback):
    rows = list(single_rows(feedback))
    return sum(F.cross_entropy(model(**inputs_of(row)).logits.double(), row["labels"]) for row in rows) / len(rows)


def test_scopes_split_the_model():
    model = tiny.model("bert", CLASSES)
    head, encoder, everything = (set(scope_parameters(model, scope)) for scope in ("head", "encoder", "all"))
    assert head == {"classifier.weight", "classifier.bias"}
    assert not head & encoder
    assert {name.split(".")[1] for name in everything - head - encoder} == {"embeddings"}


def test_unit_scale_centres_and_keeps_every_influence_up_to_one_factor():
    generator = torch.Generator().manual_seed(0)
    student, derivative, teacher = (torch.randn(50, CLASSES, generator=generator) for _ in range(3))
    labels = torch.randint(CLASSES, (50,), generator=generator)
    scaled = unit_scale(derivative)
    assert torch.allclose(scaled.sum(-1), torch.zeros(50), atol=1e-5)
    assert scaled.square().mean().sqrt().item() == pytest.approx(1.0, abs=1e-5)
    kind = dict(temperature=2.0, hard_label_weight=0.2)
    ratio = distillation_influence(student, derivative, teacher, labels, **kind) / distillation_influence(
        student, scaled, teacher, labels, **kind
    )
    assert torch.allclose(ratio, ratio[0].expand(50), rtol=1e-3)


def test_a_zero_direction_is_refused():
    with pytest.raises(ValueError, match="length"):
        normalise({"weight": torch.zeros(3)})
