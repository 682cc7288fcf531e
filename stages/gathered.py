"""What the cells of the listed seeds and arms wrote, as the tables that the report is made of."""

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from lgtm.report.names import DISTILLATION
from lgtm.report.tables import retrained
from stages.artifacts import (
    TAUGHT,
    VALIDATION,
    WARMUP,
    cell,
    chosen_teacher,
    evaluation,
    is_network,
    later_rounds,
    member_folders,
    read_columns,
    read_cost,
    read_curve,
    read_json,
    require_rows_of,
    role_path,
    taught_chunks,
)
from stages.opinions import confidence


def read_costs(seeds: list[int], arms: list[str]) -> dict[str, list[list[tuple[str, dict]]]]:
    """By arm and seed, what the networks of its teacher's and its student's cell cost."""
    return {
        arm: [
            [entry for name in ("teacher", "student") for entry in read_cost(cell(seed, arm, name)).items()]
            for seed in seeds
        ]
        for arm in arms
    }


def read_environments(
    seeds: list[int], arms: list[str], rounds: Sequence[str] = (), count: int = 1
) -> dict[tuple[int, str], dict[str, Any]]:
    """What every network was made with, by seed and folder; empty where its cell did not say.

    rounds: the arms that went on, to `count` rounds. Teachers that an arm trained and did not keep are one with its
    folder teacher, where that says what they were made with.
    """
    parts = [(), *((arm,) for arm in arms)]
    parts += [(arm, "rounds", str(number)) for arm in rounds for number in range(2, count + 1)]
    found = {}
    for seed, part in product(seeds, parts):
        student, made = cell(seed, *part, "student"), cell(seed, *part, "teacher")
        teacher = chosen_teacher(made, student)
        for name, folder in (("teacher", teacher if is_network(teacher) else made), ("student", student)):
            path = member_folders(folder)[0] / "environment.json"
            if path.is_file() or is_network(folder):
                found[seed, "/".join((*part, name))] = read_json(path) if path.is_file() else {}
    return found


def read_results(seeds: list[int], arms: list[str], rounds: Sequence[str] = ()) -> pd.DataFrame:
    """Every measurement on the test role: seed, arm, model, part, metric, value. rounds: the arms that went on."""
    return pd.concat(
        [
            read_columns(folder / "results.parquet", "model", "part", "metric", "value").assign(**where)
            for folder, where in _evaluated(seeds, arms, rounds)
        ],
        ignore_index=True,
    )


def read_predictions(seeds: list[int], arms: list[str]) -> pd.DataFrame:
    """Every student's prediction on the test role with its confidence, without the logits."""
    columns = ["sample_id", "part", "label", "predicted"]
    tables = [
        read_columns(path, *columns).assign(**where, model="student", confidence=confidence(path))
        for path, where in ((folder / "student.parquet", where) for folder, where in _evaluated(seeds, arms))
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
    """Influence of every sample of train and transfer in every seed: seed, sample_id, influence, influence_label."""
    columns = ["sample_id", "influence", "influence_label"]
    require_rows_of(TAUGHT, *(cell(seed, "influence") / "influence.parquet" for seed in seeds))
    tables = [read_columns(cell(seed, "influence") / "influence.parquet", *columns).assign(seed=seed) for seed in seeds]
    return pd.concat(tables, ignore_index=True)


def read_taught() -> tuple[pd.DataFrame, pd.DataFrame]:
    """What the report knows of all rows of train (sample_id, label, true_label) and of transfer (sample_id)."""
    columns = {"train": ["sample_id", "label", "true_label"], "transfer": ["sample_id"]}
    train, transfer = (read_columns(role_path(role), *names) for role, names in columns.items())
    return train, transfer


def read_texts(sample_ids: pd.Series) -> pd.DataFrame:
    """These samples with texts and labels: sample_id, text, [text_pair], label, true_label.

    All tables are gone through a piece at a time: the texts of a million rows are never in memory at once.
    """
    return pd.concat(rows[rows["sample_id"].isin(sample_ids)] for rows in taught_chunks())


def read_choices(seeds: list[int], arms: list[str]) -> dict[str, dict[int, dict[str, Any]]]:
    """By arm and seed, what was chosen on selection; arms that had a choice alone."""
    paths = {arm: {seed: cell(seed, arm, "student") / "choice.json" for seed in seeds} for arm in arms}
    return {
        arm: {seed: read_json(path) for seed, path in places.items()}
        for arm, places in paths.items()
        if any(path.is_file() for path in places.values())
    }


def read_validation(seeds: list[int]) -> dict[int, dict[str, Any]]:
    """What the validation stage found, by seed."""
    return {seed: read_json(VALIDATION / str(seed) / "validation.json") for seed in seeds}


def read_checks(seeds: list[int]) -> dict[str, dict[str, float]]:
    """How far the influence's finite difference is off forward mode, and how far it may be, by seed."""
    wanted = ("disagreement", "tolerance")
    found = {seed: read_json(cell(seed, "influence") / "summary.json", *wanted) for seed in seeds}
    return {str(seed): {name: check[name] for name in wanted} for seed, check in found.items()}


def read_curves(cells: pd.DataFrame, seeds: list[int], arms: list[str], metric: str) -> pd.DataFrame:
    """The metric on selection during every training run: phase, arm, seed, step, value."""
    # A teacher that learnt beside its student has no curve of its own.
    trained_alone = [arm for arm in retrained(cells, arms) if (_teacher(seeds[0], arm) / "live").is_dir()]
    runs = [
        ("Teacher, warm-up", WARMUP, lambda seed, _: cell(seed, "teacher")),
        *(("Teachers of the arms", arm, _teacher) for arm in trained_alone),
        ("Student, warm-up", WARMUP, lambda seed, _: cell(seed, "student")),
        *((DISTILLATION, arm, lambda seed, arm: cell(seed, arm, "student")) for arm in arms),
    ]
    tables = []
    for phase, arm, folder in runs:
        for seed in seeds:
            tables.append(read_curve(folder(seed, arm), metric).assign(phase=phase, arm=arm, seed=seed))
    return pd.concat(tables, ignore_index=True)


def _teacher(seed: int, arm: str) -> Path:
    """The folder of an arm's teacher: of several to choose from, the one that its student learnt from."""
    return chosen_teacher(cell(seed, arm, "teacher"), cell(seed, arm, "student"))
