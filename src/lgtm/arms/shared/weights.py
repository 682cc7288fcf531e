"""Weights of training samples from their influence."""

import numpy as np


def bounded_weights(influence: np.ndarray, slope: float) -> np.ndarray:
    """Weights of samples (N, mean 1): a logistic function of the influence in units of its own standard deviation.

    slope 0: all alike; infinite: samples that help count alike, those that hurt not at all.
    """
    scale = influence.std() or 1.0
    weights = 1 / (1 + np.exp(-slope * influence / scale))
    return weights / weights.mean()
