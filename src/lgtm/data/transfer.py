"""Rows without labels: read, cleaned and kept apart from every other role, a piece at a time."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from lgtm.config import parse
from lgtm.data.columns import Table, as_strings, check_columns
from lgtm.data.duplicates import Met, normalise, text_key
from lgtm.data.files import PIECE, counted, read_pieces
from lgtm.data.hub import hub_data, hub_pieces
from lgtm.data.sources import RawTask
from lgtm.data.tasks import CARD, TaskCard, beside

TRANSFER = "transfer"
HELD_OUT = ("feedback", "selection", "test")


def read_transfer(card: TaskCard, folder: Path) -> Iterator[Table]:
    """The card's rows without labels as they were published, in pieces; none where it names no such rows.

    Raises UserError with the file, and the line where there is one, for what cannot be read.
    """
    before = 0
    for source, pieces in _sources(card, folder):
        own = 0
        for first, frame in counted(pieces):
            yield Table(TRANSFER, TRANSFER, source, frame.reset_index(drop=True), first, before)
            own = first + len(frame)
        before += own


def _sources(card: TaskCard, folder: Path) -> Iterator[tuple[str, Iterator[pd.DataFrame]]]:
    """What messages call every source, and its rows in pieces."""
    if card.source == "generated":
        from lgtm.data.demo import GeneratorSettings, unlabelled

        path = folder / CARD
        yield f"{path}: generated transfer", unlabelled(parse(GeneratorSettings, card.generated, path, "generated"))
    elif card.source == "local":
        for place in card.files.transfer or []:
            pieces = read_pieces(
                beside(folder, place, folder / CARD), card.separator, card.quoting is None, folder / CARD
            )
            yield str(folder / place), pieces
    elif card.hub.splits.transfer:
        data = hub_data(card, folder)
        for place in card.hub.splits.transfer:
            yield hub_pieces(data, card, folder, "hub.splits.transfer", place, PIECE)


class TransferRows:
    """The rows of the role `transfer`: what is empty, was there before, or stands in another role is left out.

    roles: of assign_roles, of this raw data. Of a group that stands in feedback, selection or test no row is kept; with
    train it may be shared, since both are learnt from. `counts` says how many rows there were and why some were left
    out, once the rows have been gone through.
    """

    def __init__(self, card: TaskCard, folder: Path, raw: RawTask, roles: dict[str, pd.DataFrame]):
        self.card, self.folder = card, folder
        self.met = Met(pd.concat([text_key(frame) for frame in roles.values()]))
        self.own = Met(pd.Series(dtype=object))
        self.held_out = Met(_held_out_groups(raw, roles))
        self.counts: Counter[str] = Counter(rows=0, read=0, empty=0, in_other_role=0, group_held_out=0, duplicates=0)

    def __iter__(self) -> Iterator[pd.DataFrame]:
        """Tables with sample_id, text, [text_pair], and true_label where a generator knows it; all with some rows."""
        columns = {ours: theirs for ours, theirs in self.card.columns.used().items() if ours != "label"}
        for table in read_transfer(self.card, self.folder):
            check_columns(table, columns, self.folder / CARD)
            kept = self._kept(self._standard(table, columns))
            if len(kept):
                yield kept

    def _standard(self, table: Table, columns: dict[str, str]) -> pd.DataFrame:
        texts = {ours: as_strings(table, theirs) for ours, theirs in columns.items()}
        known = {"true_label": table.frame["true_label"]} if self.card.source == "generated" else {}
        return pd.DataFrame({"sample_id": table.sample_ids} | texts | known)

    def _kept(self, rows: pd.DataFrame) -> pd.DataFrame:
        self.counts["read"] += len(rows)
        texts = [column for column in ("text", "text_pair") if column in rows]
        rows = self._without("empty", rows, np.any([rows[column].str.strip() == "" for column in texts], axis=0))
        key = text_key(rows)
        rows = self._without("in_other_role", rows, self.met.of(key))
        if "group" in rows:
            rows = self._without("group_held_out", rows, self.held_out.of(rows["group"].map(normalise)))
        key = key.loc[rows.index]
        rows = self._without("duplicates", rows, self.own.of(key) | key.duplicated().to_numpy())
        self.own.add(key.loc[rows.index])
        self.counts["rows"] += len(rows)
        return rows.drop(columns="group", errors="ignore")

    def _without(self, reason: str, rows: pd.DataFrame, which: np.ndarray) -> pd.DataFrame:
        self.counts[reason] += int(which.sum())
        return rows[~which]


def _held_out_groups(raw: RawTask, roles: dict[str, pd.DataFrame]) -> pd.Series:
    """The groups that are held out, by their names in the raw data: the tables of roles have numbers."""
    if not raw.grouped_by:
        return pd.Series(dtype=object)
    held_out = pd.concat([roles[role]["sample_id"] for role in HELD_OUT])
    rows = pd.concat(raw.splits.values())
    groups = rows.loc[rows["sample_id"].isin(held_out), "group"].map(normalise)
    return groups[groups != ""]


def chosen_rows(count: int, limit: int | None, seed: int) -> np.ndarray:
    """Which of `count` rows to keep so that at most `limit` remain: sorted places."""
    if limit is None or count <= limit:
        return np.arange(count)
    return np.sort(np.random.default_rng([seed, *b"max_transfer"]).choice(count, limit, replace=False))
