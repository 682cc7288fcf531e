"""The same bytes from the same machine."""

import os

import tokenizers
import torch
import transformers
from accelerate import PartialState
from transformers import set_seed


def make_deterministic(seed: int) -> None:
    """Seed every generator and choose deterministic kernels."""
    # cuBLAS is deterministic only with a fixed workspace, which has to be set before CUDA starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    set_seed(seed)
    torch.use_deterministic_algorithms(True)


def environment(device: torch.device) -> dict[str, str | int]:
    """What the bytes of a trained network depend on besides code, settings and data: versions and machine."""
    on_gpu = device.type == "cuda"
    return {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "tokenizers": tokenizers.__version__,
        "device": torch.cuda.get_device_name(device) if on_gpu else device.type,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "processes": PartialState().num_processes,
    }
