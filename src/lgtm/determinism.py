"""The same bytes from the same machine."""

import torch
from transformers import set_seed


def make_deterministic(seed: int) -> None:
    """Seed every generator and choose deterministic kernels."""
    set_seed(seed)
    torch.use_deterministic_algorithms(True)
