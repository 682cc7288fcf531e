"""Peak memory of the stages up to influence as rows without labels grow: the stages themselves, as dvc.yaml runs them.

    PYTHONPATH=src python -m benchmarks.memory --rows 100000

A made-up task with few labels and `--rows` rows in transfer, then with ten times as many. Ends in an error where a
stage did not go through every row.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import yaml

from benchmarks.workspace import put
from lgtm.config import read_yaml
from lgtm.errors import UserError
from stages.artifacts import cell, role_path

ROOT = Path(__file__).parents[1]
SEED = 1
LABELLED = 1000
STAGES = ("prepare", "teacher_warmup", "student_warmup", "influence")
# A small process between this one and the stage: a child's peak begins with that of the process that starts it.
WATCH = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(done.returncode)
"""
LABELS = ["bad", "good"]
NETWORK = {
    "model_type": "bert", "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 32,
    "hidden_size": 16, "intermediate_size": 32,
}  # fmt: skip
PAIR = {
    "description": "two tiny BERTs",
    "tokenizer": {"vocab_size": 200},
    "teacher": {"config": NETWORK, "learning_rate": 1e-3},
    "student": {"config": NETWORK, "learning_rate": 1e-3},
}
CARD = {
    "description": "made-up remarks",
    "source": "local",
    "files": {"train": "train.csv", "transfer": "transfer.csv"},
    "columns": {"text": "text", "label": "label"},
    "metrics": ["accuracy"],
    "max_length": 32,
    "label_noise": 0.0,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    rows = parser.parse_args().rows
    small, large = peak_memory(rows), peak_memory(10 * rows)
    print(f"| peak memory, MiB | {rows:,} rows in transfer | {10 * rows:,} | ratio |\n|---|---|---|---|")
    for stage in STAGES:
        print(f"| {stage} | {small[stage]:.0f} | {large[stage]:.0f} | {large[stage] / small[stage]:.2f} |")


def peak_memory(rows: int) -> dict[str, float]:
    """MiB that each stage's process holds at most, by stage.

    Raises UserError where a stage failed, or did not go through every row in order.
    """
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        make_workspace(folder, rows)
        peaks = {stage: run(stage, folder) for stage in STAGES}
        require_rows(folder, rows)
    return peaks


def run(stage: str, folder: Path) -> float:
    """MiB that a stage's process holds at most."""
    seed = [] if stage == "prepare" else ["--seed", str(SEED)]
    watched = subprocess.run(
        [sys.executable, "-c", WATCH, sys.executable, "-m", "lgtm.stage", stage, *seed],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    if watched.returncode:
        said = watched.stderr.strip().splitlines() or ["nothing"]
        raise UserError(f"{stage} ended with status {watched.returncode} and said: {said[-1]}")
    return int(watched.stdout) / 2**10


def require_rows(folder: Path, rows: int) -> None:
    """Raise UserError unless every row was kept, taught and scored with a finite influence, in order."""
    transfer = pq.read_table(folder / role_path("transfer"), columns=["sample_id"])["sample_id"].to_pylist()
    if transfer != [f"transfer-{row}" for row in range(rows)]:
        raise UserError(f"prepare kept {len(transfer)} rows that are not the {rows} in order")
    train = pq.read_table(folder / role_path("train"), columns=["sample_id"])["sample_id"].to_pylist()
    for path in (cell(SEED, "teacher") / "targets.parquet", cell(SEED, "influence") / "influence.parquet"):
        table = pq.read_table(folder / path)
        if table["sample_id"].to_pylist() != train + transfer:
            raise UserError(f"{path}: {len(table)} rows that are not train's and transfer's in order")
    influence = table["influence"].to_numpy()
    if not np.isfinite(influence).all() or not influence.any():
        raise UserError("the influence stage wrote scores that are not finite, or all zero")


def make_workspace(folder: Path, rows: int) -> None:
    """A task, a pair and settings; the stages are this project's own."""
    params = read_yaml(ROOT / "params.yaml")
    for key, value in {"task": "made", "pair": "made", "arms": ["kd"], "seeds": [SEED]}.items():
        put(params, key, value)
    for section in ("teacher_warmup", "student_warmup"):
        put(params, f"{section}.epochs", 1)
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    (folder / "stages").symlink_to(ROOT / "stages")
    task = folder / "tasks/made"
    task.mkdir(parents=True)
    (task / "task.yaml").write_text(json.dumps(CARD))
    (folder / "pairs").mkdir()
    (folder / "pairs/made.yaml").write_text(json.dumps(PAIR))
    with (task / "train.csv").open("w") as file:
        file.write("text,label\n")
        file.writelines(f"{text},{text.split()[0]}\n" for text in made_up(0, LABELLED))
    with (task / "transfer.csv").open("w") as file:
        file.write("text\n")
        file.writelines(f"{text}\n" for text in made_up(LABELLED, LABELLED + rows))


def made_up(first: int, last: int) -> Iterator[str]:
    """Texts of 5 to 12 words, all different: their numbers, digit by digit, stand among the words."""
    rng = np.random.default_rng([SEED, first])
    words = ["day", "night", "sun", "rain", "film", "book"]
    for number in range(first, last):
        remark = rng.choice(words, rng.integers(1, 5))
        yield " ".join([LABELS[rng.integers(2)], *remark, *str(number)])


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
