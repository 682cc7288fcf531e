"""Several teachers as one."""

from collections.abc import Sequence

import numpy as np
from scipy.special import log_softmax, logsumexp


def mean_logits(logits: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """Logits (N × C, float32) of the weighted mean of several teachers' probabilities; of each: N × C, and a weight.

    The logarithm is taken of sums of exponents, so that a saturated teacher stays finite.
    """
    shares = np.log(np.asarray(weights, dtype=np.float64) / np.sum(weights))
    each = np.stack([log_softmax(own.astype(np.float64), axis=-1) for own in logits])
    return logsumexp(each + shares[:, None, None], axis=0).astype(np.float32)
