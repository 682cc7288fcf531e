"""The one training loop, and prediction."""

import copy
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, PartialState
from torch import Tensor, nn
from tqdm import tqdm
from transformers import get_scheduler, set_seed

from lgtm.errors import UserError
from lgtm.networks.encoding import EncodedTexts, by_length, ordered_batches, training_batches
from lgtm.networks.losses import Loss, inputs_of
from lgtm.networks.metrics import evaluate_logits
from lgtm.networks.parallel import merged, own_batches, own_seed, summed

MIXED_PRECISION = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}
LOOKED_AT = 100  # steps after which at the latest it is asked whether losses were finite


@dataclass(frozen=True)
class Fitted:
    """What a training run leaves besides the trained model: the kept step and AdamW's second moments there."""

    step: int
    second_moments: dict[str, Tensor]


# Called with the model's outputs, the batch and the optimizer: after the forward pass, before the loss.
Companion = Callable[[Any, dict[str, Tensor], torch.optim.Optimizer], None]


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

    def finish(self) -> None:
        """Take the mixed precision off the model: from now on it says what it will say when it is loaded again."""
        self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False)


def require_precision(precision: str) -> None:
    """Raise UserError for a precision that this machine would quietly leave out."""
    if precision == "fp16" and PartialState().device.type == "cpu":
        raise UserError("params.yaml: precision: fp16 needs a GPU, and there is none; use fp32 or bf16")


def fit(
    model: nn.Module,
    loss: Loss,
    train: EncodedTexts,
    selection: EncodedTexts,
    settings,
    *,
    steps: int,
    learning_rate: float,
    precision: str,
    tokens_at_once: int | None = None,
    seed: int,
    metrics: list[str],
    log: Callable[[int, dict[str, float]], None],
    description: str,
    earlier: int = 0,
    keep_earlier: Callable[[Fitted], None] = lambda fitted: None,
    companion: Companion = lambda outputs, batch, optimizer: None,
    start: bool = True,
) -> Fitted:
    """Train `model` in place with `loss` for so many optimizer steps, and keep the best or the last weights.

    settings: a section of params.yaml (params.Training); count_steps says how many steps it asks for. A batch of more
    than `tokens_at_once` tokens, padding included, is taken in parts, to one step of its whole mean. `metrics` name
    the task's metrics; the first one, then the lower NLL, on the selection role decides what is best, and NLL alone
    what is best calibrated. It is asked in fp32 whatever the precision of the steps, as the weights are saved and
    loaded again, and the trained model is left in fp32. `log(step, values)` gets the curves, which begin at step 0,
    with the model as it comes: where no step makes it better on selection, that is the best. Without `start` the model
    is not asked before its steps. `keep_earlier` is called at `earlier` evenly spread steps before the end, with the
    model as it is then. `companion` is what learns beside the model, before the loss of each step, and wants batches
    whole. Without any step the model stays as it is. Raises UserError when the loss is not finite, before anything is
    kept of that, or for a precision that this machine has not.
    """
    if steps == 0:
        scores = evaluate_logits(predict(model, selection, settings.batch_size), selection.labels, metrics)
        log(0, {f"selection/{name}": value for name, value in scores.items()})
        return Fitted(0, {name: torch.zeros(parameter.shape) for name, parameter in model.named_parameters()})
    # Shares the weights, but not the mixed precision that accelerate puts around the original's forward pass.
    as_saved = copy.copy(model)
    descent = Descent(model, loss, settings, learning_rate=learning_rate, precision=precision, steps=steps)
    model, loss, optimizer = descent.model, descent.loss, descent.optimizer
    generator = torch.Generator().manual_seed(seed)
    batches = training_batches(train, settings.batch_size, generator)

    choice = Choice(model, optimizer, as_saved, selection, settings, metrics)
    due = _evenly(steps, settings.evaluations)
    due_earlier = _evenly(steps, earlier + 1) - {steps}
    losses: list[Tensor] = []
    with tqdm(total=steps, desc=description, unit="step", mininterval=1.0) as progress:
        if start:
            log(0, choice.evaluate(0, progress))
        # After that, which draws as any pass over data does: the steps are the same with and without it.
        set_seed(own_seed(seed))
        for step, batch in enumerate(endless(batches), start=1):
            batch = on_device(batch, descent.accelerator.device)
            model.train()
            losses.append(descent.step(_shares(model, loss, batch, tokens_at_once, companion, optimizer)))
            progress.update()
            # Only now and then: who looks at a number waits for the device.
            if step in due | due_earlier or step % LOOKED_AT == 0:
                (values,) = summed([torch.stack(losses)])
                require_finite(values, step, description, learning_rate)
            if step in due:
                log(step, {"train/loss": values.mean().item()} | choice.evaluate(step, progress))
                losses.clear()
            if step in due_earlier:
                keep_earlier(Fitted(step, _second_moments(model, optimizer)))
            if step == steps:
                break
    model.load_state_dict(choice.weights)
    descent.finish()
    return choice.kept


