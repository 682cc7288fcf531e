"""Distillation influence: how much a step on each training sample helps the student generalise.

Notation follows the paper (Ren et al., ACL 2023, section 3): student θ with logits s, p_S = softmax(s); teacher
probabilities p_T; the feedback set F. All conventions of sign and scale stand here:

* loss of sample i       ℓ_i(θ) = (1 − α) T² CE(p_T^(T), p_S^(T)) + α CE(y, p_S), where p^(T) = softmax(logits / T)
* direction              v = ∇_θ L_F(θ), L_F the mean feedback loss on F, dropout off; restricted to a scope; optionally
                         divided by the square root of AdamW's second moments; scaled to unit length (direction.py)
* influence              I_i = ⟨v, ∇_θ ℓ_i⟩. I_i > 0: a gradient step on sample i lowers the feedback loss.
* logit tangent          ṡ_i = d/dε s_i(θ + εv) at ε = 0
* the key identity       I_i = Σ_c ∂ℓ_i/∂s_c ṡ_i,c = (1 − α) T Σ_c (p_S^(T) − p_T^(T))_c ṡ_i,c + α Σ_c (p_S − y)_c ṡ_i,c

So s and ṡ, N × C each, are enough for the influence under any teacher, and it is differentiable in the teacher. T and α
are those of the loss that the student is distilled with, unless a run scores another one (params.Params.scored_loss).

* unit of λ              ṡ centred over the classes, divided by its root mean square over train (unit_scale)
* tailored teacher       minimises anchor − λ mean_i I_i, the warm anchor being T² KL(p_T^(T) ‖ p_warm^(T)) (losses.py)
* its optimum            z = z_warm − λ (1 − α) ṡ for every T: only ℓ's soft part hears the teacher (arms/tilted.py)
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.utils import get_total_norm

from lgtm.influence.direction import Direction
from lgtm.networks.losses import inputs_of
from lgtm.networks.parallel import summed


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
    """Influence of every sample under its label: the identity with a one-hot teacher at T = 1. Returns N values.

    A label below 0 says that there is none: no loss, and so no influence.
    """
    gap = student_logits.softmax(-1) - F.one_hot(labels.clamp(min=0), student_logits.shape[-1])
    return (gap * tangents).sum(-1) * (labels >= 0)


def unit_scale(tangents: Tensor, share: Tensor | None = None) -> Tensor:
    """Tangents (N × C) centred over the classes and divided by their root mean square: the unit that λ is in.

    Centring changes no influence, since p_S − p_T sums to zero. Tangents that are all zero stay zero. share: of the
    rows that these are, where other processes have the others (see parallel.py).
    """
    centred = tangents - tangents.mean(-1, keepdim=True)
    mean_square = centred.square().mean()
    if share is not None:
        (mean_square,) = summed([share * mean_square])
    scale = mean_square.sqrt()
    return centred / scale if scale > 0 else centred


def combine(
    scored: list[tuple[Tensor, Tensor]],
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    temperature: float,
    hard_label_weight: float,
) -> dict[str, Tensor]:
    """Influence and tangents as means over a student's checkpoints, and the logits of the last one.

    scored: logits and tangents of each checkpoint (N × C), the earliest first. With several, their own are returned
    too, numbered from 1. The mean influence depends on the teacher through the mean tangents alone, so these are all
    that tailoring needs (TracIn, Pruthi et al., 2020, eq. 1, with equal weights on directions of unit length).
    """
    mix = {"temperature": temperature, "hard_label_weight": hard_label_weight}
    columns = {
        "influence": _mean(distillation_influence(*each, teacher_logits, labels, **mix) for each in scored),
        "influence_label": _mean(label_influence(*each, labels) for each in scored),
        "student_logits": scored[-1][0],
        "tangents": _mean(derivative for _, derivative in scored),
    }
    if len(scored) > 1:
        for number, (logits, derivative) in enumerate(scored, start=1):
            columns |= {f"student_logits_{number}": logits, f"tangents_{number}": derivative}
    return columns


def _mean(values: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean(0)


@torch.no_grad()
def tangents(
    model: nn.Module, batches: Iterable[dict[str, Tensor]], direction: Direction, *, method: str, step_size: float
) -> Iterator[tuple[Tensor, Tensor]]:
    """Student logits and logit tangents of every batch, both batch × C, streamed.

    `finite_difference` takes two plain forward passes at θ ± εv, with ε = step_size · ‖θ‖ over the direction's
    parameters, and the logits are the mean of the two, an error of second order in ε. `forward` is forward-mode
    differentiation; it needs eager attention, since fused attention has no forward-mode rule. Where the direction
    moves the head alone, the encoder runs once, as it is, and either method differentiates the head.
    """
    if method == "forward":
        differentiate = _forward_mode(model, direction)
    elif method == "finite_difference":
        differentiate = _finite_difference(model, direction, step_size)
    else:
        raise ValueError(f"unknown method {method!r}")
    head_alone = moves_head_alone(model, direction)
    for batch in batches:
        inputs = inputs_of(batch)
        with _encoded_once(model, inputs) if head_alone else nullcontext():
            scored = differentiate(inputs)
        yield scored


def moves_head_alone(model: nn.Module, direction: Iterable[str]) -> bool:
    """Whether the direction, or names of parameters, leaves the encoder alone."""
    return not any(name.startswith(model.base_model_prefix + ".") for name in direction)


def _finite_difference(model, direction, step_size):
    epsilon = step_size * get_total_norm([model.get_parameter(name) for name in direction]).item()
    ahead, behind = (_moved(model, direction, step) for step in (epsilon, -epsilon))

    def differentiate(inputs):
        up, down = ahead(**inputs).logits, behind(**inputs).logits
        return (up + down) / 2, (up - down) / (2 * epsilon)

    return differentiate


def _moved(model: nn.Module, direction: Direction, step: float) -> nn.Module:
    """A copy of the model a step along the direction; the two share the modules in which nothing moves."""
    moving = {id(model.get_parameter(name)) for name in direction}
    still = [module for module in model.modules() if moving.isdisjoint(map(id, module.parameters()))]
    copy = deepcopy(model, {id(module): module for module in still})
    for name, v in direction.items():
        copy.get_parameter(name).add_(v, alpha=step)
    return copy


def _forward_mode(model, direction):
    parameters = dict(model.named_parameters())

    def differentiate(inputs):
        # Dual numbers by hand: torch.func.jvp computes the same through its interpreter, a tenth slower.
        with forward_ad.dual_level():
            dual = {name: forward_ad.make_dual(parameters[name], v) for name, v in direction.items()}
            logits = functional_call(model, dual, (), inputs).logits
            return tuple(forward_ad.unpack_dual(logits))

    return differentiate


@contextmanager
def _encoded_once(model: nn.Module, inputs: dict[str, Tensor]) -> AbstractContextManager[None]:
    """Run the encoder on these inputs once; inside the context the model only replays what it returned."""
    encoder, kept = model.base_model, []
    hook = encoder.register_forward_hook(lambda module, args, output: kept.append(output))
    model(**inputs)
    hook.remove()
    encoder.forward = lambda *args, **kwargs: kept[0]
    try:
        yield
    finally:
        del encoder.forward  # the class's own is underneath
