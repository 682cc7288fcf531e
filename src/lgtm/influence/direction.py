"""The direction in which a student is differentiated: the gradient of its feedback loss, restricted and preconditioned.

A direction maps names of parameters to tensors of their shapes. It is one vector however it is made, so scoring costs
the same two passes whatever is chosen here.
"""

import math
import re
from collections.abc import Callable, Iterable
from functools import partial

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import get_total_norm

from lgtm.networks.losses import inputs_of
from lgtm.networks.parallel import summed

Direction = dict[str, Tensor]
LossSum = Callable[[Tensor, Tensor], Tensor]
ADAM_EPSILON = 1e-8


def scope_parameters(model: nn.Module, scope: str | list[int]) -> list[str]:
    """Names of the model's parameters in a scope, without those that are frozen: no step moves them.

    `head` is what transformers puts on top of the encoder, `encoder` is the rest without the embeddings, whose sparse
    and large gradients drown the others, `all` is everything, and a list is the encoder's layers with these numbers,
    from 0. Raises ValueError for a layer that is not there.
    """
    encoder = model.base_model_prefix + "."
    embeddings = encoder + "embeddings."
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    match scope:
        case "all":
            return names
        case "head":
            return [name for name in names if not name.startswith(encoder)]
        case "encoder":
            return [name for name in names if name.startswith(encoder) and not name.startswith(embeddings)]
        case list():
            return _layers(names, scope)
    raise ValueError(f"unknown scope {scope!r}")


def _layers(names: list[str], layers: list[int]) -> list[str]:
    """Names in the given layers: the first number in a parameter's name is its layer's in every encoder we know."""
    numbers = {name: int(found[1]) for name in names if (found := re.search(r"\.(\d+)\.", name))}
    if missing := sorted(set(layers) - set(numbers.values())):
        raise ValueError(f"the student has layers 0 to {max(numbers.values())}, found {missing[0]}")
    return [name for name in names if numbers.get(name) in layers]


def feedback_loss(kind: str, logits: Tensor, labels: Tensor) -> LossSum:
    """The loss whose gradient is the direction, as a sum over a batch's logits and labels.

    `cross_entropy`; `calibrated`: cross-entropy at the temperature that suits the student best, so that the direction
    does not ask for more or less confidence; `margin`: minus the label's logit above the mean logit, every class with
    the same weight in all, a loss that no confidence saturates. logits, labels: the student's on feedback, to which
    temperature and weights are fitted.
    """
    match kind:
        case "cross_entropy":
            return partial(F.cross_entropy, reduction="sum")
        case "calibrated":
            return _at_temperature(best_temperature(logits, labels))
        case "margin":
            counts = torch.bincount(labels, minlength=logits.shape[-1])
            return _margin(len(labels) / (len(counts) * counts.clamp(min=1)))
    raise ValueError(f"unknown feedback loss {kind!r}")


def _at_temperature(temperature: float) -> LossSum:
    return lambda logits, labels: F.cross_entropy(logits / temperature, labels, reduction="sum")


def _margin(weights: Tensor) -> LossSum:
    def loss(logits, labels):
        margins = logits.gather(-1, labels[:, None])[:, 0] - logits.mean(-1)
        return -(weights.to(margins)[labels] * margins).sum()

    return loss


def best_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature at which the logits (N × C) have the lowest cross-entropy (Guo et al., 2017), in [0.05, 20]."""

    def cross_entropy(log_temperature):
        return F.cross_entropy(logits.double() / math.exp(log_temperature), labels).item()

    bounds = (math.log(0.05), math.log(20.0))
    return math.exp(minimize_scalar(cross_entropy, bounds=bounds, method="bounded").x)


def feedback_gradient(
    model: nn.Module, batches: Iterable[dict[str, Tensor]], names: list[str], loss_sum: LossSum
) -> Direction:
    """Gradient of the mean feedback loss over all processes' batches, by parameter name; the model is in eval mode.

    Zero for a parameter that the logits do not depend on; some encoders have such ones.
    """
    parameters = dict(model.named_parameters())
    chosen = [parameters[name] for name in names]
    total = [torch.zeros_like(parameter) for parameter in chosen]
    count = total[0].new_zeros(())
    for batch in batches:
        loss = loss_sum(model(**inputs_of(batch)).logits, batch["labels"])
        gradients = torch.autograd.grad(loss, chosen, materialize_grads=True)
        for sum_, gradient in zip(total, gradients, strict=True):
            sum_ += gradient
        count += len(batch["labels"])
    *total, count = summed([*total, count])
    return {name: gradient / count.item() for name, gradient in zip(names, total, strict=True)}


def precondition(direction: Direction, second_moments: Direction) -> Direction:
    """The direction that the student's own AdamW would step in: divided by the square root of its second moments."""
    return {name: value / (second_moments[name].sqrt() + ADAM_EPSILON) for name, value in direction.items()}


def normalise(direction: Direction) -> Direction:
    """The direction scaled to unit length. Raises ValueError when it is zero or not finite."""
    norm = get_total_norm(list(direction.values()))
    if not torch.isfinite(norm) or norm == 0:
        raise ValueError(f"the feedback gradient has length {norm.item()}")
    return {name: value / norm for name, value in direction.items()}
