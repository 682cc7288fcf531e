"""Texts as token batches: tokenised once, bucketed by length, padded per batch."""

import math
from collections.abc import Iterator, Sequence
from copy import copy
from functools import partial
from itertools import pairwise

import pandas as pd
import torch
from torch.utils.data import DataLoader, Dataset, Sampler
from tqdm import tqdm
from transformers import DataCollatorWithPadding, PreTrainedTokenizerBase

from lgtm.networks.parallel import own_part

# What these say of a text depends on the padding behind it, attention mask or not: theirs is always up to max_length.
READS_PADDING = {"convbert", "fnet", "mobilebert", "nystromformer"}
# So many batches at most are sorted together: as many as a small set has, and few enough that in a large one a text
# meets others of its length each time. At 100, padding is 2 to 3 % of the tokens (docs/log.md, 2026-11-26).
SORTED_TOGETHER = 100


class EncodedTexts(Dataset):
    """A table of texts, tokenised and truncated to max_length tokens.

    frame: columns text, [text_pair], [label]. kind: the network's model_type. Items carry `index`, the row's position
    in the frame, those of a part too. What has no label can only be predicted.
    """

    def __init__(
        self, frame: pd.DataFrame, tokenizer: PreTrainedTokenizerBase, max_length: int, kind: str | None = None
    ):
        texts = frame["text"].tolist()
        pairs = frame["text_pair"].tolist() if "text_pair" in frame else None
        self.encoding = tokenizer(texts, pairs, truncation=True, max_length=max_length)
        self.labels = frame["label"].tolist() if "label" in frame else None
        self.index = list(range(len(frame)))
        self.lengths = [len(ids) for ids in self.encoding["input_ids"]]
        always = {"padding": "max_length", "max_length": max_length} if kind in READS_PADDING else {}
        self.collate = DataCollatorWithPadding(tokenizer, **always)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> dict:
        item = {name: values[index] for name, values in self.encoding.items()} | {"index": self.index[index]}
        return item if self.labels is None else item | {"labels": self.labels[index]}

    def take(self, rows: Sequence[int]) -> "EncodedTexts":
        """Some rows, without tokenising them again."""
        part = copy(self)
        part.encoding = {name: [values[row] for row in rows] for name, values in self.encoding.items()}
        part.labels = self.labels and [self.labels[row] for row in rows]
        part.index = [self.index[row] for row in rows]
        part.lengths = [self.lengths[row] for row in rows]
        return part


def training_batches(data: EncodedTexts, batch_size: int, generator: torch.Generator) -> DataLoader:
    """Shuffled batches of similar length, in a new order each time they are gone through: this process's part of each.

    With `share`, the part of the batch's rows that it has (see parallel.py).
    """
    sampler = ByLength(data.lengths, batch_size, generator)
    return DataLoader(data, batch_size, sampler=sampler, collate_fn=partial(own_part, collate=data.collate))


class ByLength(Sampler[int]):
    """Every row once, in an order that makes batches of rows of similar length when it is cut.

    Rows are shuffled, sorted in windows of up to SORTED_TOGETHER batches, rows of one length in random order, and cut;
    then the batches are shuffled. One that is not full is the last one, and has the longest rows of its window.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, generator: torch.Generator):
        self.lengths, self.batch_size, self.generator = lengths, batch_size, generator

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        rows, full = torch.randperm(len(self), generator=self.generator).tolist(), len(self) // self.batch_size
        windows = max(1, math.ceil(full / SORTED_TOGETHER))
        # The last window has what is left over too.
        ends = [self.batch_size * (full * window // windows) for window in range(windows)] + [len(self)]
        ordered = [
            row for start, end in pairwise(ends) for row in sorted(rows[start:end], key=self.lengths.__getitem__)
        ]
        for batch in [*torch.randperm(full, generator=self.generator).tolist(), full]:
            yield from ordered[batch * self.batch_size : (batch + 1) * self.batch_size]


def ordered_batches(
    data: EncodedTexts, batch_size: int, order: Sequence[int], device: torch.device, description: str | None = None
) -> Iterator[dict[str, torch.Tensor]]:
    """Batches in a given order of rows, on a device; with a progress bar if it is given a description."""
    loader = DataLoader(data, batch_size, sampler=order, collate_fn=data.collate)
    bar = {"desc": description, "unit": "batch", "mininterval": 1.0, "delay": 3.0, "leave": False}
    for batch in tqdm(loader, disable=description is None, **bar):
        yield {name: value.to(device) for name, value in batch.items()}


def by_length(data: EncodedTexts) -> list[int]:
    """Rows from long to short, so that batches carry little padding and a lack of memory shows at once."""
    return sorted(range(len(data)), key=lambda row: -data.lengths[row])