def on_device(batch: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """The batch on a device, but for `index`: what it looks up is on the CPU, and to ask a device for it is to wait."""
    return {name: value if name == "index" else value.to(device) for name, value in batch.items()}


def _shares(
    model: nn.Module, loss: Loss, batch: dict[str, Tensor], tokens_at_once: int | None, companion: Companion, optimizer
) -> Iterator[Tensor]:
    """The loss of a batch, part by part, each by its share of the rows: together its part of the whole mean."""
    for part in parts(batch, tokens_at_once):
        outputs = model(**inputs_of(part), output_hidden_states=loss.needs_hidden)
        companion(outputs, part, optimizer)
        yield part["share"] * loss(outputs, part)


def parts(batch: dict[str, Tensor], tokens: int | None) -> list[dict[str, Tensor]]:
    """The batch in as few parts as have at most so many tokens each, padding included; a row is never cut."""
    rows, width = batch["input_ids"].shape
    if tokens is None or rows * width <= tokens:
        return [batch]
    cut = {name: value.split(max(1, tokens // width)) for name, value in batch.items() if name != "share"}
    cut["share"] = [batch["share"] * (len(index) / rows) for index in cut["index"]]
    return [dict(zip(cut, values, strict=True)) for values in zip(*cut.values(), strict=True)]


class Choice:
    """What is kept of a training run: the best or the last of what was evaluated on selection.

    as_saved: the model as it will be saved, with the weights of the one that is trained.
    """

    def __init__(self, model: nn.Module, optimizer, as_saved: nn.Module, selection: EncodedTexts, settings, metrics):
        self.model, self.optimizer, self.as_saved = model, optimizer, as_saved
        self.selection, self.settings, self.metrics = selection, settings, metrics
        self.best = (-math.inf,)
        self.kept, self.weights = Fitted(0, {}), {}

    def evaluate(self, step: int, progress: tqdm) -> dict[str, float]:
        """Evaluate the model as it is at this step, and keep it if it is what to keep; returns the curves' values."""
        logits = predict(self.as_saved, self.selection, self.settings.batch_size)
        scores = evaluate_logits(logits, self.selection.labels, self.metrics)
        first = self.metrics[0]
        progress.set_postfix({first: f"{scores[first]:.4f}"})
        rank = (scores[first], -scores["nll"]) if self.settings.keep == "best" else (-scores["nll"],)
        if self.settings.keep == "last" or rank > self.best:
            self.best = rank
            self.kept = Fitted(step, _second_moments(self.model, self.optimizer))
            self.weights = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        return {f"selection/{name}": value for name, value in scores.items()}


@torch.inference_mode()
def predict(
    model: nn.Module, data: EncodedTexts, batch_size: int, hidden: bool = False
) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
    """Logits (N × C, float32) of every row in the table's order, dropout off.

    With `hidden`, also the last layer's first position (N × H, float16).
    """
    model.eval()
    device = next(model.parameters()).device
    own = own_batches(by_length(data), batch_size)
    logits, states = [], []
    for batch in ordered_batches(data, batch_size, own, device, "predict"):
        outputs = model(**inputs_of(batch), output_hidden_states=hidden)
        logits.append(outputs.logits.float().cpu())
        if hidden:
            states.append(outputs.hidden_states[-1][:, 0].half().cpu())
    found = [column.numpy() for column in merged(own, *([logits, states] if hidden else [logits]))]
    return tuple(found) if hidden else found[0]


def _evenly(steps: int, times: int) -> set[int]:
    """So many steps, evenly spread, the last one among them."""
    return {round(steps * k / times) for k in range(1, times + 1)}


def count_steps(rows: int, settings) -> int:
    """Optimizer steps that training on so many rows takes: min_steps at least, but none in 0 epochs."""
    steps = math.ceil(settings.epochs * math.ceil(rows / settings.batch_size))
    return max(steps, settings.min_steps) if settings.epochs else 0


def endless(batches: Iterable[dict[str, Tensor]]) -> Iterator[dict[str, Tensor]]:
    """The batches, over and over."""
    while True:
        yield from batches


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


def _second_moments(model: nn.Module, optimizer) -> dict[str, Tensor]:
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
