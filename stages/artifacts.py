"""Where artifacts lie and how they are written: the only knowledge that stages share about files.

A cell is a seed, or a seed and an arm; dvc.yaml names the same folders.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lgtm.config import read_yaml, settings_of
from lgtm.errors import UserError
from lgtm.handover import existing, remedy, writing
from lgtm.processes import by_main, is_main, wait

DATA = Path("work/data")
INIT = Path("work/init")
LEADERBOARD = DATA / "leaderboard"
EVALUATION = Path("work/evaluation")
RUNS = Path("work/runs")
VALIDATION = Path("work/validation")
REPORTS = Path("reports")
TAUGHT = ("train", "transfer")  # on whose rows the teacher speaks; only the first has labels
TEXTS = ("text", "text_pair", "label")  # the columns of the roles' tables that a network reads
ANSWERED = "teacher_logits"  # the column of the roles' tables for a teacher that is a file of answers
WEIGHTS = "weights.json"  # of the members of a teacher, in their mean
UNLABELLED = -100  # in place of a label; what torch's cross-entropy leaves out
WARMUP = "warmup"  # the cell of what precedes the arms
MAJORITY = "majority"  # the model, in that cell, that says the most frequent class of train whatever the text
CHUNK = 2**13  # rows of a table that are in memory at once where it is streamed
Rows = TypeVar("Rows", pd.DataFrame, np.ndarray)


def cell(seed: int, *parts: str) -> Path:
    """Folder of a cell's artifact: cell(1, "teacher"), cell(1, "kd", "student")."""
    return RUNS.joinpath(str(seed), *parts)


def evaluation(seed: int, arm: str) -> Path:
    """Folder of what an arm's networks predicted of the test, or with WARMUP the warm teacher and student."""
    return EVALUATION / str(seed) / arm


def later_rounds(seed: int, arm: str) -> Path:
    """Folder of what the students of an arm's later rounds predicted of the test."""
    return EVALUATION / str(seed) / f"{arm}-rounds"


def role_path(role: str) -> Path:
    """A role's table: sample_id, text, [text_pair], label, true_label, group (a number), and part for test.

    transfer may be empty, and has no label and no group; true_label only where its rows were generated.
    """
    return DATA / f"{role}.parquet"


