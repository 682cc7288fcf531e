"""What a head reads of the last layer: the first position, or the mean over a text's tokens.

transformers' heads read one position, most the first and some the last, perhaps through a pooler. Here the encoder's
output is pooled before the head sees it, so any of them works. The mean goes past a pooler, which was trained for the
first position and may not be in the checkpoint at all: with and without it there is no difference to see (log.md).

`pooling` in a folder's config.json says how, and lgtm.networks.models.classifier heeds it wherever this project loads
the folder. Plain transformers does not know the key: it reads the position that it always reads, and says nothing, but
for the architectures that have a setting of their own.
"""

import inspect
from functools import cache

from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel

# The two architectures that pool by a setting of their own, and what each calls it: it is set too, for plain
# transformers.
OWN_SETTING = "classifier_pooling"
OWN_WORDS = {"modernbert": {"cls": "cls", "mean": "mean"}, "eurobert": {"cls": "bos", "mean": "mean"}}


def set_pooling(config: PreTrainedConfig, pooling: str | None) -> None:
    """Write into a network's configuration how it pools, cls or mean; None leaves it as it is."""
    if pooling is None:
        return
    config.pooling = pooling
    if config.model_type in OWN_WORDS:
        setattr(config, OWN_SETTING, OWN_WORDS[config.model_type][pooling])


def heed_pooling(model: PreTrainedModel) -> None:
    """Make a sequence classifier pool as its configuration says, in place; one that says nothing stays as it is.

    Raises ValueError where its encoder takes no attention mask, which says what the tokens are.
    """
    pooling = getattr(model.config, "pooling", None)
    if pooling is None:
        return
    encoder = model.base_model
    if "attention_mask" not in inspect.signature(encoder.forward).parameters:
        raise ValueError(f"pooling: {pooling}: a {model.config.model_type} network takes no attention mask")
    # A class of its own, not a hook or a function put on the object: a copy of the model keeps it, and whoever replaces
    # an encoder's forward for a while finds this one underneath.
    encoder.__class__ = _pooled(type(encoder), pooling)


@cache
def _pooled(kind: type[PreTrainedModel], pooling: str) -> type[PreTrainedModel]:
    """An encoder's class whose last hidden state is, at every position, what `pooling` makes of all of them."""
    signature = inspect.signature(kind.forward)

    def forward(self, *args, **kwargs):
        outputs = kind.forward(self, *args, **kwargs)
        mask = signature.bind(self, *args, **kwargs).arguments.get("attention_mask")
        state = outputs.last_hidden_state
        pooled = _mean(state, mask) if pooling == "mean" else state[:, 0]
        # Everywhere, and no memory is taken: whichever position the head reads.
        outputs.last_hidden_state = pooled[:, None].expand_as(state)
        if outputs.get("hidden_states") is not None:
            outputs.hidden_states = (*outputs.hidden_states[:-1], outputs.last_hidden_state)
        if pooling == "mean" and outputs.get("pooler_output") is not None:
            outputs.pooler_output = pooled
        return outputs

    # transformers knows by its name what of a class can be recorded.
    named = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
    forward.__signature__ = signature
    return type(kind.__name__, (kind,), {"forward": forward} | named)


def _mean(state: Tensor, mask: Tensor | None) -> Tensor:
    """The mean over the tokens that a text has. state: N × T × H; mask: N × T, 1 for a token. Returns N × H."""
    if mask is None:
        return state.mean(1)
    if mask.shape != state.shape[:2]:
        raise ValueError(f"pooling: mean: {mask.shape[1]} tokens make {state.shape[1]} states in this network")
    weights = mask[..., None].to(state.dtype)
    return (state * weights).sum(1) / weights.sum(1)
