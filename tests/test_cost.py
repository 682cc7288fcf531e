"""Counting what goes through a network."""

import pytest
import tiny
import torch

from lgtm.influence.direction import scope_parameters
from lgtm.influence.identity import tangents
from lgtm.networks.cost import Passes, added, compute

BATCH = {"input_ids": torch.tensor([[1, 2, 3]] * 4), "attention_mask": torch.ones(4, 3, dtype=torch.long)}


def counted(kind="bert"):
    model = tiny.model(kind, num_labels=2)
    return model, Passes(model)


@pytest.mark.parametrize("kind", tiny.SIZES)
def test_a_step_is_one_pass_forward_and_one_back(kind):
    model, passes = counted(kind)
    model(**BATCH).logits.sum().backward()
    assert (passes.forward, passes.backward) == (4, 4)
    with torch.no_grad():
        model(**BATCH)
    assert (passes.forward, passes.backward) == (8, 4)


def test_weights_leave_the_token_embeddings_out():
    model, passes = counted()
    embeddings = model.bert.embeddings.word_embeddings.weight.numel()
    assert passes.total()["weights"] == sum(p.numel() for p in model.parameters()) - embeddings


@pytest.mark.parametrize(("scope", "forward"), [("all", 8), ("head", 4)])
def test_scoring_takes_two_passes_and_of_the_head_one(scope, forward):
    model, passes = counted()
    parameters = dict(model.named_parameters())
    direction = {name: torch.ones_like(parameters[name]) for name in scope_parameters(model, scope)}
    list(tangents(model, [BATCH], direction, method="finite_difference", step_size=1e-4))
    assert (passes.forward, passes.backward) == (forward, 0)


def test_a_backward_pass_counts_as_two():
    one = {"forward": 3, "backward": 1, "weights": 10}
    assert compute([one]) == 50
    assert compute([one, one]) == compute([added([one, one])])
