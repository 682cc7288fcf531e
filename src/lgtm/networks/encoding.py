"""Texts as token batches: tokenised once, kept on disk, bucketed by length, padded per batch."""

import math
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from functools import partial
from itertools import chain, pairwise

import numpy as np
import pandas as pd
import torch
from accelerate import skip_first_batches
from torch.utils.data import DataLoader, Dataset, Sampler
from tqdm import tqdm
from transformers import BatchEncoding, DataCollatorWithPadding, PreTrainedTokenizerBase

from lgtm.networks.parallel import own_part
from lgtm.networks.storage import DiskArray
from lgtm.states import Tree

AT_ONCE = 1024  # texts that are tokenised together: as the tokenizer's own encodings they take 143 bytes a token
# What these say of a text depends on the padding behind it, attention mask or not: theirs is always up to max_length.
READS_PADDING = {"convbert", "fnet", "mobilebert", "nystromformer"}
# So many batches at most are sorted together: as many as a small set has, and few enough that in a large one a text
# meets others of its length each time. At 100, padding is 2 to 3 % of the tokens (docs/log.md, 2026-11-26).
SORTED_TOGETHER = 100


class EncodedTexts(Dataset):
    """A table of texts, tokenised and truncated to max_length tokens.

    texts: columns text, [text_pair], [label]; or such tables one after another, so that the texts need not be in memory
    at once. kind: the network's model_type. Tokens are on disk, 4 bytes each (and 1 more for a token's type), and a row
    is 32 bytes in memory. Items carry `index`, the row's position in the whole, those of a part too. What has no label
    can only be predicted.
    """

    def __init__(
        self,
        texts: pd.DataFrame | Iterable[pd.DataFrame],
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
        kind: str | None = None,
    ):
        # Without padding nothing is masked, so the mask is left to the padding of a batch.
        how = {"truncation": True, "max_length": max_length, "return_attention_mask": False}
        self.tokens: dict[str, DiskArray] = {}
        lengths, labels = [], []
        for frame in [texts] if isinstance(texts, pd.DataFrame) else texts:
            lengths += [self._keep(encoding) for encoding in tokenised(frame, tokenizer, **how)]
            if "label" in frame:
                labels.append(frame["label"].to_numpy(np.int64))
        self.labels = np.concatenate(labels) if labels else None
        self.lengths = np.concatenate(lengths)
        self.starts = self.lengths.cumsum() - self.lengths
        self.index = np.arange(len(self.lengths))
        always = {"padding": "max_length", "max_length": max_length} if kind in READS_PADDING else {}
        self.collate = DataCollatorWithPadding(tokenizer, **always)

    def _keep(self, encoding: BatchEncoding) -> np.ndarray:
        """Put the tokens of some rows, and what else there is of each, behind the others; returns the rows' lengths."""
        for name, rows in encoding.items():
            kind = np.uint8 if name == "token_type_ids" else np.int32
            self.tokens.setdefault(name, DiskArray(kind)).append(np.fromiter(chain.from_iterable(rows), kind))
        return np.array([len(ids) for ids in encoding["input_ids"]])

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, row: int) -> dict:
        first, count = int(self.starts[row]), int(self.lengths[row])
        item = {name: tokens.read(first, count).tolist() for name, tokens in self.tokens.items()}
        item["index"] = int(self.index[row])
        return item if self.labels is None else item | {"labels": int(self.labels[row])}

    def take(self, rows: Sequence[int]) -> "EncodedTexts":
        """Some rows, without tokenising them again; their tokens stay where they are."""
        part, rows = copy(self), np.asarray(rows, np.intp)
        part.starts, part.lengths, part.index = self.starts[rows], self.lengths[rows], self.index[rows]
        part.labels = None if self.labels is None else self.labels[rows]
        return part


def tokenised(frame: pd.DataFrame, tokenizer: PreTrainedTokenizerBase, **how) -> Iterator[BatchEncoding]:
    """What the tokenizer makes of a table's texts, or pairs of texts, AT_ONCE rows at a time; how: its arguments."""
    for first in range(0, len(frame), AT_ONCE):
        rows = frame.iloc[first : first + AT_ONCE]
        pairs = rows["text_pair"].tolist() if "text_pair" in rows else None
        yield tokenizer(rows["text"].tolist(), pairs, **how)


