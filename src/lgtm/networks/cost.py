"""What an arm costs: samples through a network's forward and backward passes, in units that seconds are not in."""

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:  # the report reads costs, and has no other need of torch
    from torch import nn


class Cost(TypedDict):
    """Samples forward and backward through a network, and its weights outside the token embeddings."""

    forward: int
    backward: int
    weights: int


class Passes:
    """Counts the samples that go through a classifier from now on.

    Forward passes are counted where the encoder begins, backward passes where they enter, at the logits: a head that is
    run on kept states costs nothing here, and a gradient of the head alone counts in full. The attributes are of this
    process.
    """

    def __init__(self, model: "nn.Module"):
        embeddings = model.get_input_embeddings()
        model.passes = self
        self.weights = sum(parameter.numel() for parameter in model.parameters()) - embeddings.weight.numel()
        self.forward = self.backward = self._samples = 0
        # How many samples, is asked of the model: XLNet's embeddings get them in the second dimension.
        model.register_forward_pre_hook(self._note_samples, with_kwargs=True)
        embeddings.register_forward_hook(self._count_forward)
        model.register_forward_hook(self._count_backward)

    def __deepcopy__(self, memo) -> "Passes":
        # A copy of the network that is a step along a direction counts for the network.
        return self

    def _note_samples(self, module, args, inputs):
        self._samples = len(inputs["input_ids"])

    def _count_forward(self, module, args, output):
        self.forward += self._samples

    def _count_backward(self, module, args, outputs):
        if outputs.logits.requires_grad:
            outputs.logits.register_hook(self._add_backward)

    def _add_backward(self, gradient):
        self.backward += len(gradient)

    def state(self) -> list[int]:
        """What was counted so far in this process."""
        return [self.forward, self.backward]

    def go_on(self, state: list[int]) -> None:
        """Count on from there."""
        self.forward, self.backward = state

    def total(self) -> Cost:
        """What was counted so far, in all processes; each of them has to ask."""
        from accelerate.utils import gather_object

        counted = gather_object([(self.forward, self.backward)])
        forward, backward = map(sum, zip(*counted, strict=True))
        return Cost(forward=forward, backward=backward, weights=self.weights)


class Uncounted:
    """In place of the passes of a network that nobody counts."""

    def state(self) -> None:
        """Nothing."""

    def go_on(self, state: None) -> None:
        """Count no more than before."""


def passes_of(model: "nn.Module") -> Passes | Uncounted:
    """What counts a network's passes."""
    return getattr(model, "passes", None) or Uncounted()


def added(costs: list[Cost]) -> Cost:
    """The cost of several networks of one size."""
    return Cost(
        forward=sum(cost["forward"] for cost in costs),
        backward=sum(cost["backward"] for cost in costs),
        weights=costs[0]["weights"],
    )


def compute(costs: list[Cost]) -> float:
    """Multiply-adds per token, up to a factor: a backward pass counts as two forward passes (Kaplan et al., 2020)."""
    return float(sum(cost["weights"] * (cost["forward"] + 2 * cost["backward"]) for cost in costs))
