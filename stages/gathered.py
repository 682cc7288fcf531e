"""What the cells of the listed seeds and arms wrote, as the tables that the report is made of."""

import json
from typing import Any

import pandas as pd

from lgtm.report.page import DISTILLATION, WARMUP, retrained
from stages.artifacts import EVALUATION, VALIDATION, cell, existing, read_cost, read_curve


def read_costs(seeds: list[int], arms: list[str]) -> dict[str, list[list[tuple[str, dict]]]]:
    """By arm and seed, what the networks of its teacher's and its student's cell cost."""
    return {
        arm: [
            [entry for name in ("teacher", "student") for entry in read_cost(cell(seed, arm, name)).items()]
            for seed in seeds
        ]
        for arm in arms
    }


def read_predictions() -> pd.DataFrame:
    """Every prediction on the test role, without the logits."""
    columns = ["sample_id", "part", "label", "seed", "arm", "model", "predicted"]
    return pd.read_parquet(existing(EVALUATION / "predictions.parquet"), columns=columns)


def read_scores(seeds: list[int]) -> pd.DataFrame:
    """Influence of every train sample in every seed: seed, sample_id, influence, influence_label."""
    columns = ["sample_id", "influence", "influence_label"]
    tables = [
        pd.read_parquet(existing(cell(seed, "influence") / "influence.parquet"), columns=columns).assign(seed=seed)
        for seed in seeds
    ]
    return pd.concat(tables, ignore_index=True)


def read_validation(seeds: list[int]) -> dict[int, dict[str, Any]]:
    """What the validation stage found, by seed."""
    return {seed: json.loads(existing(VALIDATION / str(seed) / "validation.json").read_text()) for seed in seeds}


def read_curves(cells: pd.DataFrame, seeds: list[int], arms: list[str], metric: str) -> pd.DataFrame:
    """The metric on selection during every training run: phase, arm, seed, step, value."""
    # A teacher that learnt beside its student has no curve of its own.
    trained_alone = [arm for arm in retrained(cells, arms) if (cell(seeds[0], arm, "teacher") / "live").is_dir()]
    runs = [
        ("Teacher, warm-up", WARMUP, ("teacher",)),
        *(("Teacher, further training", arm, (arm, "teacher")) for arm in trained_alone),
        ("Student, warm-up", WARMUP, ("student",)),
        *((DISTILLATION, arm, (arm, "student")) for arm in arms),
    ]
    tables = []
    for phase, arm, folder in runs:
        for seed in seeds:
            tables.append(read_curve(cell(seed, *folder), metric).assign(phase=phase, arm=arm, seed=seed))
    return pd.concat(tables, ignore_index=True)
