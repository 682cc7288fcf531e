"""Which column is the text, which the label, which the group: what the names and the values of a table say."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from lgtm.data.columns import require_column
from lgtm.errors import UserError

LABEL = re.compile(
    r"(label|class|category|target|sentiment|gold|intent|topic|y|stars|rating|polarity|stance)s?(_?\w*)?"
)
TEXT = re.compile(
    r"(text|sentence|review|content|comment|message|body|utterance|tweet|question|premise|query|title|passage|document)"
    r"(s|_?\w*)?"
)
GROUP = re.compile(
    r"(user|author|document|doc|group|subject|patient|session|conversation|thread|product|speaker)(_?id)?"
)
PAIRS = (
    ("premise", "hypothesis"), ("question", "answer"), ("question", "sentence"), ("question", "context"),
    ("question1", "question2"), ("sentence1", "sentence2"), ("sentence_1", "sentence_2"), ("text1", "text2"),
    ("text_a", "text_b"), ("text", "text_pair"), ("query", "passage"), ("query", "document"), ("claim", "evidence"),
)  # fmt: skip
NONE = "none"
FEW = 0.3  # of the rows: with more different values a column is no label
WORDS = 2.0  # on average: a text has at least so many
Ask = Callable[[str, Sequence[str], str], str]  # a question, what may be answered, the flag that answers it


@dataclass(frozen=True)
class Columns:
    """The names of a table's columns."""

    text: str
    text_pair: str | None
    label: str
    group: str | None
    notes: tuple[str, ...] = ()

    @property
    def texts(self) -> dict[str, str]:
        """Our name -> theirs, of the texts."""
        return {"text": self.text} | ({"text_pair": self.text_pair} if self.text_pair else {})


def choose(
    table: pd.DataFrame,
    source: str,
    ask: Ask,
    *,
    text: str | None,
    text_pair: str | None,
    label: str | None,
    group: str | None,
) -> Columns:
    """Choose the columns: what the user says, else what is plain, else what is answered. Raises UserError."""
    given = {"--text": text, "--text-pair": text_pair, "--label": label, "--group": group}
    for flag, name in given.items():
        if name and not (flag in ("--text-pair", "--group") and name == NONE):
            require_column(table, name, source, flag)
    names = [str(name) for name in table.columns]
    if len(names) < 2:
        raise UserError(
            f"{source}: one column, {names[0]!r}; a task needs a text and a label (--separator, if it has both)"
        )
    label = label or _label(table, [name for name in names if name not in (text, text_pair, group)], source, ask)
    if text is None:
        text, text_pair = _texts(table, [name for name in names if name not in (label, group)], source, ask, text_pair)
    text_pair = None if text_pair == NONE else text_pair
    notes = []
    if group is None:
        group = _group(table, [name for name in names if name not in (text, text_pair, label)])
        if group:
            notes.append(
                f"group: {group}, {table[group].nunique():,} of them; --group none, if its rows do not belong together"
            )
    return Columns(text, text_pair, label, None if group == NONE else group, tuple(notes))


def text_like(table: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """The columns that look like texts: mostly different strings of several words."""
    found = []
    for name in names:
        values = table[name].dropna()
        if not len(values) or not values.map(lambda value: isinstance(value, str)).all():
            continue
        words = values.str.split().str.len().mean()
        if words >= WORDS and values.nunique() > min(20, FEW * len(values)):
            found.append(name)
    return found


def _label(table: pd.DataFrame, names: list[str], source: str, ask: Ask) -> str:
    able = [name for name in names if 2 <= _values(table, name) <= max(2, FEW * len(table))]
    named = [name for name in able if LABEL.fullmatch(name.lower())]
    candidates = named or [name for name in able if not GROUP.fullmatch(name.lower())] or able
    if not candidates:
        raise UserError(
            f"{source}: no column looks like a label (2 values at least, each in several rows): found "
            + ", ".join(f"{name} ({_values(table, name):,} values)" for name in names)
            + "; give --label"
        )
    if len(candidates) == 1:
        return candidates[0]
    return ask(f"{source}: which column is the label?", candidates, "--label")


def _values(table: pd.DataFrame, name: str) -> int:
    return table[name].dropna().map(str).nunique()


def _texts(table: pd.DataFrame, names: list[str], source: str, ask: Ask, pair: str | None) -> tuple[str, str | None]:
    """The column of texts, and of second ones where there are some."""
    like = [name for name in text_like(table, names) if name != pair] or [
        name for name in names if name != pair and TEXT.fullmatch(name.lower())
    ]
    if pair is None:
        lower = {name.lower(): name for name in like}
        for first, second in PAIRS:
            if first in lower and second in lower:
                return lower[first], lower[second]
    if len(like) == 1:
        return like[0], pair
    if not like:
        raise UserError(f"{source}: no column looks like texts; found {', '.join(names) or 'none'}; give --text")
    if pair is None:
        both = f"{like[0]} or {like[1]}"
        question = f"{source}: {both}: which is the text? (for pairs: --text {like[0]} --text-pair {like[1]})"
        return ask(question, like, "--text"), None
    return ask(f"{source}: which column is the text?", like, "--text"), pair


def _group(table: pd.DataFrame, names: list[str]) -> str | None:
    """A column that is called as what groups rows is, and that does group them."""
    for name in names:
        values = table[name].dropna().map(str)
        if GROUP.fullmatch(name.lower()) and 1 < values.nunique() <= 0.9 * len(values):
            return name
    return None
