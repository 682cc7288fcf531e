"""What can be said of a table of texts and labels before anything reads it for a run."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lgtm.data.duplicates import text_key
from lgtm.newtask.columns import Columns
from lgtm.newtask.raw import Raw

WORD = re.compile(r"\w+|[^\w\s]")
TOKENS = 1.4  # pieces of words that a tokenizer makes of one, punctuation counted as words
MARKS = 4  # that a model puts around its texts
LENGTHS = (16, 32, 64, 128, 256, 512)  # max_length is one of these
HELD = 0.99  # of the texts are to fit
UNEQUAL = 3.0  # the most frequent class against the rarest, from which accuracy says little
INTEGER = re.compile(r"[+-]?\d+")


@dataclass(frozen=True)
class Facts:
    """classes: their rows, in the order of the loader's ids; words: of a row, median and longest; max_length: for most.

    repeated: rows whose text stood before; conflicting: of these, those with another label; unlabelled: rows without.
    """

    rows: int
    classes: dict[str, int]
    words: tuple[int, int]
    max_length: int
    repeated: int
    conflicting: int
    unlabelled: int

    @property
    def metrics(self) -> list[str]:
        """What to report, the first to decide: accuracy where the classes are of about one size, else macro F1."""
        sizes = self.classes.values()
        unequal = max(sizes) > UNEQUAL * min(sizes)
        return ["macro_f1", "accuracy"] if unequal else ["accuracy", "macro_f1"]


def facts(table: pd.DataFrame, columns: Columns) -> Facts:
    """Count what matters in a table with these columns."""
    texts = pd.DataFrame({ours: _strings(table[theirs]) for ours, theirs in columns.texts.items()})
    labels = _strings(table[columns.label]).str.strip().str.normalize("NFC")
    lengths = sum(texts[name].map(lambda text: len(WORD.findall(text))) for name in texts).to_numpy()
    there = labels[labels != ""].value_counts()
    integers = all(INTEGER.fullmatch(name) for name in there.index)
    names = sorted(there.index, key=int if integers else None)
    key = text_key(texts)
    repeated = key.duplicated()
    conflicting = repeated & (labels != labels.groupby(key).transform("first"))
    wanted = np.quantile(lengths, HELD) * TOKENS + MARKS
    return Facts(
        rows=len(table),
        classes={name: int(there[name]) for name in names},
        words=(int(np.median(lengths)), int(lengths.max())),
        max_length=next((length for length in LENGTHS if length >= wanted), LENGTHS[-1]),
        repeated=int(repeated.sum()),
        conflicting=int(conflicting.sum()),
        unlabelled=int((labels == "").sum()),
    )


def _strings(values: pd.Series) -> pd.Series:
    return values.astype(object).where(values.notna(), "").map(str)


def told(raw: Raw, names: Iterable[str], columns: Columns, found: Facts) -> list[str]:
    """A line for each thing that was seen of a file; names: of all its columns."""
    names = [str(name) for name in names]
    kind = raw.path.suffix.lower()[1:]
    how = [f"separated by {raw.separator or ','!r}"] if kind == "csv" else []
    how += [] if raw.quoted else ["quotes are letters of the texts"]
    lines = [f"{raw.path}: {found.rows:,} rows, {len(names)} columns, {', '.join([kind, *how])}"]
    if raw.content is not None:
        example = f", which reads {raw.example!r}" if raw.example else ""
        lines.append(f"encoding: not UTF-8; converted from {raw.encoding}{example}; if that is wrong, --encoding NAME")
    used = {**columns.texts, "label": columns.label} | ({"group": columns.group} if columns.group else {})
    ignored = [str(name) for name in names if name not in used.values()]
    lines.append(
        "columns: "
        + ", ".join(f"{ours} {theirs!r}" for ours, theirs in used.items())
        + (f"; not used: {', '.join(ignored)}" if ignored else "")
    )
    lines += columns.notes
    shown = [f"{name} {rows:,}" for name, rows in found.classes.items()]
    lines.append(f"classes: {len(shown)} ({', '.join(shown[:6])}{', …' if len(shown) > 6 else ''})")
    lines.append(
        f"lengths: median {found.words[0]} words, longest {found.words[1]}; max_length {found.max_length} tokens"
    )
    lines.append(f"duplicates: {found.repeated:,} rows repeat a text, {found.conflicting:,} of them with another label")
    return lines
