"""Where artifacts lie and how they are written: the only knowledge that stages share about files.

A cell is a seed, or a seed and an arm; dvc.yaml names the same folders.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

DATA = Path("work/data")
INIT = Path("work/init")
EVALUATION = Path("work/evaluation")
RUNS = Path("work/runs")
TIMINGS = Path("reports/timings.json")


def cell(seed: int, *parts: str) -> Path:
    """Folder of a cell's artifact: cell(1, "teacher"), cell(1, "kd", "student")."""
    return RUNS.joinpath(str(seed), *parts)


def read_role(role: str) -> pd.DataFrame:
    """A role's table: sample_id, text, [text_pair], label, true_label, and part for test."""
    return pd.read_parquet(DATA / f"{role}.parquet")


def read_summary() -> dict[str, Any]:
    """What prepare found out about the task: labels, metrics, max_length, counts."""
    return json.loads((DATA / "summary.json").read_text())


def write_json(path: Path, content: Any) -> None:
    """Write indented JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_table(path: Path, sample_id: pd.Series, **columns: np.ndarray) -> None:
    """Write a parquet table by sample_id; a matrix becomes a column of lists."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = {name: list(values) if values.ndim > 1 else values for name, values in columns.items()}
    pd.DataFrame({"sample_id": sample_id, **table}).to_parquet(path, index=False)


def read_matrix(path: Path, column: str) -> np.ndarray:
    """A column of lists of a parquet table as a matrix."""
    return np.stack(pd.read_parquet(path, columns=[column])[column])


def save_model(folder: Path, model, tokenizer) -> None:
    """Write a Hugging Face model folder: config.json, model.safetensors, tokenizer files."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@contextmanager
def live_curves(folder: Path) -> Iterator[Callable[[int, dict[str, float]], None]]:
    """A logger of training curves that DVCLive writes while the stage runs."""
    from dvclive import Live

    with Live(str(folder / "live"), dvcyaml=None, save_dvc_exp=False, report=None) as live:

        def log(step: int, values: dict[str, float]) -> None:
            live.step = step
            for name, value in values.items():
                live.log_metric(name, value)
            live.sync()

        yield log
