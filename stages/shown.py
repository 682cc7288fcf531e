"""The rows that the report's page shows, with what is known of each."""

import numpy as np
import pandas as pd

from lgtm.report import samples as chosen
from lgtm.report import searched
from lgtm.report.names import WARMUP
from lgtm.report.recommendation import TAILORING
from stages.artifacts import cell
from stages.opinions import own_targets, read_influences, read_opinions, warm_targets


def moved_by(far: dict[str, np.ndarray]) -> str | None:
    """The arm whose teacher the page shows beside the warm one: the first that tailors; far: of read_shifts."""
    return next((arm for arm in TAILORING if arm in far), None)


def samples(ranked: pd.DataFrame, rows: pd.DataFrame, moved: np.ndarray | None) -> pd.DataFrame:
    """The rows that are shown, as samples.choose has them, with their `place` among those that are taught, and `moved`.

    ranked: of rank_samples; rows: of opinions.read_rows; moved: how far tailoring moved the teacher, in their order.
    """
    places = pd.Series(np.arange(len(rows)), rows["sample_id"])
    by_sample = pd.Series(dtype="float64") if moved is None else pd.Series(moved, rows["sample_id"])
    found = chosen.choose(ranked, by_sample)
    found = found.assign(place=found["sample_id"].map(places))
    return found if moved is None else found.assign(moved=found["sample_id"].map(by_sample))


def table(
    shown: pd.DataFrame, texts: pd.DataFrame, seeds: list[int], tailored: str | None, labels: list[str]
) -> searched.Table:
    """The page's table of them; shown: of samples; texts: of gathered.read_texts; tailored: of moved_by."""
    order = np.argsort(shown["place"].to_numpy())  # the tables are gone through from their beginning on
    places, back = shown["place"].to_numpy()[order], np.argsort(order)
    scores = [cell(seed, "influence") / "influence.parquet" for seed in seeds]
    said = {
        "teacher": read_opinions([warm_targets(seed) for seed in seeds], "logits", places),
        "student": read_opinions(scores, "student_logits", places),
    }
    if tailored:
        own = [own_targets(seed, tailored) for seed in seeds]
        said[f"teacher of {tailored}"] = read_opinions(own, "logits", places)
    if "true_label" not in texts:
        texts = texts.assign(true_label=np.nan)
    return searched.of_samples(
        shown.merge(texts, on="sample_id", how="left"),
        {who: probabilities[back] for who, probabilities in said.items()},
        read_influences(seeds, places)[back],
        labels,
    )


def tested(said: pd.DataFrame, arms: list[str], seeds: int, labels: list[str]) -> searched.Table:
    """The page's table of test rows; said: the students' predictions; arms: WARMUP among them."""
    names = {arm: "warm student" if arm == WARMUP else arm for arm in arms}
    return searched.of_tested(chosen.choose_tested(said, arms), names, seeds, labels)
