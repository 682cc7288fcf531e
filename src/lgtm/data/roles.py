"""Roles of a task's rows: train, feedback, selection and test, with no text and no group of texts in two of them."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np
import pandas as pd

from lgtm.data.duplicates import near_duplicates, normalise, text_key
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
    max_selection: int | None
    max_test: int | None
    seed: int


def assign_roles(raw: RawTask, settings: Settings) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    """Give every row of a task its role, and say what was done.

    Official splits keep their meaning (validation is the test where there is no other); the other roles are cut from
    train, stratified by label, groups whole: where a task has none, a group is the rows of a text. A text that stands
    in two roles is dropped from the lower one, and so is a group, but between official splits only where the card
    names it: who compares with published figures needs their rows. Empty rows are dropped. max_train applies before
    the cuts, max_selection and max_test at the end, so that they do not change the other roles.

    Returns role -> table (sample_id, text, [text_pair], label, true_label, group (a number), `part` in test alone, rows
    in raw order), and a JSON-able summary: roles.<role>.{split, rows, classes, duplicates, conflicting_duplicates,
    groups, in_crossing_group, empty, in_higher_role, group_in_higher_role, left_out}, grouped_by (a column or null) and
    crossing.{groups, near_duplicates}: groups that stand in several roles, rows nearly the same as one of another.
    Raises UserError for a role without rows and for a class without rows in train.
    """
    rows = _rows(raw)
    splits = rows.drop_duplicates("role").set_index("role")["split"].to_dict()
    rows, empty = _drop(rows, rows["empty"])
    rows, repeated = _drop(rows, _in_higher_role(rows, "key"))
    rows, grouped = _drop(rows, _in_higher_role(rows, "group") & raw.group_named)
    _require_roles(
        rows, splits, lambda role: f"task.yaml: {splits[role]}: every row is empty or stands in another role"
    )
    _require_classes(
        rows, raw, lambda name: f"task.yaml: train: class {name} has only empty rows and texts of other roles"
    )

    rows, unused = _drop(rows, _surplus(rows, "train", settings.max_train, settings.seed))
    _require_classes(
        rows, raw, lambda name: f"params.yaml: prepare.max_train: no row of class {name} is left; raise it"
    )
    total = (rows["role"] == "train").sum()
    missing = [role for role in ROLES if role not in splits and role != "train"]
    for role in missing:
        share = getattr(settings, role)
        if not share:
            continue
        rows = _cut(rows, role, round(share * total), settings.seed)
        _require_roles(rows, [role], lambda role, share=share: _too_few(role, share, total))
        # The same text in another group.
        rows, elsewhere = _drop(rows, _in_higher_role(rows, "key"))
        repeated += elsewhere
    cuts = ", ".join(f"prepare.{role}" for role in missing)
    _require_classes(
        rows, raw, lambda name: f"params.yaml: {cuts}: no row of class {name} is left in train; lower them"
    )
    for role in ("selection", "test"):
        rows, surplus = _drop(rows, _surplus(rows, role, getattr(settings, f"max_{role}"), settings.seed))
        unused += surplus

    rows["crossing"] = rows.groupby("group")["role"].transform("nunique") > 1
    dropped = {"empty": empty, "in_higher_role": repeated, "group_in_higher_role": grouped, "left_out": unused}
    tables, summary = {}, {}
    for role in reversed(ROLES):
        own = rows[rows["role"] == role]
        tables[role] = _table(own, raw)
        summary[role] = {"split": splits.get(role, "train")} | _describe(own, raw.labels)
        summary[role] |= {reason: counts[role] for reason, counts in dropped.items()}
    crossing = {
        "groups": rows.loc[rows["crossing"], "group"].nunique(),
        "near_duplicates": near_duplicates({role: tables[role] for role in ROLES}),
    }
    return tables, {"roles": summary, "grouped_by": raw.grouped_by, "crossing": crossing}


def plant_noise(
    roles: dict[str, pd.DataFrame], fraction: float, clean: list[str], num_labels: int, seed: int
) -> dict[str, pd.DataFrame]:
    """Falsify the fraction of the labels of every role but test and those that are to stay clean.

    Exactly round(fraction * rows) correctly labelled rows of a role get another class, drawn uniformly; true_label
    stays. Raises UserError when fewer rows are correctly labelled.
    """
    noisy = [role for role in ROLES if role not in ("test", *clean)]
    return roles | {role: _falsified(roles[role], role, fraction, num_labels, seed) for role in noisy}


def _falsified(rows: pd.DataFrame, role: str, fraction: float, num_labels: int, seed: int) -> pd.DataFrame:
    count = round(fraction * len(rows))
    correct = np.flatnonzero(rows["label"] == rows["true_label"])
    if count > len(correct):
        raise UserError(
            f"task.yaml: label_noise: {fraction} of {len(rows)} {role} rows is {count}, "
            f"but only {len(correct)} are correct"
        )
    # Noise was once of train alone, whose flips have stayed what they were.
    generator = _generator(seed, "noise" if role == "train" else f"noise_{role}")
    chosen = generator.choice(correct, count, replace=False)
    labels = rows["label"].to_numpy(copy=True)
    labels[chosen] = (labels[chosen] + generator.integers(1, num_labels, count)) % num_labels
    return rows.assign(label=labels)


def _rows(raw: RawTask) -> pd.DataFrame:
    """All rows, with the columns split, role, part, empty, and a number per text, key, and per group."""
    roles = {"train": "train", "validation": "selection" if "test" in raw.splits else "test", "test": "test"}
    frames = [frame.assign(split=split, role=roles[split]) for split, frame in raw.splits.items()]
    rows = pd.concat(frames, ignore_index=True)
    rows["part"] = rows["part"].fillna("test") if "part" in rows else "test"
    key = text_key(rows)
    rows["key"] = pd.factorize(key)[0]
    rows["group"] = pd.factorize(_group(rows, key))[0]
    rows["empty"] = rows["text"].str.strip() == ""
    if "text_pair" in rows:
        rows["empty"] |= rows["text_pair"].str.strip() == ""
    return rows


def _group(rows: pd.DataFrame, key: pd.Series) -> pd.Series:
    """What the rows of a group share; a row without a group is one with the rows of its text."""
    if "group" not in rows:
        return key
    group = rows["group"].map(normalise)
    return group.mask(group == "", "\x1f" + key)


def _drop(rows: pd.DataFrame, which: pd.Series) -> tuple[pd.DataFrame, Counter[str]]:
    """The other rows, and how many were dropped by role."""
    return rows[~which], Counter(rows.loc[which, "role"].tolist())


def _in_higher_role(rows: pd.DataFrame, what: str) -> pd.Series:
    rank = rows["role"].map({role: rank for rank, role in enumerate(ROLES)})
    return rank > rank.groupby(rows[what]).transform("min")


def _surplus(rows: pd.DataFrame, role: str, limit: int | None, seed: int) -> pd.Series:
    """Which rows of a role have to go so that `limit` remain, with parts and classes in proportion."""
    own = rows[rows["role"] == role]
    if limit is None or len(own) <= limit:
        return pd.Series(False, rows.index)
    stratum = own.groupby(["part", "label"]).ngroup()
    shuffled = stratum.iloc[_generator(seed, f"max_{role}").permutation(len(own))]
    quota = shuffled.map(_quotas(stratum.value_counts(), limit))
    surplus = shuffled.groupby(shuffled).cumcount() >= quota
    return surplus.reindex(rows.index, fill_value=False)


def _cut(rows: pd.DataFrame, role: str, count: int, seed: int) -> pd.DataFrame:
    """Move about `count` rows, with the classes in proportion, from train to `role`: whole groups, so never more."""
    train = rows[rows["role"] == "train"]
    groups = np.flatnonzero(np.bincount(train["group"]))
    groups = groups[_generator(seed, role).permutation(len(groups))]
    chosen = _first_fit(train["group"], train["label"], groups, _quotas(train["label"].value_counts(), count))
    # Groups of several classes leave a little of every quota, large ones much: what still fits, whatever its classes.
    left = count - train["group"].isin(chosen).sum()
    others = groups[~np.isin(groups, chosen)]
    chosen += _first_fit(train["group"], pd.Series(0, train.index), others, pd.Series([left]))
    return rows.assign(role=rows["role"].mask((rows["role"] == "train") & rows["group"].isin(chosen), role))


def _first_fit(group: pd.Series, stratum: pd.Series, order: np.ndarray, quotas: pd.Series) -> list[int]:
    """The groups that, taken in the given order, still fit whole into what is left of the quotas of their strata.

    One that does not fit is passed over, and those after it are not.
    """
    sizes = group.groupby([group, stratum]).size()
    of_group, of_stratum = (sizes.index.get_level_values(level).to_numpy() for level in (0, 1))
    parts = list(zip(of_stratum.tolist(), sizes.tolist(), strict=True))
    first = np.concatenate([[0], np.bincount(of_group).cumsum()])
    spans = zip(order.tolist(), first[order].tolist(), first[order + 1].tolist(), strict=True)
    left, room, chosen = quotas.to_dict(), quotas.sum(), []
    while room and (span := next(spans, None)):
        own = parts[span[1] : span[2]]
        if all(rows <= left[index] for index, rows in own):
            chosen.append(span[0])
            for index, rows in own:
                left[index] -= rows
                room -= rows
    return chosen


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


def _too_few(role: str, share: float, total: int) -> str:
    count = round(share * total)
    of = f"params.yaml: prepare.{role}: {share} of {total} train rows is"
    return f"{of} {count}, and every group has more; raise it" if count else f"{of} no row; raise it"


def _require_classes(rows: pd.DataFrame, raw: RawTask, message: Callable[[str], str]) -> None:
    present = set(rows.loc[rows["role"] == "train", "label"].unique())
    for index, name in enumerate(raw.labels):
        if index not in present:
            raise UserError(message(repr(name)))


def _table(rows: pd.DataFrame, raw: RawTask) -> pd.DataFrame:
    columns = [*(column for column in raw.splits["train"].columns if column != "group"), "group"]
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
        "groups": rows["group"].nunique(),
        "in_crossing_group": int(rows["crossing"].sum()),
    }


def _generator(seed: int, purpose: str) -> np.random.Generator:
    # One stream for each purpose, so that one setting does not change what the others draw.
    return np.random.default_rng([seed, *purpose.encode()])
