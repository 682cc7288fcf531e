"""Teacher–student pairs: the schema of pairs/<name>.yaml."""

import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from lgtm.config import Strict, parse, read_yaml
from lgtm.errors import UserError
from lgtm.values import LearningRate

CHECKPOINTS = Path("checkpoints")
# A class may be written as a number, as in a task's card.
ClassName = Annotated[str, BeforeValidator(lambda value: str(value) if type(value) is int else value)]


class Network(Strict):
    """One network of a pair: a pretrained checkpoint, a fine-tuned classifier, or a configuration from scratch.

    `checkpoint` and `classifier` are a hub id, with the commit it is pinned to in `revision`, or a folder under
    checkpoints/; of a classifier the head is taken too. `labels` name its classes as the task does, where they differ.
    `layers` are the encoder layers to keep, counted from 0. `pooling` is what the head reads of the last layer: the
    first position, or the mean over a text's tokens; null leaves it to the architecture. `freeze: embeddings` keeps the
    table of token embeddings as the checkpoint has it.
    """

    kinds: ClassVar = ("checkpoint", "classifier", "config")
    checkpoint: str | None = None
    classifier: str | None = None
    revision: str | None = None
    labels: Annotated[dict[ClassName, ClassName], Field(min_length=1)] | None = None
    layers: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] | None = None
    config: dict[str, Any] | None = None
    pooling: Literal["cls", "mean"] | None = None
    freeze: Literal["embeddings"] | None = None
    learning_rate: LearningRate

    @model_validator(mode="after")
    def _one_source(self) -> "Network":
        if sum(getattr(self, kind) is not None for kind in self.kinds) != 1:
            raise ValueError(f"give one of {', '.join(self.kinds[:-1])} and {self.kinds[-1]}")
        if self.config is not None and (self.revision or self.layers):
            raise ValueError("revision and layers go with a checkpoint or a classifier, not with a config")
        if self.config is not None and self.freeze:
            raise ValueError("freeze goes with a checkpoint or a classifier: embeddings from scratch have to be learnt")
        if self.labels and self.classifier is None:
            raise ValueError("labels go with a classifier: no other network has classes of its own")
        if len(set(self.layers or [])) < len(self.layers or []):
            raise ValueError("layers: each layer may be kept once")
        if self.config is not None and "model_type" not in self.config:
            raise ValueError("config needs a model_type, such as bert")
        return self

    @model_validator(mode="after")
    def _pinned(self) -> "Network":
        if self.files is None:
            return self
        if self.is_local and ".." in Path(self.files).parts:
            raise ValueError(f"{self.kind}: {self.files!r} leads out of {CHECKPOINTS}/; link or copy the folder there")
        if not self.is_local and not re.fullmatch("[0-9a-f]{40}", self.revision or ""):
            raise ValueError(f"a hub {self.kind} needs the revision it is pinned to, a commit hash of 40 digits")
        if self.is_local and self.revision is not None:
            raise ValueError(f"a local {self.kind} has no revision; DVC hashes its files")
        return self

    @property
    def kind(self) -> str:
        """Which of its kinds it is: the card's key that names it."""
        return next(kind for kind in self.kinds if getattr(self, kind) is not None)

    @property
    def files(self) -> str | None:
        """The hub id or the folder that it is loaded from; None for one from scratch."""
        return self.checkpoint or self.classifier

    @property
    def is_local(self) -> bool:
        """Whether it is loaded from a folder under checkpoints/, which DVC watches."""
        return self.files is not None and Path(self.files).parts[:1] == (str(CHECKPOINTS),)


class Member(Network):
    """One of several networks that are a teacher together; `weight` is its share in their mean, up to a factor."""

    weight: Annotated[float, Field(ge=1e-6, le=1e6)] = 1.0


class Teacher(Network):
    """What says logits of a row: a network, several of them, or a file of answers.

    `mean`: the mean of the members' probabilities. `predictions`: answers of whatever was asked about the rows (see
    lgtm.data.answers for its keys), which cannot be trained.
    """

    kinds: ClassVar = (*Network.kinds, "mean", "predictions")
    mean: Annotated[list[Member], Field(min_length=2)] | None = None
    predictions: dict[str, Any] | None = None
    learning_rate: LearningRate | None = None

    @model_validator(mode="after")
    def _rates(self) -> "Teacher":
        if self.kind in Network.kinds:
            if self.learning_rate is None:
                raise ValueError(f"a {self.kind} needs its learning_rate")
            return self
        for key in ("learning_rate", "revision", "labels", "layers", "pooling", "freeze"):
            if getattr(self, key) is not None:
                raise ValueError(f"{key} is of one network, and not for {self.kind}")
        return self

    @property
    def networks(self) -> list[Network]:
        """The networks that it is: one, several, or none where it is a file of answers."""
        return self.mean or ([] if self.predictions is not None else [self])

    @property
    def weights(self) -> list[float]:
        """Of the networks, in their mean."""
        return [network.weight for network in self.mean] if self.mean else [1.0]


class Tokenizer(Strict):
    """The WordPiece tokenizer that a from-scratch pair trains on its task's train role."""

    vocab_size: Annotated[int, Field(ge=100, le=10**6)]


class PairCard(Strict):
    """A teacher–student pair."""

    description: str
    tokenizer: Tokenizer | None = None
    teacher: Teacher
    student: Network

    @model_validator(mode="after")
    def _tokenizer_for_scratch(self) -> "PairCard":
        from_scratch = any(network.config is not None for network in (*self.teacher.networks, self.student))
        if from_scratch != (self.tokenizer is not None):
            raise ValueError("tokenizer goes with a config, for a network from scratch, and only with one")
        return self


def load_pair(name: str, folder: Path = Path("pairs")) -> PairCard:
    """Read and validate the card of a pair. Raises UserError, with the names there are, for one that is not there."""
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(card.stem for card in folder.glob("*.yaml"))) or "none"
        raise UserError(f"params.yaml: pair: no card {path}; there are {known}")
    return parse(PairCard, read_yaml(path), path)


def require_trainable(network: Network, epochs: float, section: str) -> None:
    """Raise UserError where a warm-up without a step would pass on a head that was drawn at random."""
    if epochs == 0 and network.kind != "classifier":
        raise UserError(
            f"params.yaml: {section}.epochs: 0 passes the pair's {section.split('_')[0]} on as it is, which goes with a"
            f" classifier, and it is a {network.kind}: its head is drawn at random"
        )
