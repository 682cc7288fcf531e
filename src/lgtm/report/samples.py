"""The page's table of samples: which of the rows that are taught stand in it, and of the test's."""

import numpy as np
import pandas as pd

SHOWN = 1000  # rows that are taught, at most
SHOWN_OF_TEST = 300
OF_A_KIND = 100  # of every role, the most and the least helpful, and the most moved
LONGEST = 400  # letters of a text
REASONS = ("most helpful", "least helpful", "teacher moved most", "wrong label", "at random")


def choose(ranked: pd.DataFrame, moved: pd.Series) -> pd.DataFrame:
    """The rows that are shown, the most helpful first, with `reason`; all of them where there are SHOWN at most.

    ranked: of rank_samples; moved: by sample_id how far tailoring moved the teacher, empty where nothing did. A row has
    the first of the reasons that hold for it. The rest, up to SHOWN, are drawn by chance, the same ones every time.
    """
    by_role = ranked.groupby("role", observed=True)
    reasons = pd.Series("", index=ranked.index)
    far = ranked["sample_id"].map(moved).sort_values(ascending=False, kind="stable")
    far = ranked.loc[far.index[far > 0]].groupby("role", observed=True).head(OF_A_KIND)
    kinds = (
        by_role.head(OF_A_KIND).index,
        by_role.tail(OF_A_KIND).index,
        far.index,
        ranked.index[ranked["planted"]][:OF_A_KIND],
    )
    for reason, places in zip(REASONS, kinds, strict=False):
        reasons[places[reasons[places] == ""]] = reason
    others = ranked.index[reasons == ""]
    room = SHOWN - int((reasons != "").sum())
    drawn = np.random.default_rng(0).permutation(others)[: max(room, 0)]
    reasons[drawn] = REASONS[-1]
    chosen = ranked.assign(reason=reasons)[reasons != ""]
    return chosen[:SHOWN] if room >= 0 else chosen


def choose_tested(said: pd.DataFrame, arms: list[str]) -> pd.DataFrame:
    """Test rows × arms: the class that most seeds predict, and `right_<arm>`, in how many seeds it is the label.

    said: arm, seed, sample_id, label, predicted. Those on which the arms differ most come first; with `label`.
    """
    right = said.assign(right=said["predicted"] == said["label"]).pivot_table(
        index="sample_id", columns="arm", values="right", aggfunc="sum"
    )[arms]
    apart = right.max(axis="columns") - right.min(axis="columns")
    shown = apart.sort_values(ascending=False, kind="stable").index[:SHOWN_OF_TEST]
    rows = said[said["sample_id"].isin(shown)]
    votes = rows.groupby(["sample_id", "arm", "predicted"]).size().reset_index(name="votes")
    votes = votes.sort_values("votes", ascending=False, kind="stable").drop_duplicates(["sample_id", "arm"])
    table = votes.pivot(index="sample_id", columns="arm", values="predicted").loc[shown, arms]
    labels = rows.drop_duplicates("sample_id").set_index("sample_id")["label"]
    return table.assign(label=labels).join(right.add_prefix("right_"))
