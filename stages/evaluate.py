"""Predict the test role, once, with every student and teacher of the listed seeds and arms, and measure them."""

import statistics
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from lgtm.errors import UserError
from lgtm.networks.determinism import make_deterministic
from lgtm.networks.encoding import ordered_batches
from lgtm.networks.losses import inputs_of
from lgtm.networks.metrics import agreement, evaluate_logits
from lgtm.networks.training import predict
from lgtm.params import load_params
from lgtm.stage import read_seconds
from stages.artifacts import EVALUATION, LEADERBOARD, TIMINGS, cell, read_json, read_role, write_json
from stages.network import Network


def main() -> None:
    """Write results (a long table) and predictions to work/evaluation, latencies and seconds to reports/timings.json.

    Where the task has a leaderboard and params.yaml asks for it, also its files of predictions.
    """
    params = load_params()
    make_deterministic(0)
    test = read_role("test")
    results, predictions = [], []

    def measure(seed: int, arm: str, model: str, network: Network, teacher_logits: np.ndarray | None) -> np.ndarray:
        logits = network.predict("test", params.evaluate.batch_size)
        where = {"seed": seed, "arm": arm, "model": model}
        for part in test["part"].unique():
            rows = (test["part"] == part).to_numpy()
            values = evaluate_logits(logits[rows], test["label"].to_numpy()[rows], network.task["metrics"])
            if teacher_logits is not None:
                values["agreement"] = agreement(logits[rows], teacher_logits[rows])
            values |= size(network)
            results.extend(where | {"part": part, "metric": name, "value": value} for name, value in values.items())
        table = test[["sample_id", "part", "label"]].assign(**where, predicted=logits.argmax(-1), logits=list(logits))
        predictions.append(table)
        return logits

    for seed in params.seeds:
        warm = measure(seed, "warmup", "teacher", load(seed, "teacher"), None)
        measure(seed, "warmup", "student", load(seed, "student"), warm)
        for arm in params.arms:
            made = made_teacher(seed, arm)
            teacher = measure(seed, arm, "teacher", load(*made), None) if made else warm
            student = load(seed, arm, "student")
            measure(seed, arm, "student", student, teacher)
            for number in range(2, params.rounds.count + 1) if arm in params.rounds.arms else ():
                measure(seed, arm, round_name(number), load(seed, arm, "rounds", str(number), "student"), None)
            if params.evaluate.leaderboard:
                write_leaderboard(EVALUATION / "leaderboard" / arm / str(seed), student, params.evaluate.batch_size)

    EVALUATION.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(results).to_parquet(EVALUATION / "results.parquet", index=False)
    pd.concat(predictions).to_parquet(EVALUATION / "predictions.parquet", index=False)
    # Timings differ from run to run, so no stage owns their file.
    timed = {model: load(params.seeds[0], model) for model in ("teacher", "student")}
    timings = {name: latency(network, params.evaluate.latency_repeats) for name, network in timed.items()}
    took = {arm: seconds(params.seeds, arm) for arm in params.arms}
    write_json(TIMINGS, timings | {"seconds": {arm: mean for arm, mean in took.items() if mean is not None}})


def write_leaderboard(folder: Path, student: Network, batch_size: int) -> None:
    """Predict the rows whose labels are hidden: a file for each that the card names, with the columns GLUE asks for."""
    rows, classes = pd.read_parquet(LEADERBOARD / "texts.parquet"), read_json(LEADERBOARD / "classes.json")
    for name, own in rows.groupby("file"):
        folder.mkdir(parents=True, exist_ok=True)
        logits = predict(student.model, student.encode_frame(own), batch_size)
        predicted = [classes[index] for index in logits.argmax(-1)]
        own[["index"]].assign(prediction=predicted).to_csv(folder / name, sep="\t", index=False)


def load(*parts) -> Network:
    """A cell's network. Raises UserError when it is not there."""
    folder = cell(*parts)
    if not (folder / "model.safetensors").is_file():
        raise UserError(f"{folder}: no model there, but params.yaml lists its seed and arm; run dvc repro")
    return Network(folder)


def round_name(number: int) -> str:
    """What the results call a student of a later round."""
    return f"round {number}"


def made_teacher(seed: int, arm: str) -> tuple | None:
    """The cell of the teacher that an arm made, before its student or beside it; None where it made none."""
    places = [(seed, arm, "teacher"), (seed, arm, "student", "teacher")]
    return next((place for place in places if (cell(*place) / "config.json").is_file()), None)


def size(network: Network) -> dict[str, float]:
    """Number of parameters, and their size as stored in fp32."""
    parameters = sum(parameter.numel() for parameter in network.model.parameters())
    return {"parameters": parameters, "megabytes": parameters * 4 / 1e6}


def seconds(seeds: list[int], arm: str) -> float | None:
    """Seconds that an arm took after the warm-ups and the influence, the mean over seeds.

    None where a cell never ran in this folder, having come from the cache.
    """
    cells = [read_seconds(stage, seed, arm) for seed in seeds for stage in ("teacher_tailored", "distill")]
    return None if None in cells else round(sum(cells) / len(seeds), 2)


def latency(network: Network, repeats: int) -> dict[str, float]:
    """Median milliseconds per test sample at batch sizes 1 and 32, of the forward pass alone."""
    data = network.encode("test")
    return {f"ms_per_sample_batch_{size}": _milliseconds(network, data, size, repeats) for size in (1, 32)}


@torch.inference_mode()
def _milliseconds(network: Network, data, size: int, repeats: int) -> float:
    model = network.model.eval()
    rows = np.resize(np.arange(len(data)), size * (repeats + 3)).tolist()
    batches = list(ordered_batches(data, size, rows, model.device, f"latency, batch {size}"))
    seconds = []
    for batch in batches:
        start = time.perf_counter()
        # Fetching the logits waits for the device.
        model(**inputs_of(batch)).logits.cpu()
        seconds.append(time.perf_counter() - start)
    return 1e3 * statistics.median(seconds[3:]) / size
