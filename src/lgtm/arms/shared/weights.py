"""Weights of training samples from their influence."""

import numpy as np
from scipy.special import log_expit, softmax


def bounded_weights(influence: np.ndarray, slope: float) -> np.ndarray:
    """Weights of samples (N, mean 1): a logistic function of the influence in units of its own standard deviation.

    slope 0: all alike; large: samples that help count alike, those that hurt not at all; but where all hurt, far
    beyond their spread, the weights are in proportion to how little they do.
    """
    scale = influence.std() or 1.0
    return len(influence) * softmax(log_expit(slope * influence.astype(np.float64) / scale))
