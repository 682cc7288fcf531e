"""Folds of train, so that what is said of a row comes from the others."""

import numpy as np
import pandas as pd

UNSEEN = -1  # the fold of a row without a label


def assign_folds(rows: pd.DataFrame, folds: int, seed: int) -> np.ndarray:
    """The fold of every row (N): 0 to folds − 1 for those with a label, UNSEEN for the others.

    rows: text, [text_pair] and label, below 0 where there is none. Classes are in proportion in every fold, and a text
    stands in one fold.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # half a second, in no process that needs no folds

    labelled = (rows["label"] >= 0).to_numpy()
    own = rows[labelled]
    columns = [column for column in ("text", "text_pair") if column in own]
    groups = own.groupby(columns, sort=False).ngroup()
    split = StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(own, own["label"], groups)
    within = np.empty(len(own), dtype=np.int64)
    for number, (_, held_out) in enumerate(split):
        within[held_out] = number
    found = np.full(len(rows), UNSEEN)
    found[labelled] = within
    return found
