"""What the arms of a run take in seconds, and its teacher and student per sample: of this machine, so no stage owns it.

    make timings

Seconds are those of the stages teacher_tailored and distill, without imports, as they were noted when they ran here; an
arm with a cell that came from the cache has none. Latency is that of the forward pass on selection's texts.
"""

import argparse
import statistics
import sys
import time

import numpy as np
import torch

from lgtm.errors import UserError
from lgtm.networks.encoding import ordered_batches
from lgtm.networks.losses import inputs_of
from lgtm.params import load_params
from lgtm.seconds import read_seconds
from stages.artifacts import REPORTS, cell, existing, write_json
from stages.network import Network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=20, help="batches whose median is the latency")
    repeats = parser.parse_args().repeats
    params = load_params()
    timings = {name: latency(params.seeds[0], name, repeats) for name in ("teacher", "student")}
    timings["seconds"] = {arm: seconds(params.seeds, arm) for arm in params.arms}
    for name in ("teacher", "student"):
        print(f"{name:20}" + "".join(f"{value:9.3f} {key.replace('_', ' ')}" for key, value in timings[name].items()))
    for arm, took in timings["seconds"].items():
        print(f"{arm:20}{'  (a cell came from the cache)' if took is None else f'{took:9.1f} s a seed'}")
    write_json(REPORTS / "timings.json", timings)


def seconds(seeds: list[int], arm: str) -> float | None:
    """Seconds that an arm took after the warm-ups and the influence, the mean over seeds; None where one is unknown."""
    outputs = ("teacher/trials.json", "student/model.safetensors")
    cells = [read_seconds(cell(seed, arm) / output) for seed in seeds for output in outputs]
    return None if None in cells else round(sum(cells) / len(seeds), 2)


def latency(seed: int, name: str, repeats: int) -> dict[str, float]:
    """Median milliseconds per sample at batch sizes 1 and 32, of the warm network's forward pass alone."""
    existing(cell(seed, name) / "model.safetensors")
    network = Network(cell(seed, name))
    return {f"ms_per_sample_batch_{size}": _milliseconds(network, size, repeats) for size in (1, 32)}


@torch.inference_mode()
def _milliseconds(network: Network, size: int, repeats: int) -> float:
    model, data = network.model.eval(), network.encode("selection")
    rows = np.resize(np.arange(len(data)), size * (repeats + 3)).tolist()
    taken = []
    for batch in ordered_batches(data, size, rows, model.device, f"latency, batch {size}"):
        start = time.perf_counter()
        # Fetching the logits waits for the device.
        model(**inputs_of(batch)).logits.cpu()
        taken.append(time.perf_counter() - start)
    return 1e3 * statistics.median(taken[3:]) / size


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
