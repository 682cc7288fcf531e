"""Distillation influence: how much a step on each training sample helps the student generalise.

Notation follows the paper (Ren et al., ACL 2023, section 3): student θ with logits s, p_S = softmax(s); teacher
probabilities p_T; the feedback set F. All conventions of sign and scale stand here:

* loss of sample i       ℓ_i(θ) = (1 − α) T² CE(p_T^(T), p_S^(T)) + α CE(y, p_S), where p^(T) = softmax(logits / T)
* direction              v = ∇_θ L_F(θ), L_F the mean cross-entropy on F, dropout off; optionally divided by the
                         square root of AdamW's second moments; restricted to a scope; scaled to unit length
* influence              I_i = ⟨v, ∇_θ ℓ_i⟩. I_i > 0: a gradient step on sample i lowers the feedback loss.
* logit tangent          ṡ_i = d/dε s_i(θ + εv) at ε = 0
* the key identity       I_i = Σ_c ∂ℓ_i/∂s_c ṡ_i,c = (1 − α) T Σ_c (p_S^(T) − p_T^(T))_c ṡ_i,c + α Σ_c (p_S − y)_c ṡ_i,c

So s and ṡ, N × C each, are enough for the influence under any teacher, and it is differentiable in the teacher.
"""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp
from torch.nn import functional as F

from lgtm.losses import inputs_of

Direction = dict[str, Tensor]
ADAM_EPSILON = 1e-8


def distillation_influence(
    student_logits: Tensor,
    tangents: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    temperature: float,
    hard_label_weight: float,
) -> Tensor:
    """Influence I_i of every sample under a teacher (the key identity above).

    student_logits, tangents, teacher_logits: N × C; labels: N class ids. Returns N values; differentiable in the
    teacher's logits.
    """
    gap = (student_logits / temperature).softmax(-1) - (teacher_logits / temperature).softmax(-1)
    soft = temperature * (gap * tangents).sum(-1)
    return (1 - hard_label_weight) * soft + hard_label_weight * label_influence(student_logits, tangents, labels)


def label_influence(student_logits: Tensor, tangents: Tensor, labels: Tensor) -> Tensor:
    """Influence of every sample under its label: the identity with a one-hot teacher at T = 1. Returns N values."""
    gap = student_logits.softmax(-1) - F.one_hot(labels, student_logits.shape[-1])
    return (gap * tangents).sum(-1)


def unit_scale(tangents: Tensor) -> Tensor:
    """Tangents (N × C) centred over the classes and divided by their root mean square: the unit that λ is in.

    Centring changes no influence, since p_S − p_T sums to zero. Tangents that are all zero stay zero.
    """
    centred = tangents - tangents.mean(-1, keepdim=True)
    scale = centred.square().mean().sqrt()
    return centred / scale if scale > 0 else centred


def scope_parameters(model: nn.Module, scope: str) -> list[str]:
    """Names of the model's parameters in a scope.

    `head` is what transformers puts on top of the encoder, `encoder` is the rest without the embeddings, whose sparse
    and large gradients drown the others, and `all` is everything.
    """
    encoder = model.base_model_prefix + "."
    embeddings = encoder + "embeddings."
    names = [name for name, _ in model.named_parameters()]
    match scope:
        case "all":
            return names
        case "head":
            return [name for name in names if not name.startswith(encoder)]
        case "encoder":
            return [name for name in names if name.startswith(encoder) and not name.startswith(embeddings)]
    raise ValueError(f"unknown scope {scope!r}")


def feedback_gradient(model: nn.Module, batches: Iterable[dict[str, Tensor]], names: list[str]) -> Direction:
    """Gradient of the mean cross-entropy over the feedback batches, by parameter name; the model is in eval mode."""
    parameters = dict(model.named_parameters())
    chosen = [parameters[name] for name in names]
    total = [torch.zeros_like(parameter) for parameter in chosen]
    count = 0
    for batch in batches:
        loss = F.cross_entropy(model(**inputs_of(batch)).logits, batch["labels"], reduction="sum")
        for sum_, gradient in zip(total, torch.autograd.grad(loss, chosen), strict=True):
            sum_ += gradient
        count += len(batch["labels"])
    return {name: gradient / count for name, gradient in zip(names, total, strict=True)}


def precondition(direction: Direction, second_moments: Direction) -> Direction:
    """The direction that the student's own AdamW would step in: divided by the square root of its second moments."""
    return {name: value / (second_moments[name].sqrt() + ADAM_EPSILON) for name, value in direction.items()}


def normalise(direction: Direction) -> Direction:
    """The direction scaled to unit length. Raises ValueError when it is zero or not finite."""
    norm = _norm(direction.values())
    if not torch.isfinite(norm) or norm == 0:
        raise ValueError(f"the feedback gradient has length {norm.item()}")
    return {name: value / norm for name, value in direction.items()}


def tangents(
    model: nn.Module, batches: Iterable[dict[str, Tensor]], direction: Direction, *, method: str, step_size: float
) -> Iterator[tuple[Tensor, Tensor]]:
    """Student logits and logit tangents of every batch, both batch × C, streamed.

    `finite_difference` takes two plain forward passes at θ ± εv, with ε = step_size · ‖θ‖ over the direction's
    parameters, and the logits are the mean of the two, an error of second order in ε. `forward` is forward-mode
    differentiation; the model needs eager attention, since fused attention has no forward-mode rule.
    """
    parameters = {name: value.detach() for name, value in model.named_parameters()}
    if method == "forward":
        yield from _forward_mode(model, batches, parameters, direction)
    elif method == "finite_difference":
        epsilon = step_size * _norm(parameters[name] for name in direction)
        yield from _finite_difference(model, batches, parameters, direction, epsilon)
    else:
        raise ValueError(f"unknown method {method!r}")


def _finite_difference(model, batches, parameters, direction, epsilon) -> Iterator[tuple[Tensor, Tensor]]:
    plus = parameters | {name: parameters[name] + epsilon * v for name, v in direction.items()}
    minus = parameters | {name: parameters[name] - epsilon * v for name, v in direction.items()}
    with torch.no_grad():
        for batch in batches:
            up = functional_call(model, plus, (), inputs_of(batch)).logits
            down = functional_call(model, minus, (), inputs_of(batch)).logits
            yield (up + down) / 2, (up - down) / (2 * epsilon)


def _forward_mode(model, batches, parameters, direction) -> Iterator[tuple[Tensor, Tensor]]:
    fixed = {name: value for name, value in parameters.items() if name not in direction}
    primal = {name: parameters[name] for name in direction}
    for batch in batches:

        def logits(moved, inputs=inputs_of(batch)):  # noqa: B008 - binds this batch's inputs
            return functional_call(model, fixed | moved, (), inputs).logits

        with torch.no_grad():
            yield jvp(logits, (primal,), (direction,))


def _norm(values: Iterable[Tensor]) -> Tensor:
    return torch.stack([value.norm() for value in values]).norm()
