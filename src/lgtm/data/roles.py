"""Roles of a task's rows: train, feedback, selection and test, with no text in two of them."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np
import pandas as pd

from lgtm.data.sources import RawTask
from lgtm.errors import UserError

# By precedence: a text that stands in several keeps the first.
ROLES = ("test", "selection", "feedback", "train")


class Settings(Protocol):
    """The section `prepare` of params.yaml."""

    test: float
    selection: float
    feedback: float
    max_train: int | None
    max_test: int | None
    seed: int


def assign_roles(raw: RawTask, settings: Settings) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    """Give every row of a task its role, and say what was done.

    Official splits keep their meaning (validation is the test where there is no other); the other roles are cut from
    train, stratified by label, rows of the same text together. A text that stands in two roles is dropped from the
    lower one; empty rows are dropped. max_train applies before the cuts, max_test at the end, so that it does not
    change the other roles.

    Returns role -> table (the columns of RawTask, `part` in test alone, rows in raw order), and a JSON-able summary,
    roles.<role>.{split, rows, classes, empty, in_higher_role, left_out, duplicates, conflicting_duplicates}.
    Raises UserError for a role without rows and for a class without rows in train.
    """
    rows = _rows(raw)
    splits = rows.drop_duplicates("role").set_index("role")["split"].to_dict()
    rows, empty = _drop(rows, rows["empty"])
    rows, repeated = _drop(rows, _in_higher_role(rows))
    _require_roles(rows, splits, lambda role: f"the task's {splits[role]}: every row is empty or in a higher role")
    _require_classes(
        rows, raw, lambda name: f"the task's train: class {name} has only empty rows and texts of other roles"
    )

    rows, unused = _drop(rows, _surplus(rows, "train", settings.max_train, ["label"], settings.seed))
    _require_classes(
        rows, raw, lambda name: f"params.yaml: prepare.max_train: no row of class {name} is left; raise it"
    )
    total = (rows["role"] == "train").sum()
    missing = [role for role in ROLES if role not in splits and role != "train"]
    for role in missing:
        rows = _cut(rows, role, round(getattr(settings, role) * total), settings.seed)
    _require_roles(
        rows,
        missing,
        lambda role: (
            f"params.yaml: prepare.{role}: {getattr(settings, role)} of {total} train rows is no row; raise it"
        ),
    )
    cuts = ", ".join(f"prepare.{role}" for role in missing)
    _require_classes(
        rows, raw, lambda name: f"params.yaml: {cuts}: no row of class {name} is left in train; lower them"
    )
    rows, unused_test = _drop(rows, _surplus(rows, "test", settings.max_test, ["part", "label"], settings.seed))

    dropped = {"empty": empty, "in_higher_role": repeated, "left_out": unused + unused_test}
    tables, summary = {}, {}
    for role in reversed(ROLES):
        own = rows[rows["role"] == role]
        tables[role] = _table(own, raw)
        summary[role] = {"split": splits.get(role, "train")} | _describe(own, raw.labels)
        summary[role] |= {reason: counts[role] for reason, counts in dropped.items()}
    return tables, {"roles": summary}


def plant_noise(train: pd.DataFrame, fraction: float, num_labels: int, seed: int) -> pd.DataFrame:
    """Give exactly round(fraction * rows) correctly labelled rows another class, drawn uniformly.

    train: a table with label and true_label; returns a copy with a new label and the old true_label. Raises UserError
    when fewer rows are correctly labelled.
    """
    count = round(fraction * len(train))
    correct = np.flatnonzero(train["label"] == train["true_label"])
    if count > len(correct):
        raise UserError(
            f"task.yaml: label_noise: {fraction} of {len(train)} rows is {count}, but only {len(correct)} are correct"
        )
    generator = _generator(seed, "noise")
    chosen = generator.choice(correct, count, replace=False)
    labels = train["label"].to_numpy(copy=True)
    labels[chosen] = (labels[chosen] + generator.integers(1, num_labels, count)) % num_labels
    return train.assign(label=labels)


def text_key(frame: pd.DataFrame) -> pd.Series:
    """What two rows of the same text share: both texts, without case and without differences in white space."""
    keys = frame["text"].map(_normalise)
    # The unit separator counts as white space, so it cannot occur in either text.
    return keys + "\x1f" + frame["text_pair"].map(_normalise) if "text_pair" in frame else keys


def _normalise(text: str) -> str:
    return " ".join(text.casefold().split())


def _rows(raw: RawTask) -> pd.DataFrame:
    """All rows, with the columns split, role, part, key (a number per text) and empty."""
    roles = {"train": "train", "validation": "selection" if "test" in raw.splits else "test", "test": "test"}
    frames = [frame.assign(split=split, role=roles[split]) for split, frame in raw.splits.items()]
    rows = pd.concat(frames, ignore_index=True)
    rows["part"] = rows["part"].fillna("test") if "part" in rows else "test"
    rows["key"] = pd.factorize(text_key(rows))[0]
    rows["empty"] = rows["text"].str.strip() == ""
    if "text_pair" in rows:
        rows["empty"] |= rows["text_pair"].str.strip() == ""
    return rows


def _drop(rows: pd.DataFrame, which: pd.Series) -> tuple[pd.DataFrame, Counter[str]]:
    """The other rows, and how many were dropped by role."""
    return rows[~which], Counter(rows.loc[which, "role"].tolist())


def _in_higher_role(rows: pd.DataFrame) -> pd.Series:
    rank = rows["role"].map({role: rank for rank, role in enumerate(ROLES)})
    return rank > rank.groupby(rows["key"]).transform("min")


def _surplus(rows: pd.DataFrame, role: str, limit: int | None, strata: list[str], seed: int) -> pd.Series:
    """Which rows of a role have to go so that `limit` remain, with the strata in proportion."""
    own = rows[rows["role"] == role]
    if limit is None or len(own) <= limit:
        return pd.Series(False, rows.index)
    stratum = own.groupby(strata).ngroup()
    shuffled = stratum.iloc[_generator(seed, f"max_{role}").permutation(len(own))]
    quota = shuffled.map(_quotas(stratum.value_counts(), limit))
    surplus = shuffled.groupby(shuffled).cumcount() >= quota
    return surplus.reindex(rows.index, fill_value=False)


def _cut(rows: pd.DataFrame, role: str, count: int, seed: int) -> pd.DataFrame:
    """Move about `count` rows, with the classes in proportion, from train to `role`: whole texts, so never more."""
    train = rows[rows["role"] == "train"]
    texts = train.groupby("key").agg(label=("label", "first"), rows=("label", "size"))
    texts = texts.iloc[_generator(seed, role).permutation(len(texts))]
    quota = texts["label"].map(_quotas(texts.groupby("label")["rows"].sum(), count))
    # A text with more rows than its class may give would stop the count short; it stays in train.
    fitting = texts[texts["rows"] <= quota]
    chosen = fitting.index[fitting.groupby("label")["rows"].cumsum() <= quota[fitting.index]]
    return rows.assign(role=rows["role"].mask((rows["role"] == "train") & rows["key"].isin(chosen), role))


def _quotas(sizes: pd.Series, count: int) -> pd.Series:
    """Share `count` among strata in proportion to their sizes, by largest remainder; ties go to the first."""
    sizes = sizes.sort_index()
    quotas, remainders = divmod(sizes * count, sizes.sum())
    extra = remainders.sort_values(ascending=False, kind="stable").index[: count - quotas.sum()]
    return quotas.add(pd.Series(1, extra), fill_value=0).astype("int64")


def _require_roles(rows: pd.DataFrame, roles: Iterable[str], message: Callable[[str], str]) -> None:
    present = set(rows["role"].unique())
    for role in roles:
        if role not in present:
            raise UserError(message(role))


def _require_classes(rows: pd.DataFrame, raw: RawTask, message: Callable[[str], str]) -> None:
    present = set(rows.loc[rows["role"] == "train", "label"].unique())
    for index, name in enumerate(raw.labels):
        if index not in present:
            raise UserError(message(repr(name)))


def _table(rows: pd.DataFrame, raw: RawTask) -> pd.DataFrame:
    columns = list(raw.splits["train"].columns)
    if (rows["role"] == "test").any():
        columns.append("part")
    return rows[columns].reset_index(drop=True)


def _describe(rows: pd.DataFrame, labels: list[str]) -> dict[str, Any]:
    counts = rows["label"].value_counts()
    conflicting = rows.groupby("key")["label"].transform("nunique") > 1
    return {
        "rows": len(rows),
        "classes": {name: int(counts.get(index, 0)) for index, name in enumerate(labels)},
        "duplicates": int(rows["key"].duplicated().sum()),
        "conflicting_duplicates": int(conflicting.sum()),
    }


def _generator(seed: int, purpose: str) -> np.random.Generator:
    # One stream for each purpose, so that one setting does not change what the others draw.
    return np.random.default_rng([seed, *purpose.encode()])
