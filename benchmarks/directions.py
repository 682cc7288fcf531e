"""Which direction finds flipped labels: scope, feedback loss and preconditioner, at the last checkpoint and over all.

    PYTHONPATH=src python -m benchmarks.workspace ../trec -S task=trec-noise20 -S student_warmup.earlier_checkpoints=2
    cd ../trec && PYTHONPATH=$REPO/src:$REPO python -m benchmarks.directions --json directions.json

Students alone, in the current folder: the stages prepare and student_warmup with its params.yaml, then every direction
on the warm student of every seed. `last`, `mean`: AUC in % with which a low influence of the label's loss finds the
flips that the task's card plants, at the warm student and as the mean over its checkpoints (earlier_checkpoints).
`per unit`: the last one per length of p − y. `asks`: the share of train, in %, whose tangents, mean over checkpoints,
ask above all for the true class. Means over seeds with 95 % intervals.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.quality import changed, checkpoint_scores, table
from benchmarks.stages import run
from lgtm.errors import UserError
from lgtm.influence.identity import label_influence
from lgtm.influence.validation import known_errors
from lgtm.params import Params, load_params
from stages.artifacts import cell, read_role
from stages.network import Network

DIRECTIONS = (
    "head margin none",
    "head margin adamw",
    "head cross_entropy none",
    "head cross_entropy adamw",
    "head calibrated none",
    "encoder margin none",
    "encoder cross_entropy none",
    "encoder cross_entropy adamw",
    "all margin none",
    "all cross_entropy none",
    "all cross_entropy adamw",
)
OWN = "the student's own loss"
MEASURES = {"last": "last", "mean": "mean", "per_unit": "per unit", "asks": "asks"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="file to keep the rows in: method, seed, measures")
    parser.add_argument("directions", nargs="*", default=DIRECTIONS, metavar="'SCOPE LOSS PRECONDITIONER'")
    options = parser.parse_args()
    params = load_params()
    run("prepare", {})
    rows = []
    for seed in params.seeds:
        run("student_warmup", {"seed": seed})
        rows.extend({"method": name, "seed": seed} | found for name, found in measure(params, seed, options.directions))
    print(table(pd.DataFrame(rows).set_index(["method", "seed"]), MEASURES))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


def measure(params: Params, seed: int, names: list[str]) -> Iterator[tuple[str, dict[str, float]]]:
    """The measures of each direction at a seed's warm student, then those of its own loss.

    Prints what the student knows. Raises UserError where the task has no flipped label.
    """
    train = read_role("train")
    labels, truth = (train[column].to_numpy() for column in ("label", "true_label"))
    if (labels == truth).all():
        raise UserError(f"tasks/{params.task}/task.yaml: label_noise: no label of train is flipped, none can be found")
    for name in names:
        scope, loss, preconditioner = name.split()
        changes = [f"scope={scope}", f"feedback_loss={loss}", f"preconditioner={preconditioner}"]
        scored = checkpoint_scores(cell(seed, "student"), train, changed(params, changes))
        influences = [label_influence(*each, torch.tensor(labels)).numpy() for each in scored]
        logits, asks = scored[-1][0].numpy(), -np.mean([tangents.numpy() for _, tangents in scored], axis=0)
        last, mean = (detected(each, logits, labels, truth) for each in (influences[-1], np.mean(influences, axis=0)))
        yield (
            name,
            {
                "last": last["influence"],
                "mean": mean["influence"],
                "per_unit": last["influence_per_unit"],
                "asks": share(asks, truth),
            },
        )
    # Not the logits above: those of a finite difference are a mean around the student.
    logits = Network(cell(seed, "student")).predict("train", params.influence.batch_size)
    yield OWN, {"last": detected(np.zeros(len(labels)), logits, labels, truth)["likelihood"]}
    right, learnt = (f"{100 * share(logits, each):.1f} %" for each in (truth, labels))
    print(f"seed {seed}: {len(train)} train rows; the student says the truth of {right}, the label of {learnt}")


def detected(influence: np.ndarray, logits: np.ndarray, labels: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """AUC of the flips by score, as the stage validation has them; no teacher is asked."""
    found = known_errors(influence, influence, logits, logits, labels, truth)["mislabel"]
    return {name: detection["auc"] for name, detection in found.items()}


def share(logits: np.ndarray, classes: np.ndarray) -> float:
    """Of the rows whose largest logit is the class."""
    return float((logits.argmax(-1) == classes).mean())


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
