"""A classifier in a folder of its own, with no project around it: what it says of a table of texts."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import softmax
from transformers import AutoConfig

from lgtm.errors import UserError, one_line
from lgtm.networks.encoding import EncodedTexts
from lgtm.networks.models import classifier, load_tokenizer
from lgtm.networks.training import predict

CLASSIFIES = "ForSequenceClassification"
NO_LIMIT = 10**9  # transformers writes 10³⁰ where a tokenizer has none


class Student:
    """A classifier with its tokenizer, on the CPU. labels: its classes' names; max_length: tokens that it reads."""

    def __init__(self, folder: Path, max_length: int | None = None):
        """max_length: None for the tokenizer's own. Raises UserError where no classifier can be made of the folder."""
        self.folder = folder
        self.labels = _labels(folder)
        try:
            self.tokenizer = load_tokenizer(folder)
            self.model = classifier(folder, self.labels).eval()
        except Exception as error:  # what a file can be wrong in, and what transformers raises then, has no end
            raise UserError(f"{folder}: no classifier can be made of it: {one_line(error)}") from error
        self.max_length = max_length or self.tokenizer.model_max_length
        if self.max_length > NO_LIMIT:
            raise UserError(f"{folder}: its tokenizer names no length at which texts are cut; give --max-length")

    def encode(self, frame: pd.DataFrame) -> EncodedTexts:
        """Texts, text and [text_pair], as its tokens."""
        return EncodedTexts(frame, self.tokenizer, self.max_length, self.model.config.model_type)

    def logits(self, frame: pd.DataFrame, batch_size: int) -> np.ndarray:
        """Logits of texts, N × C."""
        return predict(self.model, self.encode(frame), batch_size)

    def probabilities(self, frame: pd.DataFrame, batch_size: int) -> np.ndarray:
        """Probabilities of the classes for texts, N × C."""
        return softmax(self.logits(frame, batch_size).astype(np.float64), axis=-1)


def _labels(folder: Path) -> list[str]:
    """The names of the classes of a model folder. Raises UserError where it is none, or has no weights."""
    path = folder / "config.json"
    if not path.is_file():
        raise UserError(f"{folder}: no model folder, it has no config.json; give the folder that a student is in")
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        names = {int(index): str(name) for index, name in config.id2label.items()}
    except Exception as error:  # as for the network itself
        raise UserError(f"{path}: not a network's configuration: {one_line(error)}") from error
    if not any(str(name).endswith(CLASSIFIES) for name in config.architectures or []):
        raise UserError(f"{path}: its architectures are {config.architectures}; expected one …{CLASSIFIES}")
    if sorted(names) != list(range(len(names))):
        raise UserError(f"{path}: id2label numbers its classes {sorted(names)}; expected 0, 1 and so on")
    if not (folder / "model.safetensors").is_file():  # without, transformers would draw new ones
        raise UserError(f"{folder}: no model.safetensors, the weights")
    return [names[index] for index in range(len(names))]
