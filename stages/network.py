"""A classifier on disk and the task's tables, together: what every stage that runs a network starts from."""

from pathlib import Path

import numpy as np
import pandas as pd
from accelerate import PartialState

from lgtm.networks.cost import Passes
from lgtm.networks.determinism import environment
from lgtm.networks.encoding import EncodedTexts
from lgtm.networks.losses import Loss
from lgtm.networks.models import classifier, load_tokenizer
from lgtm.networks.training import Fitted, fit, predict
from lgtm.params import Params
from stages.artifacts import live_curves, read_role, read_task, save_model, write_json


class Network:
    """A classifier with its tokenizer, on the machine's device."""

    def __init__(self, folder: Path, attention: str | None = None):
        self.task = read_task()
        self.tokenizer = load_tokenizer(folder)
        self.model = classifier(folder, self.task["labels"], attention).to(PartialState().device)
        self.passes = Passes(self.model)
        self.encoded: dict[str, EncodedTexts] = {}

    def encode(self, role: str) -> EncodedTexts:
        """A role's texts as this network's tokens; tokenised once."""
        if role not in self.encoded:
            self.encoded[role] = self.encode_frame(read_role(role))
        return self.encoded[role]

    def encode_frame(self, frame: pd.DataFrame) -> EncodedTexts:
        """Any rows of a role as this network's tokens."""
        return EncodedTexts(frame, self.tokenizer, self.task["max_length"], self.model.config.model_type)

    def fit(
        self, loss: Loss, settings, params: Params, *, learning_rate: float, seed: int, out: Path, **earlier
    ) -> Fitted:
        """Train on the train role, choose on the selection role, write curves and model to `out`.

        earlier: of training.fit, to keep checkpoints on the way.
        """
        with live_curves(out) as log:
            fitted = fit(
                self.model,
                loss,
                self.encode("train"),
                self.encode("selection"),
                settings,
                learning_rate=learning_rate,
                precision=params.precision,
                seed=seed,
                metrics=self.task["metrics"],
                log=log,
                description=str(out),
                **earlier,
            )
        self.save(out)
        return fitted

    def save(self, folder: Path) -> None:
        """Write a Hugging Face model folder: config.json, model.safetensors, tokenizer files; and the environment."""
        save_model(folder, self.model, self.tokenizer)
        write_json(folder / "environment.json", environment(self.model.device))

    def predict(self, role: str, batch_size: int, hidden: bool = False) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Logits of a role's rows in order; with `hidden`, also the last layer's first position."""
        return predict(self.model, self.encode(role), batch_size, hidden)
