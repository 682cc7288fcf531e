"""What the cells of the listed seeds and arms wrote, as the tables that the report is made of."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lgtm.report.names import DISTILLATION
from lgtm.report.tables import retrained
from stages.artifacts import (
    VALIDATION,
    WARMUP,
    cell,
    evaluation,
    existing,
    later_rounds,
    read_cost,
    read_curve,
    read_json,
)


def read_costs(seeds: list[int], arms: list[str]) -> dict[str, list[list[tuple[str, dict]]]]:
    """By arm and seed, what the networks of its teacher's and its student's cell cost."""
    return {
        arm: [
            [entry for name in ("teacher", "student") for entry in read_cost(cell(seed, arm, name)).items()]
            for seed in seeds
        ]
        for arm in arms
    }


def read_environments(seeds: list[int], arms: list[str]) -> dict[tuple[int, str], dict[str, Any]]:
    """What every network was made with, by seed and folder; empty where its cell did not say."""
    folders = ["teacher", "student", *(f"{arm}/{model}" for arm in arms for model in ("teacher", "student"))]
    networks = [(seed, name) for seed in seeds for name in folders if (cell(seed, name) / "config.json").is_file()]
    paths = {(seed, name): cell(seed, name) / "environment.json" for seed, name in networks}
    return {network: read_json(path) if path.is_file() else {} for network, path in paths.items()}


def read_results(seeds: list[int], arms: list[str], rounds: Sequence[str] = ()) -> pd.DataFrame:
    """Every measurement on the test role: seed, arm, model, part, metric, value. rounds: the arms that went on."""
    return pd.concat(
        [
            pd.read_parquet(existing(folder / "results.parquet")).assign(**where)
            for folder, where in _evaluated(seeds, arms, rounds)
        ],
        ignore_index=True,
    )


def read_predictions(seeds: list[int], arms: list[str]) -> pd.DataFrame:
    """Every student's prediction on the test role, without the logits."""
    columns = ["sample_id", "part", "label", "predicted"]
    tables = [
        pd.read_parquet(existing(folder / "student.parquet"), columns=columns).assign(**where, model="student")
        for folder, where in _evaluated(seeds, arms)
    ]
    return pd.concat(tables, ignore_index=True)


def _evaluated(seeds: list[int], arms: list[str], rounds: Sequence[str] = ()) -> Iterator[tuple[Path, dict]]:
    """The folders of what was evaluated, and what their rows are of."""
    for seed in seeds:
        for arm in (WARMUP, *arms):
            yield evaluation(seed, arm), {"seed": seed, "arm": arm}
        for arm in rounds:
            yield later_rounds(seed, arm), {"seed": seed, "arm": arm}


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
