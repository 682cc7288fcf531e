"""What students make of each class on the test: how much of it they get right, and what they take it for."""

import numpy as np
import pandas as pd

SHOWN = 12  # classes, or confusions, in a table


def recalls(said: pd.DataFrame, arms: list[str]) -> pd.DataFrame:
    """Classes × arms: the share of a class's test rows that a student gets right, mean over seeds; the hardest first.

    said: arm, label, predicted, a row per seed and test row. A class without test rows has no row.
    """
    right = (said["predicted"] == said["label"]).groupby([said["label"], said["arm"]]).mean().unstack()[arms]
    return right.loc[right.mean(axis="columns").sort_values(kind="stable").index]


def confusions(said: pd.DataFrame, arms: list[str]) -> pd.DataFrame:
    """(label, predicted) × arms: the share of the label's rows that are taken for another; most on the mean first."""
    wrong = said[said["predicted"] != said["label"]]
    count = wrong.groupby(["label", "predicted", "arm"]).size().unstack(fill_value=0)
    count = count.reindex(columns=arms, fill_value=0)
    rows = said.groupby(["label", "arm"]).size().unstack()[arms]
    share = count / rows.loc[count.index.get_level_values("label")].to_numpy()
    return share.loc[share.mean(axis="columns").sort_values(ascending=False, kind="stable").index][:SHOWN]


def matrix(said: pd.DataFrame, arm: str, classes: int) -> np.ndarray:
    """Label × predicted, each row the shares of a class's test rows over all seeds (NaN without any)."""
    own = said[said["arm"] == arm]
    count = np.zeros((classes, classes))
    np.add.at(count, (own["label"].to_numpy(), own["predicted"].to_numpy()), 1)
    with np.errstate(invalid="ignore"):
        return count / count.sum(axis=1, keepdims=True)
