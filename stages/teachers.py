"""A teacher on disk: one network, several, or what a file says, and all that stages ask of it."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lgtm.errors import UserError
from lgtm.handover import remedy
from lgtm.networks.encoding import EncodedTexts
from lgtm.networks.losses import Loss
from lgtm.networks.metrics import evaluate_logits
from lgtm.networks.pairs import load_pair
from lgtm.networks.teachers import mean_logits
from lgtm.params import Params
from stages.artifacts import (
    ANSWERED,
    WEIGHTS,
    is_network,
    member_folders,
    read_json,
    read_roles,
    read_task,
    taught_chunks,
    write_json,
)
from stages.network import Network


class Teacher:
    """A teacher from its folder: a network's, or of its members. Without any, its answers stand beside the rows."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.networks = [Network(member) for member in member_folders(folder)] if is_network(folder) else []
        weights = folder / WEIGHTS
        self.weights = read_json(weights) if weights.is_file() else [1.0]
        if len(self.weights) != max(len(self.networks), 1):
            raise UserError(
                f"{weights}: is of {len(self.weights)} networks, not {len(self.networks)}; {remedy(folder)}"
            )
        self.task = read_task()

    def predict(self, roles: str | Sequence[str], batch_size: int) -> np.ndarray:
        """Logits of a role's rows, or of several', in order: N × C."""
        if not self.networks:
            return _stacked(read_roles([roles] if isinstance(roles, str) else roles), self.folder)
        return mean_logits([network.predict(roles, batch_size) for network in self.networks], self.weights)

    def predict_taught(self, batch_size: int) -> Iterator[tuple[pd.DataFrame, np.ndarray]]:
        """The rows that a teacher speaks on, chunk by chunk, with its logits."""
        if not self.networks:
            yield from ((rows, _stacked(rows, self.folder)) for rows in taught_chunks())
            return
        for said in zip(*(network.predict_taught(batch_size) for network in self.networks), strict=True):
            yield said[0][0], mean_logits([logits for _, logits in said], self.weights)

    def fit(
        self,
        loss: Loss,
        rows: Callable[[Network], EncodedTexts],
        settings,
        params: Params,
        *,
        factor: float = 1.0,
        out: Path | None = None,
        description: str = "",
        seed: int,
    ) -> None:
        """Train every network, at `factor` times its rate, on rows as it reads them; to `out`, where there is one."""
        rates = [network.learning_rate * factor for network in load_pair(params.pair).teacher.networks]
        if len(rates) != len(self.networks):
            raise UserError(
                f"{self.folder}: has {len(self.networks)} networks with a config.json, and the teacher of"
                f" pairs/{params.pair}.yaml {len(rates)}; {remedy(self.folder)}"
            )
        places = member_folders(out, len(self.networks)) if out else [None] * len(self.networks)
        for network, rate, place in zip(self.networks, rates, places, strict=True):
            training = {"learning_rate": rate, "seed": seed}
            if place:
                network.fit(loss, rows(network), settings, params, out=place, **training)
            else:
                network.train(loss, rows(network), settings, params, description=description, **training)
        if out and len(self.networks) > 1:
            write_json(out / WEIGHTS, self.weights)

    def on_selection(self, batch_size: int) -> dict[str, float]:
        """The task's metrics on selection."""
        labels = read_roles(["selection"])["label"].tolist()
        return evaluate_logits(self.predict("selection", batch_size), labels, self.task["metrics"])

    def costs(self) -> dict[str, dict[str, int]]:
        """What the networks went through, by name."""
        names = ["teacher"] if len(self.networks) == 1 else [f"teacher_{n + 1}" for n in range(len(self.networks))]
        return {name: network.passes.total() for name, network in zip(names, self.networks, strict=True)}


def _stacked(rows: pd.DataFrame, folder: Path) -> np.ndarray:
    if ANSWERED not in rows:
        raise UserError(f"{folder}: no network there, and no answers beside the rows; {remedy(folder)}")
    return np.stack(rows[ANSWERED]).astype(np.float32)
