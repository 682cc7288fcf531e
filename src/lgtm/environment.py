"""What is set in the environment before torch, transformers and tokenizers are imported, whoever runs them."""

import os

DEFAULTS = {
    # The number of threads changes the bytes: one, unless it is said, whether cells run side by side or not.
    "OMP_NUM_THREADS": "1",
    # Fast tokenizers warn about forked workers; no stage forks.
    "TOKENIZERS_PARALLELISM": "true",
    # The hub is told nothing but which files are asked for.
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


def set_defaults() -> None:
    """Set what is not said already."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
