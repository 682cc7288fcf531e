"""Peak memory of the stages up to distill as rows without labels grow: the stages themselves, as dvc.yaml runs them.

    PYTHONPATH=src python -m benchmarks.memory                      # 100,000, 300,000 and 1,000,000 rows of 64 tokens
    PYTHONPATH=src python -m benchmarks.memory --rows 10000000      # some hours, 15 GB in TMPDIR

A made-up task with few labels and so many rows in transfer, networks of one layer of width 8; of `distill`, the first
thousand steps of the arm kd. Ends in an error where a stage held more than 4 GiB or did not do its work: go through
every row in order, or take every step.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
import yaml

from benchmarks.workspace import put
from lgtm.config import read_yaml
from lgtm.errors import UserError
from lgtm.networks.models import load_tokenizer
from stages.artifacts import INIT, TAUGHT, cell, count_rows, read_chunks, read_cost, role_path

ROOT = Path(__file__).parents[1]
SEED, ARM = 1, "kd"
LABELLED = 1000
TOKENS = 64
STEPS = 1000
GOAL = 10_000_000  # rows of which less than LIMIT is asked
LIMIT = 4 * 2**10  # MiB
STAGES = ("prepare", "teacher_warmup", "student_warmup", "influence", "teacher_tailored", "distill")
OF_ARMS = ("teacher_tailored", "distill")
# A small process between this one and the stage: a child's peak begins with that of the process that starts it.
WATCH = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_maxrss / 2**10, used.ru_utime + used.ru_stime)
sys.exit(done.returncode)
"""
LABELS = ["bad", "good"]
NETWORK = {
    "model_type": "bert", "num_hidden_layers": 1, "num_attention_heads": 1, "max_position_embeddings": TOKENS,
    "hidden_size": 8, "intermediate_size": 8,
}  # fmt: skip
PAIR = {
    "description": "two tiny BERTs",
    "tokenizer": {"vocab_size": 200},
    "teacher": {"config": NETWORK, "learning_rate": 1e-3},
    "student": {"config": NETWORK, "learning_rate": 2e-3},  # or it may be the teacher, and no row has any influence
}
CARD = {
    "description": "made-up remarks",
    "source": "local",
    "files": {"train": "train.csv", "transfer": "transfer.csv"},
    "columns": {"text": "text", "label": "label"},
    "metrics": ["accuracy"],
    "max_length": TOKENS,
    "label_noise": 0.0,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 300_000, 1_000_000])
    sizes = sorted(parser.parse_args().rows)
    measured = [measure(rows) for rows in sizes]
    print_table(sizes, measured)
    for stage in STAGES:
        if (most := max(stages[stage].peak for stages in measured)) > LIMIT:
            raise UserError(f"{stage} held {most:.0f} MiB, more than {LIMIT}")


def print_table(sizes: list[int], measured: list[dict[str, "Measured"]]) -> None:
    """A line per stage; from two sizes on also a straight line through its peaks, and where that leads."""
    head = ["MiB at the peak (s of a core)", *(f"{rows:,} rows" for rows in sizes)]
    lines = [[stage, *(f"{each[stage].peak:.0f} ({each[stage].seconds:.0f})" for each in measured)] for stage in STAGES]
    if len(sizes) > 1:
        head += ["bytes a row", f"{GOAL:,} rows, extrapolated"]
        for line in lines:
            slope, start = np.polyfit(sizes, [stages[line[0]].peak for stages in measured], 1)
            line += [f"{slope * 2**20:.0f}", f"{start + slope * GOAL:.0f}"]
    for line in (head, ["---"] * len(head), *lines):
        print("| " + " | ".join(line) + " |")


class Measured(NamedTuple):
    """MiB that a stage's process holds at most, and its seconds of a core, which a busy machine makes no longer."""

    peak: float
    seconds: float


