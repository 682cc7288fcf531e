"""What the scores are worth beside other libraries: planted flips, and the loss of students that were retrained.

    dvc repro validation
    PYTHONPATH=src python -m benchmarks.quality --ours --ours scope=all feedback_loss=cross_entropy

On the warm students of params.yaml's task and seeds, as `dvc repro validation` leaves them. Mislabel detection: AUC and
average precision in % with which a low influence of the label's loss on the feedback loss finds the flips that the
task's card plants (label_noise). LDS: Spearman correlation in % of the influence of the distillation loss, summed over
a random subset of train, with minus the held-out loss of the students that validation retrained on it. Means over seeds
with 95 % intervals, and differences to the first method. `--ours` is a setting of the section influence: what
params.yaml has, but for the values given here. Ends in an error where students were retrained on other subsets than
those at hand, or where a method scores fewer rows than train has.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml

from benchmarks.peers import distillation_loss, kronfluence, label_loss, missing, tracin
from lgtm.config import parse
from lgtm.errors import UserError
from lgtm.influence.identity import combine
from lgtm.influence.validation import detection, linear_datamodeling_score, random_subsets
from lgtm.networks.determinism import make_deterministic
from lgtm.params import Influence, Params, load_params
from lgtm.report.statistics import CORRELATION, SHARE, Range, interval
from stages.artifacts import VALIDATION, cell, existing, read_json, read_matrix, read_role
from stages.influence import Checkpoint
from stages.network import Network

BATCH = 16  # of the other libraries, which hold batch × parameters
MEASURES = {"auc": "AUC", "average_precision": "average precision", "lds": "LDS"}
RANGES = {"lds": CORRELATION}  # of what is no share

Scores = tuple[np.ndarray, np.ndarray]  # influence of the label's loss and of the distillation loss, N each


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="file to keep the rows in: method, seed, measures")
    parser.add_argument("--ours", nargs="*", action="append", metavar="KEY=VALUE", help="a setting of ours; repeatable")
    options = parser.parse_args()
    params = load_params()
    settings = {" ".join(["ours", *changes]): changed(params, changes) for changes in options.ours or [[]]}

    rows = []
    for seed in params.seeds:
        student = WarmStudent(params, seed)
        for name, scores in student.every_method(settings):
            rows.append({"method": name, "seed": seed} | student.quality(*scores))
    found = pd.DataFrame(rows).set_index(["method", "seed"])
    first = rows[0]["method"]
    print(table(found))
    if len(found.groupby("method")) > 1:
        others = found.drop(first, level="method")
        differences = -others.sub(found.loc[first], level="seed")
        print(f"\n{first}, minus the others, paired by seed:\n{table(differences, bounded=False)}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


def changed(params: Params, changes: list[str]) -> Influence:
    """The section influence with some values replaced: key=value, in YAML."""
    values = {key: yaml.safe_load(value) for key, _, value in (change.partition("=") for change in changes)}
    return parse(Influence, params.influence.model_dump() | values, "--ours")


class WarmStudent:
    """A seed's warm student, and what its scores are judged by."""

    def __init__(self, params: Params, seed: int):
        make_deterministic(seed)
        self.seed, self.scored = seed, params.scored_loss
        self.folder = cell(seed, "student")
        self.train = read_role("train")
        # What is known is of train; transfer's rows stand after its own.
        said = read_matrix(cell(seed, "teacher") / "targets.parquet", "logits")[: len(self.train)]
        self.teacher_logits = torch.from_numpy(said)
        validation = params.validation
        self.subsets = random_subsets(len(self.train), validation.subsets, validation.fraction, seed)
        self.losses = self.held_out_losses(VALIDATION / str(seed) / "validation.json")

    def held_out_losses(self, path: Path) -> np.ndarray:
        """Of the students that validation retrained, by subset. Raises UserError where they had other subsets."""
        retrained = read_json(existing(path)).get("subsets", [])
        if not retrained:
            raise UserError(f"{path}: no student was retrained; set validation.subsets and run dvc repro validation")
        scored = pd.read_parquet(existing(cell(self.seed, "influence") / "influence.parquet"), columns=["influence"])
        summed = self.subsets @ scored["influence"].to_numpy(np.float64)[: len(self.train)]
        if len(retrained) != len(summed) or not np.allclose(summed, [subset["influence"] for subset in retrained]):
            raise UserError(f"{path}: not of the subsets and scores that are here now; run dvc repro validation")
        return np.array([subset["losses"] for subset in retrained]).mean(-1)

    def every_method(self, settings: dict[str, Influence]) -> Iterator[tuple[str, Scores]]:
        """Scores by ours in each setting, and by the other libraries that are installed."""
        for name, setting in settings.items():
            yield name, self.ours(setting)
        student = Network(self.folder)
        model, train, feedback = student.model.cpu().eval(), student.encode("train"), student.encode("feedback")
        losses = (label_loss(train), distillation_loss(train, self.teacher_logits, **self.mix()))
        if not missing("captum"):
            yield "captum TracInCP", tuple(tracin(model, train, loss, feedback, BATCH).numpy() for loss in losses)
        if not missing("kronfluence"):
            for strategy in ("identity", "ekfac"):
                scores = tuple(kronfluence(model, train, loss, feedback, BATCH, strategy).numpy() for loss in losses)
                yield f"kronfluence {strategy}", scores

    def ours(self, setting: Influence) -> Scores:
        """As the stage influence scores, in one go."""
        checkpoints = checkpoint_scores(self.folder, self.train, setting)
        columns = combine(checkpoints, self.teacher_logits, torch.tensor(self.train["label"]), **self.mix())
        return columns["influence_label"].numpy(), columns["influence"].numpy()

    def mix(self) -> dict[str, float]:
        """The distillation loss that students were retrained with."""
        return {"temperature": self.scored.temperature, "hard_label_weight": self.scored.hard_label_weight}

    def quality(self, influence_label: np.ndarray, influence: np.ndarray) -> dict[str, float]:
        """The measures of a method's scores; without those of flips where the task has none."""
        for scores in (influence_label, influence):
            if scores.shape != (len(self.train),) or not np.isfinite(scores).all() or not scores.any():
                raise UserError(f"seed {self.seed}: not {len(self.train)} finite scores of which some are not zero")
        flipped = (self.train["label"] != self.train["true_label"]).to_numpy()
        summed = self.subsets @ influence.astype(np.float64)
        lds = linear_datamodeling_score(summed, self.losses, self.seed)["correlation"]
        return detection(influence_label, flipped) | {"lds": lds}


def checkpoint_scores(folder: Path, train: pd.DataFrame, setting: Influence) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Logits and tangents of train at each checkpoint of a warm student, the last one being the student itself."""
    folders = [*sorted((folder / "checkpoints").glob("*")), folder]
    return [Checkpoint(each, each, setting, seed=0).score(train, lambda samples: None) for each in folders]


def table(rows: pd.DataFrame, measures: dict[str, str] = MEASURES, bounded: bool = True) -> str:
    """Means over seeds with their intervals, in %, a line per method. rows: measures by (method, seed).

    bounded: shares, and for LDS a correlation, whose intervals stay within their range; not so for differences.
    """

    def shown(values: pd.Series, within: Range | None) -> str:
        if values.isna().all():
            return "–"
        found = interval(values, within)
        between = "" if found["low"] is None else f" [{100 * found['low']:.1f}, {100 * found['high']:.1f}]"
        return f"{100 * found['mean']:.1f}{between}"

    ranges = {measure: RANGES.get(measure, SHARE) if bounded else None for measure in measures if measure in rows}
    ways = {measure: partial(shown, within=within) for measure, within in ranges.items()}
    return rows.groupby("method", sort=False).agg(ways).rename(columns=measures).to_string()


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
