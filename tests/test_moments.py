"""AdamW's second moments, which precondition the direction, against AdamW written out (Loshchilov and Hutter, 2019)."""

import copy
import math
from types import SimpleNamespace

import pytest
import tiny
import torch
from torch.nn import functional as F

from lgtm.networks.encoding import EncodedTexts, training_batches
from lgtm.networks.losses import LabelLoss, inputs_of
from lgtm.networks.training import count_steps, fit

RATE, SEED, BATCH, DECAY, LONGEST = 3e-3, 3, 8, 0.1, 0.5
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
SETTINGS = {
    "epochs": 2,
    "min_steps": 0,
    "batch_size": BATCH,
    "warmup_ratio": 0.2,
    "weight_decay": DECAY,
    "max_grad_norm": LONGEST,
    "evaluations": 10,
}


def student():
    model = tiny.model("bert", 2).double()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


def rows(first: int, number: int, truth: bool = True) -> EncodedTexts:
    frame = tiny.table(number, start=first)
    return EncodedTexts(frame if truth else frame.assign(label=1 - frame["label"]), tiny.tokenizer(), max_length=16)


def trained(selection: EncodedTexts, keep: str, earlier: int = 0, start: bool = True):
    """What fit leaves after two epochs of five steps, and what it hands over on the way."""
    model, handed, settings = student(), [], SimpleNamespace(**SETTINGS, keep=keep)
    fitted = fit(
        model,
        LabelLoss(),
        rows(0, 36),
        selection,
        settings,
        steps=count_steps(36, settings),
        learning_rate=RATE,
        precision="fp32",
        seed=SEED,
        metrics=["accuracy"],
        log=lambda step, values: None,
        description="test",
        earlier=earlier,
        keep_earlier=lambda now: handed.append((now.step, copy.deepcopy(model), now.second_moments)),
        start=start,
    )
    return model, fitted, handed


def written_out() -> list[tuple[dict, dict]]:
    """Weights and bias-corrected second moments by name after every one of the ten steps, by AdamW step by step."""
    model = copy.deepcopy(student())
    parameters = dict(model.named_parameters())
    first, second = ({name: torch.zeros_like(p) for name, p in parameters.items()} for _ in range(2))
    generator, steps = torch.Generator().manual_seed(SEED), []
    batches = training_batches(rows(0, 36), BATCH, generator)
    for count, batch in enumerate([*batches, *batches], start=1):
        loss = F.cross_entropy(model(**inputs_of(batch)).logits, batch["labels"])
        gradients = torch.autograd.grad(loss, list(parameters.values()))
        length = math.sqrt(sum((gradient**2).sum().item() for gradient in gradients))
        scale = min(1.0, LONGEST / (length + 1e-6))  # as torch clips
        done = count - 1  # the rate of a step is that after the steps before it: up for two, then down to nothing
        rate = RATE * (done / 2 if done < 2 else (10 - done) / 8)
        for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True):
            first[name] = BETA1 * first[name] + (1 - BETA1) * scale * gradient
            second[name] = BETA2 * second[name] + (1 - BETA2) * (scale * gradient) ** 2
            step = first[name] / (1 - BETA1**count) / ((second[name] / (1 - BETA2**count)).sqrt() + EPSILON)
            with torch.no_grad():
                parameter -= rate * (step + (DECAY * parameter if parameter.ndim > 1 else 0.0))
        weights = {name: parameter.detach().clone() for name, parameter in parameters.items()}
        steps.append((weights, {name: value / (1 - BETA2**count) for name, value in second.items()}))
    return steps


@pytest.fixture(scope="module")
def steps():
    return written_out()


def assert_same(model, moments: dict, expected: tuple[dict, dict]) -> None:
    weights, true_moments = expected
    named = dict(model.named_parameters())
    assert named.keys() == moments.keys()
    for name, parameter in named.items():
        # A gradient that is zero but for rounding, as of a key's bias, makes a step of 1e-9. torch counts the steps
        # in single precision, which is felt where 1 − 0.999^t is small.
        torch.testing.assert_close(parameter.detach(), weights[name], rtol=1e-6, atol=1e-8, msg=name)
        torch.testing.assert_close(moments[name], true_moments[name], rtol=1e-4, atol=1e-30, msg=name)


def test_the_last_step_has_the_moments_of_the_last_step(steps):
    model, fitted, _ = trained(rows(36, 8), keep="last")
    assert fitted.step == 10
    assert_same(model, fitted.second_moments, steps[9])


def test_the_best_step_has_its_own_moments_not_the_last_ones(steps):
    # On labels turned round, the student is best before it has learnt; here of its steps one has to be the best.
    model, fitted, _ = trained(rows(36, 8, truth=False), keep="best", start=False)
    assert 0 < fitted.step < 10
    assert_same(model, fitted.second_moments, steps[fitted.step - 1])


def test_an_earlier_checkpoint_has_its_own(steps):
    _, _, handed = trained(rows(36, 8), keep="last", earlier=1)
    ((step, model, moments),) = handed
    assert step == 5
    assert_same(model, moments, steps[4])
