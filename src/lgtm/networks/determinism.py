"""The same bytes from the same machine."""

import os

import torch
from transformers import set_seed


def make_deterministic(seed: int) -> None:
    """Seed every generator and choose deterministic kernels."""
    # cuBLAS is deterministic only with a fixed workspace, which has to be set before CUDA starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    set_seed(seed)
    torch.use_deterministic_algorithms(True)
