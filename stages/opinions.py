"""What teachers and students said of single rows, for the report: of those that are taught, and of the test's."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from scipy.special import softmax

from lgtm.report.moved import measures, shift
from stages.artifacts import (
    TAUGHT,
    at,
    cell,
    chosen_teacher,
    existing,
    read_chunks,
    read_columns,
    read_matrices,
    read_role,
    require_rows_of,
)


def read_rows() -> pd.DataFrame:
    """The rows that are taught, in their order, without texts: sample_id, role, label, true_label, known.

    known: the true class, the label where it is not known, NaN where neither is.
    """
    columns = ["sample_id", "label", "true_label"]
    rows = pd.concat([read_role(role, columns).assign(role=role) for role in TAUGHT], ignore_index=True)
    rows = rows.reindex(columns=["sample_id", "role", "label", "true_label"])
    return rows.assign(known=rows["true_label"].fillna(rows["label"]))


def read_shifts(
    seeds: list[int], arms: list[str], rows: pd.DataFrame
) -> tuple[dict[str, dict[int, pd.DataFrame]], dict[str, np.ndarray]]:
    """Of the arms with a teacher of their own, what it says differently: by seed and role, and how far row by row.

    rows: of read_rows. Returns moved.measures by arm and seed, and by arm the distance of every row, mean over seeds.
    An arm that speaks of other rows, or says what the warm teacher says, is left out.
    """
    require_rows_of(TAUGHT, *map(warm_targets, seeds))
    found: dict[str, dict[int, pd.DataFrame]] = {}
    far: dict[str, np.ndarray] = {}
    for arm in arms:
        paths = {seed: own_targets(seed, arm) for seed in seeds}
        if not all(speaks_of(path, rows["sample_id"]) for path in paths.values()):
            continue
        found[arm], far[arm] = {}, np.zeros(len(rows))
        for seed, path in paths.items():
            shifted = pd.concat(_shifts(warm_targets(seed), path), ignore_index=True)
            found[arm][seed] = measures(shifted, rows)
            far[arm] += shifted["moved"].to_numpy() / len(seeds)
    return found, far


def _shifts(warm: Path, own: Path) -> Iterator[pd.DataFrame]:
    # Both begin with the same rows, in chunks of one size; the arm's may go on, with those of feedback.
    for before, after in zip(read_matrices(warm, "logits"), read_matrices(own, "logits"), strict=False):
        yield shift(before, after[: len(before)])


def warm_targets(seed: int) -> Path:
    """What the warm teacher said of the rows that are taught."""
    return cell(seed, "teacher") / "targets.parquet"


def own_targets(seed: int, arm: str) -> Path:
    """What an arm's teacher said, of several to choose from the one that was chosen."""
    return chosen_teacher(cell(seed, arm, "teacher"), cell(seed, arm, "student")) / "targets.parquet"


def speaks_of(path: Path, sample_id: pd.Series) -> bool:
    """Whether a table of targets has logits of its own, and its first rows are these."""
    if "logits" not in pq.read_schema(existing(path, "sample_id")).names:
        return False
    first = 0
    for chunk in read_chunks(path, ["sample_id"]):
        wanted = sample_id[first : first + len(chunk)]
        if not np.array_equal(chunk["sample_id"][: len(wanted)].to_numpy(), wanted.to_numpy()):
            return False
        first += len(chunk)
    return first >= len(sample_id)


def read_opinions(paths: list[Path], column: str, places: np.ndarray) -> np.ndarray:
    """Probabilities of the rows at these places, which are sorted (n × C), mean over tables of logits, one per seed."""
    said = [np.concatenate([rows for rows, _ in at(places, read_matrices(path, column))]) for path in paths]
    return np.mean([softmax(logits, axis=-1) for logits in said], axis=0)


def confidence(path: Path) -> np.ndarray:
    """The highest probability of every row of a table of logits."""
    return np.concatenate([softmax(logits, axis=-1).max(-1) for logits in read_matrices(path, "logits")])


def read_influences(seeds: list[int], places: np.ndarray) -> np.ndarray:
    """Influence of the rows at these places, seeds in columns."""
    tables = [read_columns(cell(seed, "influence") / "influence.parquet", "influence") for seed in seeds]
    return np.stack([table["influence"].to_numpy()[places] for table in tables], axis=-1)
