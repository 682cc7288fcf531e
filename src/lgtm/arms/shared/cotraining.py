"""A teacher that learns beside its student: a step of the teacher before every step of the student.

The methods are coefficients of one loss, that of the teacher T on the student's train batch:

    a CE(y, p_T) + b KL(p_T ‖ p_S) + c KL(p_S ‖ p_T) − λ mean_i I_i

    ProKT (Shi et al., 2021)         a and b
    deep mutual learning (2018)      a and c
    MetaDistil (Zhou et al., 2022)   λ: dL_F(θ')/dT through θ' = θ − η ∇ℓ(θ) is −η times the gradient of mean I
    LGTM (Ren et al., 2023, alg. 1)  a, c and λ, θ' by AdamW

I_i = ⟨∇L_F(θ'), ∇ℓ_i(θ)⟩ as in identity.py: θ' is the student after a tentative step on this batch, F a batch of the
feedback role, ℓ_i the loss that the student is about to descend. I_i is in closed form in T's logits, so a step takes,
with the student's own, 4 forward and 3 backward passes of the student and 2 and 1 of the teacher. Dropout is off in all
that is differenced: the feedback gradient and the tangents.
"""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_, get_total_norm

from lgtm.arms.shared.lesson import CoTraining
from lgtm.errors import UserError
from lgtm.influence.direction import Direction, normalise
from lgtm.influence.identity import distillation_influence, tangents, unit_scale
from lgtm.networks.cost import passes_of
from lgtm.networks.descent import Descent, require_finite
from lgtm.networks.encoding import EncodedTexts, EndlessBatches
from lgtm.networks.losses import Loss, co_teaching_loss, inputs_of
from lgtm.networks.parallel import summed
from lgtm.networks.training import count_steps
from lgtm.states import Tree

STEP_SIZE = 1e-4  # of the finite difference, relative to the length of the weights (see docs/log.md)