def count_truncated(frame: pd.DataFrame, tokenizer: PreTrainedTokenizerBase, max_length: int) -> int:
    """How many rows of a table of texts are longer than max_length tokens, and so will be cut."""
    # Not cut to see whether they are: a tokenizer that has once cut is saved as one that does.
    encodings = tokenised(frame, tokenizer, return_length=True, return_attention_mask=False, verbose=False)
    return sum(length > max_length for encoding in encodings for length in encoding["length"])


def training_batches(data: EncodedTexts, batch_size: int, generator: torch.Generator) -> DataLoader:
    """Shuffled batches of similar length, in a new order each time they are gone through: this process's part of each.

    With `share`, the part of the batch's rows that it has (see parallel.py).
    """
    sampler = ByLength(data.lengths, batch_size, generator)
    return DataLoader(data, batch_size, sampler=sampler, collate_fn=partial(own_part, collate=data.collate))


class EndlessBatches:
    """Training batches, over and over, and where in them one is."""

    def __init__(self, data: EncodedTexts, batch_size: int, generator: torch.Generator):
        self.batches, self.generator = training_batches(data, batch_size, generator), generator
        self.left: Iterator[dict[str, torch.Tensor]] = iter(())
        self.order, self.taken = generator.get_state(), 0

    def __iter__(self) -> "EndlessBatches":
        return self

    def __next__(self) -> dict[str, torch.Tensor]:
        batch = next(self.left, None)
        if batch is None:
            self.order, self.taken, self.left = self.generator.get_state(), 0, iter(self.batches)
            batch = next(self.left)
        self.taken += 1
        return batch

    def state(self) -> Tree:
        """What the order of this pass was drawn from, and how many batches of it were taken."""
        return {"order": self.order, "taken": self.taken}

    def go_on(self, state: Tree) -> None:
        """Be where another was in the same data. It draws a random number, as to begin a pass does."""
        self.order, self.taken = state["order"], state["taken"]
        self.generator.set_state(self.order)
        self.left = iter(skip_first_batches(self.batches, self.taken))


class ByLength(Sampler[int]):
    """Every row once, in an order that makes batches of rows of similar length when it is cut.

    Rows are shuffled, sorted in windows of up to SORTED_TOGETHER batches, rows of one length in random order, and cut;
    then the batches are shuffled. One that is not full is the last one, and has rows of another length each time: a row
    in it weighs more than others.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, generator: torch.Generator):
        self.lengths, self.batch_size, self.generator = np.asarray(lengths), batch_size, generator

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        rows, full = torch.randperm(len(self), generator=self.generator).numpy(), len(self) // self.batch_size
        windows = max(1, math.ceil(full / SORTED_TOGETHER))
        # The last window has what is left over too.
        ends = [self.batch_size * (full * window // windows) for window in range(windows)] + [len(self)]
        for start, end in pairwise(ends):
            rows[start:end] = rows[start:end][np.argsort(self.lengths[rows[start:end]], kind="stable")]
        left, slots = len(self) - self.batch_size * full, full - ends[-2] // self.batch_size + 1
        place = ends[-2] + self.batch_size * int(torch.randint(slots, (), generator=self.generator))
        rows = np.concatenate([rows[:place], rows[place + left :], rows[place : place + left]])
        for batch in [*torch.randperm(full, generator=self.generator).tolist(), full]:
            yield from rows[batch * self.batch_size : (batch + 1) * self.batch_size].tolist()


def ordered_batches(
    data: EncodedTexts, batch_size: int, order: Sequence[int], device: torch.device, description: str | None = None
) -> Iterator[dict[str, torch.Tensor]]:
    """Batches in a given order of rows, on a device; with a progress bar if it is given a description."""
    loader = DataLoader(data, batch_size, sampler=order, collate_fn=data.collate)
    bar = {"desc": description, "unit": "batch", "mininterval": 1.0, "delay": 3.0, "leave": False}
    for batch in tqdm(loader, disable=description is None, **bar):
        yield {name: value.to(device) for name, value in batch.items()}


def by_length(data: EncodedTexts) -> np.ndarray:
    """Rows from long to short, so that batches carry little padding and a lack of memory shows at once."""
    return np.argsort(-data.lengths, kind="stable")
