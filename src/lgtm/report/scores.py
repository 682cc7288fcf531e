"""The influence's scores: over the rows that are taught, and against what is known and what retraining says."""

import numpy as np
import pandas as pd

from lgtm.report.names import Metrics
from lgtm.report.statistics import CORRELATION, SHARE, Interval, interval
from lgtm.report.tables import intervals

# By errors of the teacher: what validity calls the lead of the influence in finding them.
AHEAD = {"teacher_error": "influence_ahead", "teacher_error_transfer": "influence_ahead_transfer"}


def join_scores(scores: pd.DataFrame, train: pd.DataFrame, transfer: pd.DataFrame) -> pd.DataFrame:
    """Influence per seed and sample (seed, sample_id, influence, influence_label), with `role` and `planted`.

    train: sample_id, label, true_label; transfer: sample_id. planted: whether a label is not the true one; no text,
    because there may be a million rows in every seed.
    """
    flips = {"train": train["label"] != train["true_label"], "transfer": False}
    rows = [
        pd.DataFrame({"sample_id": ids["sample_id"], "role": pd.Categorical([role] * len(ids), list(flips))}).assign(
            planted=flips[role]
        )
        for role, ids in {"train": train, "transfer": transfer}.items()
    ]
    return scores.merge(pd.concat(rows), on="sample_id", validate="many_to_one")


def share_helpful(scores: pd.DataFrame) -> dict[str, Interval]:
    """By role, over seeds: the share of samples with an influence above zero; scores: of join_scores."""
    shares = scores["influence"].gt(0).groupby([scores["role"], scores["seed"]]).mean()
    return {role: interval(values, SHARE) for role, values in shares.groupby("role")}


def removal_changes(found: dict[int, Metrics]) -> pd.DataFrame:
    """What dropping a part of train does to the held-out loss, by seed: seed, dropped, fraction, change (in nats).

    found: by seed, what the validation stage wrote. No rows where it dropped nothing.
    """
    rows = [
        {
            "seed": seed,
            "dropped": removal["dropped"],
            "fraction": removal["fraction"],
            "change": np.mean(removal["losses"]) - np.mean(values["nothing_dropped"]),
        }
        for seed, values in found.items()
        for removal in values.get("removals", [])
    ]
    return pd.DataFrame(rows, columns=["seed", "dropped", "fraction", "change"])


def subset_losses(found: dict[int, Metrics]) -> pd.DataFrame:
    """Random subsets of train: seed, influence (summed), loss (held-out, mean over repeats). Like removal_changes."""
    rows = [
        {"seed": seed, "influence": subset["influence"], "loss": np.mean(subset["losses"])}
        for seed, values in found.items()
        for subset in values.get("subsets", [])
    ]
    return pd.DataFrame(rows, columns=["seed", "influence", "loss"])


def validity(found: dict[int, Metrics], changes: pd.DataFrame) -> Metrics:
    """Over seeds: how well flips and the teacher's errors are found, and what retrained students say.

    found: by seed, what the validation stage wrote; changes: of removal_changes. What was not measured is left out; a
    seed without errors to find does not count, but in `shares`, how many there are. influence_ahead: by how much its
    AUC for the teacher's errors is above that of the teacher's own confidence, paired by seed. teacher_error is about
    train; teacher_error_transfer and influence_ahead_transfer are there where the truth of transfer is known.
    """
    first, *_ = found.values()
    measures: Metrics = {errors: {} for errors in first["shares"]}
    for errors, scores in measures.items():
        for score in first[errors]:
            measured = pd.DataFrame([values[errors][score] for values in found.values() if values[errors][score]])
            if len(measured):
                scores[score] = intervals(measured)
    measures["shares"] = {
        errors: interval([values["shares"][errors] for values in found.values()], SHARE) for errors in first["shares"]
    }
    for errors, ahead in AHEAD.items():
        errs = [values[errors] for values in found.values() if errors in values and values[errors]["influence"]]
        if errs:
            measures[ahead] = interval([each["influence"]["auc"] - each["confidence"]["auc"] for each in errs])
    if "lds" in first:
        measures["lds"] = interval([values["lds"]["correlation"] for values in found.values()], CORRELATION)
        measures["lds_by_seed"] = {
            str(seed): Interval(
                mean=values["lds"]["correlation"], low=values["lds"]["low"], high=values["lds"]["high"], n=1
            )
            for seed, values in found.items()
        }
    if len(changes):
        measures["nothing_dropped"] = interval([np.mean(values["nothing_dropped"]) for values in found.values()])
        measures["removals"] = {
            dropped: {f"{fraction:g}": interval(values) for fraction, values in part.groupby("fraction")["change"]}
            for dropped, part in changes.groupby("dropped", sort=False)
        }
    return measures


def rank_samples(scores: pd.DataFrame) -> pd.DataFrame:
    """One row per sample with its mean influence over seeds, the most helpful first, and in how many seeds it helps.

    scores: of join_scores. Returns sample_id, role, planted, influence, helps.
    """
    by_sample = scores.assign(helps=scores["influence"] > 0).groupby("sample_id", sort=True)
    samples = by_sample[["role", "planted"]].first()
    samples = samples.assign(influence=by_sample["influence"].mean(), helps=by_sample["helps"].sum())
    return samples.sort_values("influence", ascending=False, kind="stable").reset_index()


def extremes(ranked: pd.DataFrame, shown: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The `shown` most helpful samples of every role, train's first, and the least helpful, these from the lowest on.

    ranked: of rank_samples. By role, because the many rows of the one would leave none of the other.
    """
    most, least = (
        order.groupby("role").head(shown).sort_values("role", kind="stable") for order in (ranked, ranked[::-1])
    )
    return most, least
