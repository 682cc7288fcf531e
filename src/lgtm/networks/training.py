"""The one training loop; stopped, it goes on behind the last step kept."""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm
from transformers import set_seed

from lgtm import resume
from lgtm.networks.cost import passes_of
from lgtm.networks.descent import Descent, require_finite, second_moments
from lgtm.networks.encoding import EncodedTexts, EndlessBatches
from lgtm.networks.losses import Loss, inputs_of
from lgtm.networks.metrics import evaluate_logits
from lgtm.networks.parallel import own_seed, summed
from lgtm.networks.prediction import predict
from lgtm.states import Tree, random_state, set_random_state

LOOKED_AT = 100  # steps after which at the latest it is asked whether losses were finite


@dataclass(frozen=True)
class Fitted:
    """What a training run leaves besides the trained model: the kept step and AdamW's second moments there."""

    step: int
    second_moments: dict[str, Tensor]


# Called with the model's outputs, the batch and the optimizer: after the forward pass, before the loss. One that learns
# has a state, and `go_on`, as Descent has.
Companion = Callable[[Any, dict[str, Tensor], torch.optim.Optimizer], None]


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
    batches = EndlessBatches(train, settings.batch_size, torch.Generator().manual_seed(seed))
    choice = Choice(model, optimizer, as_saved, selection, settings, metrics)
    due = _evenly(steps, settings.evaluations)
    due_earlier = _evenly(steps, earlier + 1) - {steps}
    with resume.unit() as unit, tqdm(total=steps, desc=description, unit="step", mininterval=1.0) as progress:
        course = Course(unit, descent, batches, choice, companion, log, keep_earlier)
        if unit.found is None:
            if start:
                course.log(0, choice.evaluate(0, progress))
            # After that, which draws as any pass over data does: the steps are the same with and without it.
            set_seed(own_seed(seed))
        else:
            course.go_on(unit.found)
            progress.update(course.step)
        for step in range(course.step + 1, steps + 1):
            batch = on_device(next(batches), descent.accelerator.device)
            model.train()
            course.losses.append(descent.step(_shares(model, loss, batch, tokens_at_once, companion, optimizer)))
            progress.update()
            # Only now and then: who looks at a number waits for the device.
            if step in due | due_earlier or step % LOOKED_AT == 0:
                (values,) = summed([torch.stack(course.losses)])
                require_finite(values, step, description, learning_rate)
            if step in due:
                course.log(step, {"train/loss": values.mean().item()} | choice.evaluate(step, progress))
                course.losses.clear()
            if step in due_earlier:
                course.keep_earlier(step)
            course.step = step
            unit.keep(course.state)
        unit.end(course.end)
    model.load_state_dict(choice.weights)
    descent.finish()
    return choice.kept


class Course:
    """How far a training has come, all that its further steps depend on, and what it has told its caller."""

    def __init__(
        self,
        unit: resume.Unit,
        descent: Descent,
        batches: EndlessBatches,
        choice: "Choice",
        companion: Companion,
        log: Callable[[int, dict[str, float]], None],
        keep_earlier: Callable[[Fitted], None],
    ):
        self.unit, self.descent, self.batches, self.choice = unit, descent, batches, choice
        self.learners = [companion] if hasattr(companion, "go_on") else []
        self.passes = passes_of(descent.model)
        self.tell, self.hand_over = log, keep_earlier
        self.step = 0
        self.losses: list[Tensor] = []  # since the last evaluation, of this process's part
        self.logged: list[tuple[int, dict[str, float]]] = []

    def log(self, step: int, values: dict[str, float]) -> None:
        """Tell the curves' values at a step."""
        self.logged.append((step, values))
        self.tell(step, values)

    def keep_earlier(self, step: int) -> None:
        """Hand the model over as it is at a step before the end."""
        fitted = Fitted(step, second_moments(self.descent.model, self.descent.optimizer))
        self.unit.put_aside(str(step), lambda: [self.descent.model.state_dict(), fitted.second_moments])
        self.hand_over(fitted)

    def state(self) -> Tree:
        """All that the rest of the training depends on."""
        losses = torch.stack(self.losses) if self.losses else []
        ahead = {"descent": self.descent.state(), "batches": self.batches.state(), "losses": losses}
        return self.end() | {"ahead": ahead}

    def end(self) -> Tree:
        """All that what comes after the training depends on."""
        return {
            "step": self.step,
            "logged": self.logged,
            "choice": self.choice.state(),
            "learners": [learner.state() for learner in self.learners],
            "passes": self.passes.state(),
            "random": random_state(),
            "ahead": None,
        }

    def go_on(self, state: Tree) -> None:
        """Be where a training was that had this state, and tell what it told."""
        for step, values in state["logged"]:
            self.log(step, values)
        for step in self.unit.asides:
            weights, moments = self.unit.aside(step)
            self.descent.model.load_state_dict(weights)
            self.hand_over(Fitted(int(step), moments))
        self.step = state["step"]
        self.choice.go_on(state["choice"])
        for learner, own in zip(self.learners, state["learners"], strict=True):
            learner.go_on(own)
        if ahead := state["ahead"]:
            self.descent.go_on(ahead["descent"])
            self.batches.go_on(ahead["batches"])
            self.losses = [loss.to(self.descent.accelerator.device) for loss in ahead["losses"]]
        self.passes.go_on(state["passes"])
        set_random_state(state["random"])  # the last: what comes before draws


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
            self.kept = Fitted(step, second_moments(self.model, self.optimizer))
            self.weights = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        return {f"selection/{name}": value for name, value in scores.items()}

    def state(self) -> Tree:
        """What was chosen so far."""
        return {
            "best": self.best,
            "step": self.kept.step,
            "moments": self.kept.second_moments,
            "weights": self.weights,
        }

    def go_on(self, state: Tree) -> None:
        """Choose on from there."""
        self.best, self.weights = tuple(state["best"]), state["weights"]
        self.kept = Fitted(state["step"], state["moments"])


def _evenly(steps: int, times: int) -> set[int]:
    """So many steps, evenly spread, the last one among them."""
    return {round(steps * k / times) for k in range(1, times + 1)}


def count_steps(rows: int, settings) -> int:
    """Optimizer steps that training on so many rows takes: min_steps at least, but none in 0 epochs."""
    steps = math.ceil(settings.epochs * math.ceil(rows / settings.batch_size))
    return max(steps, settings.min_steps) if settings.epochs else 0
