"""How many cells this machine carries at a time."""

import os
import shutil
import subprocess
from collections.abc import Callable

from lgtm import processes
from lgtm.checks.room import COPIES, STARTING

ITS_OWN = 2500  # MiB of a cell on a GPU: CUDA's own and a small batch's activations


def default_jobs() -> Callable[[], int]:
    """As many as this process may use cores, or where there is a GPU no more than its free memory carries; at least 1.

    Cells take the first GPUs that they see, as many as they have processes: CUDA_VISIBLE_DEVICES says which. How many
    cells a GPU carries is known better once the starting networks are there, so this is asked again and again.
    """
    cells, free = max(1, count_cores() // processes.asked()), gpu_memory()
    return lambda: cells if free is None else max(1, min(cells, free // cell_memory()))


def count_cores() -> int:
    """The cores that this process may use, or where the system does not say, all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpu_memory() -> int | None:
    """Free memory of the first visible GPU in MiB, without touching CUDA; None where there is none."""
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]
    if not shutil.which("nvidia-smi") or first in ("", "-1"):
        return None
    command = ["nvidia-smi", f"--id={first}", "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    said = subprocess.run(command, capture_output=True, text=True).stdout.split()
    return int(said[0]) if said and said[0].isdigit() else None


def cell_memory() -> int:
    """MiB that a cell takes of a GPU, by the starting networks where they are there already."""
    weights = sum(path.stat().st_size for path in STARTING.glob("*/model.safetensors"))
    return ITS_OWN + COPIES * weights // 2**20
