"""What an arm changed in the teacher: its own teacher's words beside the warmed-up one's, on the same rows."""

import numpy as np
import pandas as pd
from scipy.special import softmax

from lgtm.report.names import Metrics
from lgtm.report.statistics import SHARE, interval

# What is measured of the two, in shares.
MEASURES = ("changed", "moved", "right_before", "right_after", "confidence_before", "confidence_after")


def shift(before: np.ndarray, after: np.ndarray) -> pd.DataFrame:
    """Two teachers' logits of the same rows (N × C): class and confidence `_before` and `_after`, and how far they are.

    moved: the total variation distance of the two distributions, 0 to 1.
    """
    first, second = softmax(before, axis=-1), softmax(after, axis=-1)
    return pd.DataFrame(
        {
            "class_before": first.argmax(-1).astype("int32"),
            "class_after": second.argmax(-1).astype("int32"),
            "confidence_before": first.max(-1),
            "confidence_after": second.max(-1),
            "moved": np.abs(first - second).sum(-1) / 2,
        }
    )


def measures(shifted: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """By role, the means of MEASURES; `right` where the class is known alone.

    shifted: of shift; rows: role and known (the true class, the label where that is not known; NaN without either).
    """
    known = rows["known"].reset_index(drop=True)
    table = shifted[["moved", "confidence_before", "confidence_after"]].assign(
        changed=shifted["class_before"] != shifted["class_after"],
        right_before=(shifted["class_before"] == known).astype(float).where(known.notna()),
        right_after=(shifted["class_after"] == known).astype(float).where(known.notna()),
    )
    return table.groupby(rows["role"].to_numpy(), observed=True)[list(MEASURES)].mean()


def summarise_moved(found: dict[str, dict[int, pd.DataFrame]]) -> Metrics:
    """By arm and role, each measure over seeds; found: by arm and seed, of measures."""
    summary: Metrics = {}
    for arm, seeds in found.items():
        table = pd.concat(seeds, names=["seed", "role"])
        summary[arm] = {
            role: {name: interval(part[name], SHARE) for name in MEASURES if part[name].notna().all()}
            for role, part in table.groupby("role", sort=False)
        }
    return summary
