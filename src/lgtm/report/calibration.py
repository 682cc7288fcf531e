"""Calibration on the test: how often students are right where they say that they are so sure."""

import pandas as pd

BINS = 15  # of equal width, as those of the metric `ece`


def reliability(said: pd.DataFrame, arms: list[str]) -> pd.DataFrame:
    """By arm and bin of confidence, over all seeds: arm, bin, rows, confidence and right (means in the bin).

    said: arm, label, predicted, confidence, a row per seed and test row. A bin without rows is left out.
    """
    said = said[said["arm"].isin(arms)]
    bin_of = (said["confidence"] * BINS).astype(int).clip(upper=BINS - 1)
    rows = said.assign(bin=bin_of, right=said["predicted"] == said["label"])
    table = rows.groupby(["arm", "bin"]).agg(
        rows=("right", "size"), confidence=("confidence", "mean"), right=("right", "mean")
    )
    return table.reindex(arms, level="arm").reset_index()