def read_role(role: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The rows of a role, all of them; of the columns that are asked for, those that it has."""
    path = existing(role_path(role), "sample_id", "text")
    return pd.read_parquet(path, columns=_own(path, columns))


def read_roles(roles: Sequence[str], columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The rows of several roles, one after the other; UNLABELLED where there is no label. columns: label among them."""
    rows = pd.concat([_labelled(read_role(role, columns)) for role in roles], ignore_index=True)
    return rows.assign(label=rows["label"].astype("int64"))


def read_chunks(path: Path, columns: list[str] | None = None) -> Iterator[pd.DataFrame]:
    """A parquet table in chunks of CHUNK rows, to stream what does not fit in memory."""
    with pq.ParquetFile(existing(path, *columns or ())) as file:
        for batch in file.iter_batches(CHUNK, columns=columns):
            yield batch.to_pandas()


def role_chunks(roles: Sequence[str], columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
    """What read_roles gives, in chunks; no chunk has rows of two roles."""
    for role in roles:
        path = existing(role_path(role), "sample_id", "text")
        yield from map(_labelled, read_chunks(path, _own(path, columns)))


def taught_chunks() -> Iterator[pd.DataFrame]:
    """The rows that a teacher speaks on, in chunks: train, then transfer."""
    return role_chunks(TAUGHT)


def _own(path: Path, columns: Sequence[str] | None) -> list[str] | None:
    """Those of the columns that a table has; None for all."""
    return None if columns is None else [name for name in pq.read_schema(path).names if name in columns]


def _labelled(rows: pd.DataFrame) -> pd.DataFrame:
    return rows if "label" in rows else rows.assign(label=UNLABELLED)


def at(places: np.ndarray, chunks: Iterable[Rows]) -> Iterator[tuple[Rows, np.ndarray]]:
    """The rows at these places, which are sorted, of a table that comes in chunks; with each chunk's, their places."""
    first = 0
    for rows in chunks:
        begin, end = np.searchsorted(places, [first, first + len(rows)])
        if end > begin:
            own = places[begin:end]
            yield (rows.iloc if isinstance(rows, pd.DataFrame) else rows)[own - first], own
        first += len(rows)


def read_matrices(path: Path, column: str) -> Iterator[np.ndarray]:
    """A matrix of a parquet table, a column of lists of one length, in chunks of rows; read-only."""
    with pq.ParquetFile(existing(path, column)) as file:
        for batch in file.iter_batches(CHUNK, columns=[column]):
            yield batch.column(0).flatten().to_numpy().reshape(len(batch), -1)


def count_rows(path: Path) -> int:
    """Number of rows of a parquet table, from its footer."""
    return pq.read_metadata(existing(path)).num_rows


def require_rows_of(roles: Sequence[str], *paths: Path) -> None:
    """Raise UserError for a table that has not as many rows as these roles: it was made of others."""
    wanted = sum(count_rows(role_path(role)) for role in roles)
    for path in paths:
        if (found := count_rows(path)) != wanted:
            raise UserError(f"{path}: has {found} rows, and {' and '.join(roles)} {wanted}; {remedy(path)}")


def read_task() -> dict[str, Any]:
    """What a network has to know of the task: labels, metrics, max_length, and the majority class of train."""
    return read_json(DATA / "task.json", "labels", "metrics", "max_length", "majority")


def read_summary() -> dict[str, Any]:
    """What prepare did with the rows: counts by role. They tell of the test role, so no network reads them."""
    return read_json(DATA / "summary.json", "roles", "transfer")


def read_curve(folder: Path, metric: str) -> pd.DataFrame:
    """A metric on selection while the model in the folder was trained: step, value."""
    path = existing(folder / "live/plots/metrics/selection" / f"{metric}.tsv", "step", metric)
    return pd.read_csv(path, sep="\t").rename(columns={metric: "value"})


def read_json(path: Path, *keys: str) -> Any:
    """Read JSON that a stage has written. Raises UserError where it is not there, is torn or lacks one of the keys."""
    return json.loads(existing(path, *keys).read_text(encoding="utf-8"))


@by_main
def write_json(path: Path, content: Any) -> None:
    """Write indented JSON."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_figures(path: Path, figures: dict[str, Any]) -> None:
    """Write a run's few figures with the digest of the settings that they are of: lgtm.compare shows no others."""
    params = read_yaml("params.yaml")
    cards = Path("pairs") / f"{params['pair']}.yaml", Path("tasks") / params["task"] / "task.yaml"
    write_json(path, {"of": settings_of(params, *map(read_yaml, cards))} | figures)


def trial_folder(folder: Path, name: str) -> Path:
    """Where one of an arm's several settings has its teacher or student; the folder itself where there is no choice."""
    return folder / "trials" / name if name else folder


def chosen_teacher(teacher: Path, student: Path) -> Path:
    """The folder of the teacher that an arm's student learnt from; teacher, student: the arm's two cells."""
    choice = student / "choice.json"
    return trial_folder(teacher, read_json(choice)["chosen"]) if choice.is_file() else teacher


def is_network(folder: Path) -> bool:
    """Whether a folder holds a network, or several as one teacher."""
    return (folder / "config.json").is_file() or (folder / "members").is_dir()


def member_folders(folder: Path, count: int | None = None) -> list[Path]:
    """Where the networks of a teacher's folder are, or so many are to be: itself for one, else its folder members."""
    if count is None:
        count = len(list((folder / "members").glob("*"))) or 1
    return [folder] if count == 1 else [folder / "members" / str(number + 1) for number in range(count)]


def read_cost(folder: Path) -> dict[str, dict[str, int]]:
    """What the networks of a cell went through, by role: teacher, student, and student_scored for the influence."""
    return read_json(folder / "cost.json")


def write_cost(folder: Path, **costs: dict[str, int]) -> None:
    """Write what read_cost reads."""
    write_json(folder / "cost.json", costs)


class TableWriter:
    """Writes a parquet table by sample_id, chunk by chunk; a matrix becomes a column of lists of one length."""

    def __init__(self, path: Path):
        self.path, self.writer = path, None

    def __enter__(self) -> "TableWriter":
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if self.writer:
            with writing(self.path):
                self.writer.close()
        if kind is None:
            wait()

    @by_main
    def write(self, sample_id: pd.Series, **columns: np.ndarray) -> None:
        """Append rows; every call has to bring the same columns."""
        vectors = {name: values for name, values in columns.items() if values.ndim == 1}
        rows = pa.Table.from_pandas(pd.DataFrame({"sample_id": sample_id} | vectors), preserve_index=False)
        for name, values in ((name, values) for name, values in columns.items() if name not in vectors):
            lists = pa.FixedSizeListArray.from_arrays(pa.array(np.ravel(values)), values.shape[1])
            rows = rows.append_column(name, lists)
        with writing(self.path):
            self.writer = self.writer or pq.ParquetWriter(self.path, rows.schema)
            self.writer.write_table(rows)


@by_main
def write_rows(path: Path, rows: pd.DataFrame) -> None:
    """Write a parquet table as it is."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        rows.to_parquet(path, index=False)


def write_table(path: Path, sample_id: pd.Series, **columns: np.ndarray) -> None:
    """Write a parquet table by sample_id in one go."""
    with TableWriter(path) as table:
        table.write(sample_id, **columns)


@by_main
def write_tsv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as text, with tabs between the columns."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(path, sep="\t", index=False)


def read_matrix(path: Path, column: str) -> np.ndarray:
    """A matrix of a parquet table, as TableWriter wrote it."""
    kind = pq.read_schema(existing(path, column)).field(column).type
    matrix, first = np.empty((count_rows(path), kind.list_size), kind.value_type.to_pandas_dtype()), 0
    for rows in read_matrices(path, column):
        matrix[first : first + len(rows)] = rows
        first += len(rows)
    return matrix


def read_columns(path: Path, *columns: str) -> pd.DataFrame:
    """These columns of a stage's table; all of them where none is named."""
    return pd.read_parquet(existing(path, *columns), columns=list(columns) or None)


@by_main
def save_model(folder: Path, model, tokenizer) -> None:
    """Write a Hugging Face model folder: config.json, model.safetensors, tokenizer files."""
    with writing(folder, Exception):  # safetensors and tokenizers have their own for a full disk
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


@contextmanager
def live_curves(folder: Path) -> Iterator[Callable[[int, dict[str, float]], None]]:
    """A logger of training curves that DVCLive writes while the stage runs; in the main process alone it does."""
    if not is_main():
        yield lambda step, values: None
        return
    from dvclive import Live

    with Live(str(folder / "live"), dvcyaml=None, save_dvc_exp=False, report=None) as live:

        def log(step: int, values: dict[str, float]) -> None:
            live.step = step
            for name, value in values.items():
                live.log_metric(name, value)
            live.sync()

        yield log
    # Where no network was trained, an empty curve: dvc.yaml's plots name it, and DVC warns of one that is not there.
    loss = folder / "live/plots/metrics/train/loss.tsv"
    if not loss.is_file():
        loss.parent.mkdir(parents=True, exist_ok=True)
        loss.write_text("step\tloss\n")
