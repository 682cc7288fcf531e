"""Peak memory of the influence stage as the samples grow: the stage itself, as dvc.yaml runs it, on made-up data.

    PYTHONPATH=src python -m benchmarks.memory --samples 20000

Ends in an error where the stage did not score every sample.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForSequenceClassification

from lgtm.errors import UserError
from lgtm.networks.models import train_wordpiece
from stages.artifacts import DATA, cell, save_model, write_json, write_table

ROOT = Path(__file__).parents[1]
SEED = 1
STAGE = [sys.executable, "-m", "lgtm.stage", "influence", "--seed", str(SEED)]
# A small process between this one and the stage: a child's peak begins with that of the process that starts it.
WATCH = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(done.returncode)
"""
LABELS = ["bad", "good"]
WORDS = [*LABELS, "day", "night", "sun", "rain", "film", "book"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=20_000)
    samples = parser.parse_args().samples
    small, large = peak_memory(samples), peak_memory(10 * samples)
    print(f"peak memory of the influence stage: {small:.0f} MiB with {samples:,} samples,")
    print(f"{large:.0f} MiB with {10 * samples:,}: {large / small:.2f} times as much")


def peak_memory(samples: int) -> float:
    """MiB that the stage's process holds at most, from `samples` short texts and a tiny student.

    Raises UserError where the stage failed, or did not score every sample in order.
    """
    with tempfile.TemporaryDirectory() as folder:
        make_workspace(Path(folder), samples)
        watched = subprocess.run(
            [sys.executable, "-c", WATCH, *STAGE],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        if watched.returncode:
            said = watched.stderr.strip().splitlines() or ["nothing"]
            raise UserError(f"the influence stage ended with status {watched.returncode} and said: {said[-1]}")
        require_scores(Path(folder) / cell(SEED, "influence") / "influence.parquet", samples)
    return int(watched.stdout) / 2**10


def require_scores(path: Path, samples: int) -> None:
    """Raise UserError unless the table holds the finite influence of every sample, in order."""
    if not path.is_file():
        raise UserError(f"the influence stage wrote no {path.name}: nothing was measured")
    found = pd.read_parquet(path, columns=["sample_id", "influence"])
    if found["sample_id"].tolist() != sample_ids(samples):
        raise UserError(f"the influence stage scored {len(found)} samples that are not the {samples} of train in order")
    if not np.isfinite(found["influence"]).all() or not found["influence"].any():
        raise UserError("the influence stage wrote scores that are not finite, or all zero")


def make_workspace(folder: Path, samples: int) -> None:
    """What the stage reads, as the stages before it leave it, and the script itself."""
    shutil.copy(ROOT / "params.yaml", folder)
    (folder / "stages").symlink_to(ROOT / "stages")
    tokenizer = train_wordpiece(WORDS, vocab_size=100, max_length=32)
    config = AutoConfig.for_model(
        "bert",
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        vocab_size=len(tokenizer),
        num_labels=len(LABELS),
    )
    (folder / DATA).mkdir(parents=True)
    for role, rows in (("train", samples), ("feedback", 256)):
        made_up(rows).to_parquet(folder / DATA / f"{role}.parquet", index=False)
    write_json(folder / DATA / "task.json", {"labels": LABELS, "metrics": ["accuracy"], "max_length": 32})
    student = AutoModelForSequenceClassification.from_config(config)
    save_model(folder / cell(SEED, "student"), student, tokenizer)
    moments = {name: torch.ones_like(parameter) for name, parameter in student.named_parameters()}
    save_file(moments, folder / cell(SEED, "student") / "second_moments.safetensors")
    targets = np.random.default_rng(SEED).standard_normal((samples, len(LABELS)), dtype=np.float32)
    write_table(folder / cell(SEED, "teacher") / "targets.parquet", pd.Series(range(samples)), logits=targets)


def made_up(rows: int) -> pd.DataFrame:
    """Texts of 3 to 12 words with random labels."""
    rng = np.random.default_rng(SEED)
    words = rng.choice(WORDS, (rows, 12))
    lengths = rng.integers(3, 13, rows)
    labels = rng.integers(len(LABELS), size=rows)
    texts = [" ".join(row[:length]) for row, length in zip(words, lengths, strict=True)]
    return pd.DataFrame({"sample_id": sample_ids(rows), "text": texts, "label": labels, "true_label": labels})


def sample_ids(rows: int) -> list[str]:
    return [f"train-{row}" for row in range(rows)]


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
