"""Train the warm student on what its arm's teacher says about train."""

import pandas as pd
import pyarrow.parquet as pq
import torch
from artifacts import cell, read_matrix
from network import Network

from lgtm.determinism import make_deterministic
from lgtm.losses import DistillationLoss, HiddenMatching, LabelLoss
from lgtm.pairs import load_pair
from lgtm.params import load_params
from lgtm.stage import run


def main(seed: int, arm: str) -> None:
    """Write the distilled student to work/runs/<seed>/<arm>/student."""
    params = load_params()
    settings = params.distill
    make_deterministic(seed)
    student = Network(cell(seed, "student"))
    targets = cell(seed, arm, "teacher") / "targets.parquet"
    taught = pq.read_schema(targets).names
    loss = LabelLoss()
    if "logits" in taught:
        logits = torch.tensor(read_matrix(targets, "logits"))
        weights = torch.tensor(pd.read_parquet(targets, columns=["weight"])["weight"]) if "weight" in taught else None
        loss = DistillationLoss(logits, settings.temperature, settings.hard_label_weight, weights)
    if "hidden" in taught:
        hidden = torch.tensor(read_matrix(targets, "hidden"))
        loss = HiddenMatching(loss, hidden, student.model.config.hidden_size, settings.hidden_weight)
    rate = load_pair(params.pair).student.learning_rate
    student.fit(loss, settings, params, learning_rate=rate, seed=seed, out=cell(seed, arm, "student"))


if __name__ == "__main__":
    run(main)
