"""The fast scores against the definition: a loop of per-sample autograd."""

import pytest
import tiny
import torch
from torch.nn import functional as F

from lgtm.influence.direction import (
    best_temperature,
    feedback_gradient,
    feedback_loss,
    normalise,
    precondition,
    scope_parameters,
)
from lgtm.influence.identity import combine, distillation_influence, label_influence, tangents, unit_scale
from lgtm.networks.losses import inputs_of

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
    direction = torch.autograd.grad(total, parameters, materialize_grads=True)
    if moments:
        direction = [v / (moments[name].sqrt() + 1e-8) for name, v in zip(names, direction, strict=True)]
    norm = torch.cat([v.flatten() for v in direction]).norm()
    scores = []
    for row, teacher in zip(single_rows(train), teacher_logits, strict=True):
        loss = distillation_loss(model(**inputs_of(row)).logits[0], teacher, row["labels"][0], temperature, mix)
        gradient = torch.autograd.grad(loss, parameters, materialize_grads=True)
        scores.append(sum((g * v).sum() for g, v in zip(gradient, direction, strict=True)) / norm)
    return torch.stack(scores)


CROSS_ENTROPY = feedback_loss("cross_entropy", torch.zeros(1, CLASSES), torch.zeros(1, dtype=torch.long))


def scored(model, feedback, train, names, method, moments=None):
    direction = feedback_gradient(model, feedback, names, CROSS_ENTROPY)
    if moments:
        direction = precondition(direction, moments)
    parts = list(tangents(model, train, normalise(direction), method=method, step_size=1e-4))
    return (torch.cat(column) for column in zip(*parts, strict=True))


def relative_error(found, true):
    return ((found - true).norm() / true.norm()).item()


@pytest.mark.parametrize("pooling", [None, "mean"])
@pytest.mark.parametrize("scope", ["all", "encoder", "head", [1]], ids=str)
@pytest.mark.parametrize("kind", tiny.SIZES)
def test_both_methods_agree_with_the_autograd_loop(kind, scope, pooling):
    model = tiny.model(kind, CLASSES, pooling=pooling)
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
    before = loss_on_feedback(model, feedback)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    for row, score in zip(single_rows(train), influence, strict=True):
        model.load_state_dict(start)
        loss = F.cross_entropy(model(**inputs_of(row)).logits, row["labels"])
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        # Small enough for the first order to decide, for all but the scores nearest zero.
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter.data -= 1e-4 * gradient
        if score.abs() > influence.abs().median() / 10:
            assert (loss_on_feedback(model, feedback) < before) == (score > 0)


@torch.no_grad()
def loss_on_feedback(model, feedback):
    rows = list(single_rows(feedback))
    return sum(F.cross_entropy(model(**inputs_of(row)).logits.double(), row["labels"]) for row in rows) / len(rows)


def test_scopes_split_the_model():
    model = tiny.model("bert", CLASSES)
    head, encoder, everything = (set(scope_parameters(model, scope)) for scope in ("head", "encoder", "all"))
    assert head == {"classifier.weight", "classifier.bias"}
    assert not head & encoder
    assert {name.split(".")[1] for name in everything - head - encoder} == {"embeddings"}


def test_a_layer_that_is_not_there_is_refused():
    assert {name.split(".")[3] for name in scope_parameters(tiny.model("bert", CLASSES), [0, 2])} == {"0", "2"}
    with pytest.raises(ValueError, match="layers 0 to 2, found 3"):
        scope_parameters(tiny.model("bert", CLASSES), [1, 3])


@pytest.mark.parametrize("pooling", [None, "mean"])
@pytest.mark.parametrize("kind", tiny.SIZES)
def test_the_head_alone_runs_the_encoder_once_and_leaves_it_as_it_was(kind, pooling):
    model, batches = tiny.model(kind, CLASSES, pooling=pooling), ragged_batches(8, seed=2)
    calls = []
    hook = model.base_model.register_forward_hook(lambda *args: calls.append(1))
    direction = normalise(feedback_gradient(model, batches, scope_parameters(model, "head"), CROSS_ENTROPY))
    calls.clear()
    for method in ("forward", "finite_difference"):
        list(tangents(model, batches, direction, method=method, step_size=1e-4))
    # Replays pass the hook too: one encoding, then one forward-mode head or two moved ones.
    assert len(calls) == len(batches) * (2 + 3)
    hook.remove()
    assert "forward" not in vars(model.base_model)


@pytest.mark.parametrize("method", ["forward", "finite_difference"])
def test_between_two_batches_the_model_is_itself(method):
    model, batches = tiny.model("bert", CLASSES), ragged_batches(8, seed=2)
    second = inputs_of(batches[1])
    expected = model(**second).logits
    direction = normalise(feedback_gradient(model, batches, scope_parameters(model, "head"), CROSS_ENTROPY))
    scored = tangents(model, batches, direction, method=method, step_size=1e-4)
    next(scored)
    torch.testing.assert_close(model(**second).logits, expected)
    assert torch.is_grad_enabled()


def test_the_calibrated_loss_is_at_the_temperature_of_least_cross_entropy():
    logits = torch.randn(200, CLASSES, generator=torch.Generator().manual_seed(0))
    labels = torch.distributions.Categorical(logits=logits / 3).sample()
    best = best_temperature(logits, labels)
    loss_sum = feedback_loss("calibrated", logits, labels)
    assert loss_sum(logits, labels) <= min(F.cross_entropy(logits / t, labels, reduction="sum") for t in (1, 2, 4, 8))
    assert best == pytest.approx(best_temperature(2 * logits, labels) / 2, rel=1e-3)


def test_the_margin_loss_weighs_classes_alike_and_does_not_saturate():
    labels = torch.tensor([0, 0, 0, 1, 2, 2])
    logits = torch.randn(6, CLASSES, generator=torch.Generator().manual_seed(0), requires_grad=True)
    loss_sum = feedback_loss("margin", logits, labels)
    (gradient,) = torch.autograd.grad(loss_sum(logits, labels), logits)
    (large,) = torch.autograd.grad(loss_sum(100 * logits, labels), logits)
    torch.testing.assert_close(large, 100 * gradient)
    by_class = [gradient[labels == label].abs().sum() for label in range(CLASSES)]
    torch.testing.assert_close(by_class[0].expand(CLASSES), torch.stack(by_class))


def test_several_checkpoints_are_averaged_and_the_mean_tangents_carry_the_teacher():
    generator = torch.Generator().manual_seed(0)
    checkpoints = [tuple(torch.randn(20, CLASSES, generator=generator) for _ in range(2)) for _ in range(3)]
    first, second = (torch.randn(20, CLASSES, generator=generator) for _ in range(2))
    labels = torch.randint(CLASSES, (20,), generator=generator)
    mix = {"temperature": 2.0, "hard_label_weight": 0.3}
    found = combine(checkpoints, first, labels, **mix)
    each = [distillation_influence(*checkpoint, first, labels, **mix) for checkpoint in checkpoints]
    torch.testing.assert_close(found["influence"], torch.stack(each).mean(0))
    torch.testing.assert_close(found["tangents_2"], checkpoints[1][1])
    # Another teacher changes the mean influence by what the mean tangents say, whatever the student's logits are.
    change = combine(checkpoints, second, labels, **mix)["influence"] - found["influence"]
    any_logits = torch.zeros(20, CLASSES)
    expected = distillation_influence(any_logits, found["tangents"], second, labels, **mix) - distillation_influence(
        any_logits, found["tangents"], first, labels, **mix
    )
    torch.testing.assert_close(change, expected)


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
