"""Folds of train, so that what is said of a row comes from the others."""

import numpy as np
import pandas as pd

from lgtm.errors import UserError

UNSEEN = -1  # the fold of a row without a label


def assign_folds(rows: pd.DataFrame, folds: int, seed: int) -> np.ndarray:
    """The fold of every row (N): 0 to folds − 1 for those with a label, UNSEEN for the others.

    rows: label, below 0 where there is none, and group, a number: classes are in proportion in every fold, and a group
    (the rows of a text, or of what the task's card names) stands in one. Raises UserError for more folds than groups.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # half a second, in no process that needs no folds

    labelled = (rows["label"] >= 0).to_numpy()
    own = rows[labelled]
    if folds > (most := min(own["group"].nunique(), own["label"].value_counts().max())):
        raise UserError(f"params.yaml: {folds} folds of train, whose groups and classes allow {most}; set fewer")
    split = StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(own, own["label"], own["group"])
    within = np.empty(len(own), dtype=np.int64)
    for number, (_, held_out) in enumerate(split):
        within[held_out] = number
    found = np.full(len(rows), UNSEEN)
    found[labelled] = within
    return found
