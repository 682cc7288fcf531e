"""Several teachers as one."""

from collections.abc import Sequence
from functools import reduce

import numpy as np
from scipy.special import log_softmax


def mean_logits(logits: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """The logarithm of the weighted mean of the teachers' probabilities, N × C float32; one teacher's logits as is.

    logits: N × C of each teacher. weights: positive, one a teacher; only their ratios count. Finite logits give finite
    ones. The softmax of the result at temperature 1 is the mixture (a linear opinion pool).
    """
    if len(logits) == 1:
        return logits[0]  # not its log_softmax, which is the same distribution in other bytes
    shares = np.asarray(weights, np.float64) / np.sum(weights)
    pairs = zip(logits, shares, strict=True)
    mixed = reduce(np.logaddexp, (log_softmax(own.astype(np.float64), axis=1) + np.log(share) for own, share in pairs))
    return mixed.clip(min=np.finfo(np.float32).min).astype(np.float32)