class CoTeacher:
    """A teacher to be called between a student's forward pass and its loss (a training.Companion).

    teacher, student: classifiers, the one for `train` encoded for the teacher, the other for `feedback` encoded for the
    student. loss: the student's, a DistillationLoss or HiddenMatching; the teacher's outputs on the batch become its
    targets. settings: the student's (params.Distill), whose steps, clipping and schedule the teacher shares;
    hard_label_weight: the one in `loss`. Raises UserError where training does not stay finite.
    """

    def __init__(
        self,
        teacher: nn.Module,
        student: nn.Module,
        loss: Loss,
        train: EncodedTexts,
        feedback: EncodedTexts,
        method: CoTraining,
        settings,
        *,
        hard_label_weight: float,
        learning_rate: float,
        precision: str,
        seed: int,
    ):
        steps = count_steps(len(train), settings)
        self.descent = Descent(teacher, Loss(), settings, learning_rate=learning_rate, precision=precision, steps=steps)
        self.teacher, self.learning_rate = self.descent.model, learning_rate
        # The copy shares the weights, but not the mixed precision that accelerate will put around the original's
        # forward pass: differences need every digit.
        self.student = copy.copy(student)
        self.loss, self.train, self.method, self.settings = loss, train, method, settings
        self.hard_label_weight = hard_label_weight
        self.feedback = EndlessBatches(feedback, settings.batch_size, torch.Generator().manual_seed(seed))

    def __call__(self, outputs, batch: dict[str, Tensor], optimizer: torch.optim.Optimizer) -> None:
        """One step of the teacher, then what it says of the batch as the student's targets."""
        method, index, labels = self.method, batch["index"], batch["labels"]
        inputs = inputs_of(_to(labels.device, self.train.collate([self.train[row] for row in index.tolist()])))
        inputs["output_hidden_states"] = self.loss.needs_hidden
        self.teacher.train()
        said = self.teacher(**inputs)
        value = co_teaching_loss(
            said.logits,
            outputs.logits.detach(),
            labels,
            label_weight=method.label_weight,
            teacher_kl_weight=method.teacher_kl_weight,
            student_kl_weight=method.student_kl_weight,
        )
        if method.influence:
            self.loss.retarget(index, said)
            student_logits, derivative = self._differentiate(outputs, batch, optimizer)
            influence = distillation_influence(
                student_logits,
                derivative,
                said.logits,
                labels,
                temperature=self.settings.temperature,
                hard_label_weight=self.hard_label_weight,
            )
            value = value - method.influence.weight * influence.mean()
        value = batch["share"] * value
        require_finite(value[None], self._step(), "the teacher beside its student", self.learning_rate)
        self.descent.step([value])
        self.teacher.eval()
        with torch.no_grad():
            self.loss.retarget(index, self.teacher(**inputs))

    def state(self) -> Tree:
        """All that its next steps depend on; what it has said of rows before, none does."""
        return {
            "descent": self.descent.state(),
            "feedback": self.feedback.state(),
            "passes": passes_of(self.teacher).state(),
        }

    def go_on(self, state: Tree) -> None:
        """Be where another was that had this state."""
        self.descent.go_on(state["descent"])
        self.feedback.go_on(state["feedback"])
        passes_of(self.teacher).go_on(state["passes"])

    def _differentiate(self, outputs, batch, optimizer) -> tuple[Tensor, Tensor]:
        """The student's logits and logit tangents on the batch, in the direction of its next feedback gradient."""
        parameters = {name: value for name, value in self.student.named_parameters() if value.requires_grad}
        # The graph stays: the student's own step goes back through it once more.
        value = batch["share"] * self.loss(outputs, batch)
        gradients = torch.autograd.grad(value, list(parameters.values()), retain_graph=True, materialize_grads=True)
        moved = tentative_step(
            self.method.influence.pilot, optimizer, parameters, summed(gradients), self.settings.max_grad_norm
        )
        self.student.eval()
        raw = self._feedback_gradient(moved)
        try:
            direction = normalise(raw)
        except ValueError as error:
            raise UserError(f"the teacher beside its student, step {self._step()}: {error}") from error
        ((logits, derivative),) = tangents(
            self.student, [batch], direction, method="finite_difference", step_size=STEP_SIZE
        )
        if self.method.influence.normalise:
            return logits, unit_scale(derivative, batch["share"])
        return logits, derivative * get_total_norm(list(raw.values()))

    def _feedback_gradient(self, weights: dict[str, Tensor]) -> Direction:
        """Gradient of the feedback loss at these weights, on the next batch of feedback."""
        batch = _to(next(iter(weights.values())).device, next(self.feedback))
        logits = functional_call(self.student, weights, (), inputs_of(batch)).logits
        value = batch["share"] * F.cross_entropy(logits, batch["labels"])
        gradients = torch.autograd.grad(value, list(weights.values()), materialize_grads=True)
        return dict(zip(weights, summed(gradients), strict=True))

    def _step(self) -> int:
        return self.descent.scheduler.last_epoch + 1


def tentative_step(
    kind: str,
    optimizer: torch.optim.Optimizer,
    parameters: dict[str, Tensor],
    gradients: Iterable[Tensor],
    max_grad_norm: float,
) -> dict[str, Tensor]:
    """The weights after a step of the optimizer's learning rate, the gradients clipped, that is not taken.

    kind: `adamw`, the step that the optimizer, an AdamW, would take, or `sgd`. gradients: in the order of parameters.
    Returns leaves that require gradients.
    """
    moved = {name: parameter.detach().clone().requires_grad_() for name, parameter in parameters.items()}
    for leaf, gradient in zip(moved.values(), gradients, strict=True):
        leaf.grad = gradient.clone()  # two parameters may have been given the same tensor
    clip_grad_norm_(moved.values(), max_grad_norm)
    leaves = {parameter: moved[name] for name, parameter in parameters.items()}
    groups = [
        group | {"params": [leaves[parameter] for parameter in group["params"] if parameter in leaves]}
        for group in optimizer.param_groups
    ]
    if kind == "adamw":
        pilot = torch.optim.AdamW(groups)
        for parameter, leaf in leaves.items():
            pilot.state[leaf] = {name: value.clone() for name, value in optimizer.state.get(parameter, {}).items()}
    else:
        pilot = torch.optim.SGD([{"params": group["params"], "lr": group["lr"]} for group in groups])
    pilot.step()
    for leaf in moved.values():
        leaf.grad = None
    return moved


def _to(device: torch.device, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.to(device) for name, value in batch.items()}
