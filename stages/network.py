"""A classifier on disk and the task's tables, together: what every stage that runs a network starts from."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from accelerate import PartialState

from lgtm.errors import UserError, one_line
from lgtm.handover import existing, remedy
from lgtm.networks.cost import Passes
from lgtm.networks.determinism import environment
from lgtm.networks.encoding import EncodedTexts
from lgtm.networks.losses import Loss
from lgtm.networks.models import classifier, load_tokenizer
from lgtm.networks.prediction import predict
from lgtm.networks.training import Fitted, count_steps, fit
from lgtm.params import Params
from stages.artifacts import (
    TEXTS,
    live_curves,
    read_json,
    read_task,
    role_chunks,
    save_model,
    taught_chunks,
    write_json,
)

Log = Callable[[int, dict[str, float]], None]


def require_network(folder: Path) -> None:
    """Raise UserError for a model folder that lacks a file: without weights, transformers would draw new ones.

    None has a network from scratch before it is trained; what a model has saved names its architecture.
    """
    config = read_json(folder / "config.json", "model_type")
    existing(folder / "tokenizer.json" if (folder / "tokenizer.json").exists() else folder / "tokenizer_config.json")
    if config.get("architectures") or (folder / "model.safetensors").exists():
        existing(folder / "model.safetensors")


class Network:
    """A classifier with its tokenizer, on the machine's device."""

    def __init__(self, folder: Path, attention: str | None = None):
        self.task = read_task()
        require_network(folder)
        try:
            self.tokenizer = load_tokenizer(folder)
            model = classifier(folder, self.task["labels"], attention)
        except Exception as error:  # what a file can be wrong in, and what transformers raises then, has no end
            raise UserError(f"{folder}: no network can be made of it ({one_line(error)}); {remedy(folder)}") from error
        self.model = model.to(PartialState().device)
        self.passes = Passes(self.model)
        self.encoded: dict[tuple[str, ...], EncodedTexts] = {}

    def encode(self, *roles: str) -> EncodedTexts:
        """The texts of one role, or of several after one another, as this network's tokens; tokenised once."""
        if roles not in self.encoded:
            self.encoded[roles] = self.encode_frame(role_chunks(roles, TEXTS))
        return self.encoded[roles]

    def encode_frame(self, frame: pd.DataFrame | Iterable[pd.DataFrame]) -> EncodedTexts:
        """Any rows of a role, or chunks of them, as this network's tokens."""
        return EncodedTexts(frame, self.tokenizer, self.task["max_length"], self.model.config.model_type)

    def fit(self, loss: Loss, rows: EncodedTexts, settings, params: Params, *, out: Path, **more) -> Fitted:
        """As `train`, and write curves and model to `out`."""
        self.encode("selection")  # before anything is written
        with live_curves(out) as log:
            fitted = self.train(loss, rows, settings, params, log=log, description=str(out), **more)
        self.save(out)
        return fitted

    def train(
        self,
        loss: Loss,
        rows: EncodedTexts,
        settings,
        params: Params,
        *,
        steps: int | None = None,
        log: Log = lambda step, values: None,
        **more,
    ) -> Fitted:
        """Train on these rows and choose on selection; steps: None for those of the settings, more: of training.fit."""
        return fit(
            self.model,
            loss,
            rows,
            self.encode("selection"),
            settings,
            steps=count_steps(len(rows), settings) if steps is None else steps,
            precision=params.precision,
            tokens_at_once=params.tokens_at_once,
            metrics=self.task["metrics"],
            log=log,
            **more,
        )

    def save(self, folder: Path) -> None:
        """Write a Hugging Face model folder: config.json, model.safetensors, tokenizer files; and the environment."""
        save_model(folder, self.model, self.tokenizer)
        write_json(folder / "environment.json", environment(self.model.device))

    def predict(
        self, roles: str | Sequence[str], batch_size: int, hidden: bool = False
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Logits of a role's rows, or of several', in order; with `hidden`, also the last layer's first position."""
        rows = self.encode(*([roles] if isinstance(roles, str) else roles))
        return predict(self.model, rows, batch_size, hidden)

    def predict_taught(self, batch_size: int) -> Iterator[tuple[pd.DataFrame, np.ndarray]]:
        """The rows that a teacher speaks on, chunk by chunk, with its logits."""
        for rows in taught_chunks():
            yield rows, predict(self.model, self.encode_frame(rows), batch_size)
