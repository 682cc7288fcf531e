"""The page's tables to search: plain values, which its script writes into cells as text."""

from typing import Any, TypedDict

import numpy as np
import pandas as pd

from lgtm.errors import visible
from lgtm.report.samples import LONGEST

LONGEST_LABEL = 80


class Table(TypedDict):
    """Columns (title, kind, help), the names of classes, and rows of cells.

    kind: text, word, number, share (of 100), class ([its number, probability]), seeds (a number per seed) or votes
    ([class, seeds in which it is right, seeds]). No cell is None but of a class or a number that is not known.
    """

    columns: list[dict[str, str]]
    labels: list[str]
    rows: list[list[Any]]


def plain(text: str, longest: int = LONGEST) -> str:
    """A text on one line, its control characters and marks of direction written out, cut when it is long."""
    text = visible(" ".join(text.split()))
    return text if len(text) <= longest else text[: longest - 1] + "…"


def of_samples(samples: pd.DataFrame, said: dict[str, np.ndarray], influences: np.ndarray, labels: list[str]) -> Table:
    """The rows that are taught.

    samples: sample_id, role, reason, influence, helps, text, [text_pair], label (below 0: none), true_label (NaN: not
    known), [moved]; said: by who says it, probabilities (n × C); influences: n × seeds.
    """
    columns, cells = [], []

    def add(title: str, kind: str, values: list, help: str = "") -> None:
        columns.append({"title": title, "kind": kind, "help": help})
        cells.append(values)

    add("text", "text", [" / ".join(plain(part) for part in parts) for parts in _texts(samples)])
    add("influence", "number", _significant(samples["influence"]), "mean over seeds; above zero: it helps")
    if influences.shape[1] > 1:
        add("by seed", "seeds", [_significant(row) for row in influences], "influence in each seed")
        add("helps in", "number", [int(n) for n in samples["helps"]], f"seeds of {influences.shape[1]}")
    add("label", "class", [[int(label), None] if label >= 0 else None for label in samples["label"]], "as given")
    known = samples["true_label"].notna()
    if (samples["true_label"][known] != samples["label"][known]).any():
        add("truth", "class", [None if pd.isna(true) else [int(true), None] for true in samples["true_label"]])
    for who, probabilities in said.items():
        best = probabilities.argmax(-1)
        cell = [[int(own), round(float(row[own]), 3)] for own, row in zip(best, probabilities, strict=True)]
        add(who, "class", cell, "the likeliest class, and its probability, mean over seeds")
    if "moved" in samples:
        add("teacher moved", "share", _rounded(100 * samples["moved"], 1), "how far tailoring moved it, %")
    add("shown for", "word", list(samples["reason"]), "why the row stands in this table")
    if samples["role"].nunique() > 1:
        add("role", "word", list(samples["role"]), "train has labels, transfer has none")
    add("id", "word", [plain(name) for name in samples["sample_id"]])
    return Table(columns=columns, labels=_names(labels), rows=[list(row) for row in zip(*cells, strict=True)])


def of_tested(tested: pd.DataFrame, arms: dict[str, str], seeds: int, labels: list[str]) -> Table:
    """Rows of the test; tested: of samples.choose_tested; arms: by arm, what the page calls it."""
    columns = [{"title": "id", "kind": "word", "help": ""}, {"title": "label", "kind": "class", "help": ""}]
    help = f"the class that most seeds predict, and in how many of {seeds} it is the label's"
    columns += [{"title": name, "kind": "votes", "help": help} for name in arms.values()]
    rows = [
        [plain(row["sample_id"]), [int(row["label"]), None]]
        + [[int(row[arm]), int(row[f"right_{arm}"]), seeds] for arm in arms]
        for row in tested.reset_index().to_dict("records")
    ]
    return Table(columns=columns, labels=_names(labels), rows=rows)


def _texts(samples: pd.DataFrame) -> list[tuple[str, ...]]:
    columns = [column for column in ("text", "text_pair") if column in samples]
    return list(samples[columns].itertuples(index=False, name=None))


def _names(labels: list[str]) -> list[str]:
    return [plain(label, LONGEST_LABEL) for label in labels]


def _rounded(values, digits: int) -> list[float]:
    return [round(float(value), digits) for value in values]


def _significant(values) -> list[float]:
    return [float(f"{value:.3g}") for value in values]