def measure(rows: int) -> dict[str, Measured]:
    """What each stage needs. Raises UserError where one failed, or did not do its work."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        make_workspace(folder, rows)
        measured = {}
        for stage in STAGES:
            if stage == "distill":
                limit_steps(folder)
            measured[stage] = run(stage, folder)
            print(
                f"{rows:,} rows, {stage}: {measured[stage].peak:.0f} MiB, {measured[stage].seconds:.0f} s",
                file=sys.stderr,
            )
        require_rows(folder, rows)
        require_tokens(folder)
        require_steps(folder)
    return measured


def run(stage: str, folder: Path) -> Measured:
    """Run a stage."""
    seed = [] if stage == "prepare" else ["--seed", str(SEED)]
    arm = ["--arm", ARM] if stage in OF_ARMS else []
    watched = subprocess.run(
        [sys.executable, "-c", WATCH, sys.executable, "-m", "lgtm.stage", stage, *seed, *arm],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    if watched.returncode:
        said = watched.stderr.strip().splitlines() or ["nothing"]
        raise UserError(f"{stage} ended with status {watched.returncode} and said: {said[-1]}")
    return Measured(*map(float, watched.stdout.split()[-2:]))


def limit_steps(folder: Path) -> None:
    """Set distill's epochs to STEPS steps."""
    params = read_yaml(folder / "params.yaml")
    batches = math.ceil(taught_rows(folder) / params["distill"]["batch_size"])
    put(params, "distill.epochs", (STEPS - 0.5) / batches)  # half a step less, which is rounded up
    (folder / "params.yaml").write_text(yaml.safe_dump(params))


def taught_rows(folder: Path) -> int:
    return sum(count_rows(folder / role_path(role)) for role in TAUGHT)


def require_rows(folder: Path, rows: int) -> None:
    """Raise UserError unless every row was kept, whole, and taught and scored with a finite influence, in order."""
    transfer = [f"transfer-{row}" for row in range(rows)]
    if (kept := sample_ids(folder / role_path("transfer"))) != transfer:
        raise UserError(f"prepare kept {len(kept)} rows that are not the {rows} in order")
    taught = sample_ids(folder / role_path("train")) + transfer
    for path in (
        cell(SEED, "teacher") / "targets.parquet",
        cell(SEED, ARM, "teacher") / "targets.parquet",
        cell(SEED, "influence") / "influence.parquet",
    ):
        if (found := sample_ids(folder / path)) != taught:
            raise UserError(f"{path}: {len(found)} rows that are not train's and transfer's in order")
    influence = pq.read_table(folder / path, columns=["influence"])["influence"].to_numpy()
    if not np.isfinite(influence).all() or not influence.any():
        raise UserError("the influence stage wrote scores that are not finite, or all zero")


def require_tokens(folder: Path) -> None:
    """Raise UserError unless the texts, the first of them, have TOKENS tokens."""
    texts = next(read_chunks(folder / role_path("transfer"), ["text"]))["text"].tolist()
    lengths = {len(ids) for ids in load_tokenizer(folder / INIT / "student")(texts)["input_ids"]}
    if lengths != {TOKENS}:
        raise UserError(f"the texts have {min(lengths)} to {max(lengths)} tokens, not {TOKENS}")


def sample_ids(path: Path) -> list[str]:
    return pq.read_table(path, columns=["sample_id"])["sample_id"].to_pylist()


def require_steps(folder: Path) -> None:
    """Raise UserError unless the samples of STEPS batches came back through the student that was distilled."""
    rows, batch = taught_rows(folder), read_yaml(folder / "params.yaml")["distill"]["batch_size"]
    epochs, more = divmod(STEPS, math.ceil(rows / batch))
    passed, right = read_cost(folder / cell(SEED, ARM, "student"))["student"]["backward"], epochs * rows + more * batch
    if passed < right:
        raise UserError(f"distill: {passed} samples came back through the student, not the {right} of {STEPS} steps")


def make_workspace(folder: Path, rows: int) -> None:
    """A task, a pair and settings; the stages are this project's own."""
    params = read_yaml(ROOT / "params.yaml")
    for key, value in {
        "task": "made",
        "pair": "made",
        "arms": [ARM],
        "seeds": [SEED],
        "distill.evaluations": 1,
    }.items():
        put(params, key, value)
    for section in ("teacher_warmup", "student_warmup"):
        put(params, f"{section}.epochs", 1)
        put(params, f"{section}.keep", "last")
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
    """Texts of TOKENS tokens, two of which the tokenizer adds, all different: they end in their numbers' digits."""
    rng = np.random.default_rng([SEED, first])
    words = np.array(["day", "night", "sun", "rain", "film", "book"])
    for number in range(first, last):
        digits = list(str(number))
        remark = words[rng.integers(len(words), size=TOKENS - 3 - len(digits))]
        yield " ".join([LABELS[rng.integers(2)], *remark, *digits])


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
