"""A starting network tried out on the task's own texts, so that what cannot work is told before anything trains."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedTokenizerBase

from lgtm.errors import UserError, one_line
from lgtm.networks.cost import Passes
from lgtm.networks.encoding import EncodedTexts
from lgtm.networks.models import classifier, load_tokenizer
from lgtm.networks.prediction import predict

SAMPLED = 1000  # rows whose words the tokenizer has to know
MOST_UNKNOWN = 0.5  # share of their tokens; BERT's on a script that it was not made for has about this much
TOLERANCE = 1e-2  # of a text's logits with and without padding, in units of their distance to another text's


def try_out(folder: Path, labels: list[str], frame: pd.DataFrame, max_length: int, field: str) -> None:
    """Load a model folder and predict, as every later stage does. Raises UserError, naming `field`, where that fails.

    frame: rows of all roles, text and [text_pair]. The network reads the longest and the shortest of them, together
    and one by one. No random number is drawn.
    """
    tokenizer = load_tokenizer(folder)
    _require_known(tokenizer, frame, field)
    letters = sum(frame[column].str.len() for column in ("text", "text_pair") if column in frame)
    ends = frame.iloc[letters.argsort(kind="stable").iloc[[-1, 0]]].drop(columns="label", errors="ignore")
    try:
        with torch.random.fork_rng(devices=[]):
            model = classifier(folder, labels)
        Passes(model)
        data = EncodedTexts(ends, tokenizer, max_length, model.config.model_type)
        together, alone = (predict(model, data, batch_size) for batch_size in (2, 1))
    except Exception as error:  # each architecture fails in its own way
        raise UserError(f"{field}: the network cannot read the task's texts: {one_line(error)}") from error
    _require_sense(data, together, alone, field)


def _require_sense(data: EncodedTexts, together: np.ndarray, alone: np.ndarray, field: str) -> None:
    """Raise UserError for logits (2 × C) of two texts that are no numbers, tell nothing, or depend on the batch."""
    if not np.isfinite(together).all():
        raise UserError(f"{field}: the network's logits are not finite on the task's texts")
    distance = np.abs(alone[0] - alone[1]).max()
    if distance == 0 and data[0]["input_ids"] != data[1]["input_ids"]:
        raise UserError(f"{field}: the network says the same of different texts on this machine")
    if np.abs(together - alone).max() > TOLERANCE * distance:
        raise UserError(f"{field}: what the network says of a text depends on the padding that its batch brings")


def _require_known(tokenizer: PreTrainedTokenizerBase, frame: pd.DataFrame, field: str) -> None:
    """Raise UserError for a tokenizer to which most of the texts are unknown tokens, or none at all."""
    texts = frame["text"].iloc[:SAMPLED].tolist()
    special = set(tokenizer.all_special_ids)
    tokens = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
    known = sum(token not in special for row in tokens for token in row)
    unknown = 1 - known / sum(max(len(row), 1) for row in tokens)
    if unknown > MOST_UNKNOWN:
        raise UserError(f"{field}: {100 * unknown:.0f} % of the texts' tokens are unknown to its tokenizer")
