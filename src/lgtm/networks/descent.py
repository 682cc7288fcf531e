"""One step after another down the gradient of a loss: the optimizer, its schedule, what can be wrong with a step."""

from collections.abc import Iterable

import torch
from accelerate import Accelerator, PartialState
from torch import Tensor, nn
from transformers import get_scheduler

from lgtm.errors import UserError
from lgtm.networks.losses import Loss
from lgtm.networks.parallel import summed
from lgtm.states import Tree

MIXED_PRECISION = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


class Descent:
    """AdamW on a model and its loss's own weights, with a linear schedule, clipping and mixed precision.

    settings: a section of params.yaml (params.Training); steps: all that will be taken.
    """

    def __init__(self, model: nn.Module, loss: Loss, settings, *, learning_rate: float, precision: str, steps: int):
        require_precision(precision)
        self.accelerator = Accelerator(mixed_precision=MIXED_PRECISION[precision])
        self.max_grad_norm = settings.max_grad_norm
        # Fused: a step of the two-layer MiniLM, most of it embeddings, takes 24 ms on one core in place of 232 ms.
        groups = _decay_groups(model, loss, settings.weight_decay)
        optimizer = torch.optim.AdamW(groups, lr=learning_rate, fused=True)
        self.scheduler = get_scheduler("linear", optimizer, round(settings.warmup_ratio * steps), steps)
        self.optimizer = self.accelerator.prepare(optimizer)
        # evaluation_mode: without DistributedDataParallel, in whose place stands parallel.py.
        self.model, self.loss = (
            self.accelerator.prepare_model(module, evaluation_mode=True) for module in (model, loss)
        )

    def step(self, parts: Iterable[Tensor]) -> Tensor:
        """One step down the gradient of a loss that comes in parts, each forgotten before the next is asked for.

        parts: this process's, they and those of the other processes add up. Returns their sum, without its graph.
        """
        values = []
        for part in parts:
            self.accelerator.backward(part)
            values.append(part.detach())
        parameters = [*self.model.parameters(), *self.loss.parameters()]
        reached = [parameter for parameter in parameters if parameter.grad is not None]
        for parameter, gradient in zip(reached, summed([parameter.grad for parameter in reached]), strict=True):
            parameter.grad = gradient
        self.accelerator.clip_grad_norm_(parameters, self.max_grad_norm)
        self.optimizer.step()
        self.scheduler.step()
        self.optimizer.zero_grad()
        return torch.stack(values).sum()

    def state(self) -> Tree:
        """All that the next steps depend on but their batches."""
        optimizer, scaler = self.optimizer.state_dict(), self.accelerator.scaler
        return {
            "model": self.model.state_dict(),
            "loss": self.loss.state_dict(),
            "groups": optimizer["param_groups"],
            "parameters": list(optimizer["state"].items()),
            "scheduler": self.scheduler.state_dict(),
            "scaler": scaler.state_dict() if scaler else None,
        }

    def go_on(self, state: Tree) -> None:
        """Be where a descent was that had this state."""
        self.model.load_state_dict(state["model"])
        self.loss.load_state_dict(state["loss"])
        self.optimizer.load_state_dict({"param_groups": state["groups"], "state": dict(state["parameters"])})
        self.scheduler.load_state_dict(state["scheduler"])
        if state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])

    def finish(self) -> None:
        """Take the mixed precision off the model: from now on it says what it will say when it is loaded again."""
        self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False)


def require_precision(precision: str) -> None:
    """Raise UserError for a precision that this machine would quietly leave out."""
    if precision == "fp16" and PartialState().device.type == "cpu":
        raise UserError("params.yaml: precision: fp16 needs a GPU, and there is none; use fp32 or bf16")


def _decay_groups(model: nn.Module, loss: Loss, weight_decay: float) -> list[dict]:
    """Weight decay on matrices alone: biases and LayerNorm weights keep their scale."""
    parameters = [p for p in (*model.parameters(), *loss.parameters()) if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


def require_finite(values: Tensor, step: int, description: str, learning_rate: float) -> None:
    """Raise UserError, with what to do, where the losses of the last steps, up to this one, are not all finite."""
    if not (finite := torch.isfinite(values)).all():
        first = finite.tolist().index(False)
        raise UserError(
            f"{description}: the loss is {values[first].item()} at step {step - len(values) + first + 1}; nothing was"
            f" kept. Lower the learning rate"
            f" (now {learning_rate:g}, in the pair's card), or use precision fp32 or bf16 in params.yaml"
        )


def second_moments(model: nn.Module, optimizer) -> dict[str, Tensor]:
    """AdamW's bias-corrected second moments by parameter name.

    Zero for what no loss reaches, as its gradient is, and for all before the first step.
    """
    group = optimizer.param_groups[0]
    moments = {}
    for name, parameter in model.named_parameters():
        if state := optimizer.state.get(parameter):
            moments[name] = (state["exp_avg_sq"] / (1 - group["betas"][1] ** state["step"])).cpu()
        else:
            moments[name] = torch.zeros(parameter.shape)
    return moments
