"""Data sets on the Hugging Face hub, at the commit that a card pins them to."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from lgtm.data.tasks import CARD, TaskCard
from lgtm.errors import UserError, one_line


def hub_data(card: TaskCard, folder: Path) -> Mapping[str, Any]:
    """The splits of the hub's data set at the card's revision, from the hub once and then from its cache."""
    import datasets

    hub, path, what = card.hub, folder / CARD, hub_name(card)
    try:
        builder = datasets.load_dataset_builder(hub.path, hub.name, revision=hub.revision)
        # Without network, datasets falls back to the newest revision in its cache, whichever that is.
        if not Path(hub.path).is_dir() and builder.hash != hub.revision:
            raise ConnectionError(f"the cache has {builder.hash}")
        builder.download_and_prepare()
        return builder.as_dataset()
    except ConnectionError as error:
        raise UserError(
            f"{path}: hub: {what} at {hub.revision} needs the hub once: run with network, without HF_HUB_OFFLINE "
            f"({one_line(error)})"
        ) from error
    # What can go wrong comes from datasets, huggingface_hub, httpx or pyarrow, with no base class of their own.
    except Exception as error:
        raise UserError(f"{path}: hub: cannot load {what} at {hub.revision}: {one_line(error)}") from error


def hub_split(
    data: Mapping[str, Any], card: TaskCard, folder: Path, field: str, place: str
) -> tuple[str, pd.DataFrame]:
    """What messages call a split of the hub's data set, and its rows."""
    source, pieces = hub_pieces(data, card, folder, field, place, len(data[place]) if place in data else 0)
    return source, next(pieces)


def hub_pieces(
    data: Mapping[str, Any], card: TaskCard, folder: Path, field: str, place: str, size: int
) -> tuple[str, Iterator[pd.DataFrame]]:
    """As hub_split, but `size` rows at a time: the cache is memory-mapped."""
    if place not in data:
        raise UserError(f"{folder / CARD}: {field}: {hub_name(card)} has no split {place!r}; it has {', '.join(data)}")
    rows = data[place].with_format("arrow")
    starts = range(0, max(len(rows), 1), max(size, 1))
    pieces = (rows[start : start + size].to_pandas(integer_object_nulls=True) for start in starts)
    return f"{hub_name(card)}, split {place}", pieces


def hub_name(card: TaskCard) -> str:
    """What messages call the hub's data set."""
    return " ".join(filter(None, [card.hub.path, card.hub.name]))
