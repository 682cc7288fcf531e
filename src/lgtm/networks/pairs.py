"""Teacher–student pairs: the schema of pairs/<name>.yaml."""

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from lgtm.config import Strict, parse, read_yaml
from lgtm.errors import UserError

CHECKPOINTS = Path("checkpoints")
Positive = Annotated[float, Field(gt=0.0)]


class Network(Strict):
    """One network of a pair: a pretrained checkpoint or a configuration to train from scratch.

    `checkpoint` is a hub id, with the commit it is pinned to in `revision`, or a folder under checkpoints/.
    `layers` are the encoder layers to keep, counted from 0.
    """

    checkpoint: str | None = None
    revision: str | None = None
    layers: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] | None = None
    config: dict[str, Any] | None = None
    learning_rate: Positive

    @model_validator(mode="after")
    def _one_source(self) -> "Network":
        if (self.checkpoint is None) == (self.config is None):
            raise ValueError("give either a checkpoint or a config")
        if self.config is not None and (self.revision or self.layers):
            raise ValueError("revision and layers go with a checkpoint, not with a config")
        if len(set(self.layers or [])) < len(self.layers or []):
            raise ValueError("layers: each layer may be kept once")
        if self.config is not None and "model_type" not in self.config:
            raise ValueError("config needs a model_type, such as bert")
        if self.checkpoint is not None and not self.is_local and not re.fullmatch("[0-9a-f]{40}", self.revision or ""):
            raise ValueError("a hub checkpoint needs the revision it is pinned to, a commit hash of 40 digits")
        if self.is_local and self.revision is not None:
            raise ValueError("a local checkpoint has no revision; DVC hashes its files")
        return self

    @property
    def is_local(self) -> bool:
        """Whether the checkpoint is a folder under checkpoints/, which DVC watches."""
        return self.checkpoint is not None and Path(self.checkpoint).parts[:1] == (str(CHECKPOINTS),)


class Tokenizer(Strict):
    """The WordPiece tokenizer that a from-scratch pair trains on its task's train role."""

    vocab_size: Annotated[int, Field(ge=100)]


class PairCard(Strict):
    """A teacher–student pair."""

    description: str
    tokenizer: Tokenizer | None = None
    teacher: Network
    student: Network

    @model_validator(mode="after")
    def _tokenizer_for_scratch(self) -> "PairCard":
        from_scratch = self.teacher.config is not None or self.student.config is not None
        if from_scratch != (self.tokenizer is not None):
            raise ValueError("tokenizer goes with a config, for a network from scratch, and only with one")
        return self


def load_pair(name: str, folder: Path = Path("pairs")) -> PairCard:
    """Read and validate the card of a pair. Raises UserError, with the names there are, for one that is not there."""
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(card.stem for card in folder.glob("*.yaml")))
        raise UserError(f"params.yaml: pair: no card {path}; there are {known}")
    return parse(PairCard, read_yaml(path), path)
