"""What the processes of a stage compute apart, and put together (lgtm.processes starts them). One process is no case
of its own: its part is the whole.

Every process does all that a stage does, with the same numbers; these are divided:

* a prediction: its batches are dealt out whole, so that a row is computed as one process computes it, bit for bit, and
  every process gets all rows
* a training batch: each process has a part of its rows, and its loss is the mean over them times their share of the
  batch; losses and gradients then add up to those of the batch, whether it divides or not

So the weights stay the same in all processes, which is why no one sends them, and accelerate's DistributedDataParallel
has no part in this: it averages over processes, whatever their rows are, and expects every weight to get a gradient.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from torch import Tensor

APART = 100_000  # between the seeds of two processes' dropout


def own_batches(order: Sequence[int], batch_size: int) -> list[int]:
    """Of rows in an order, cut into batches, those whose batches are this process's; it may have none."""
    state = PartialState()
    return [row for place, row in enumerate(order) if place // batch_size % state.num_processes == state.process_index]


def merged(rows: Sequence[int], *columns: Sequence[Tensor]) -> list[Tensor]:
    """Every row of all processes, by their numbers.

    rows: numbers of this process's rows; columns: what it found of them, in pieces, on the CPU.
    """
    own = [(rows, [torch.cat(list(column)) for column in columns])] if len(rows) else []
    parts = gather_object(own)
    back = np.concatenate([rows for rows, _ in parts]).argsort()
    return [torch.cat(pieces)[back] for pieces in zip(*(found for _, found in parts), strict=True)]


def own_part(items: list[dict], collate: Callable[[list[dict]], dict[str, Tensor]]) -> dict[str, Tensor]:
    """This process's part of a training batch, collated, and `share`: its part of the batch's rows.

    Of fewer rows than processes some get none: they take one along that weighs nothing (it counts as cost), since all
    have to take the step.
    """
    state = PartialState()
    own = items[state.process_index :: state.num_processes]
    batch = dict(collate(own or items[:1]))
    return batch | {"share": torch.tensor(len(own) / len(items))}


def summed(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The sums over all processes of tensors of one type and device."""
    if PartialState().num_processes == 1 or not tensors:
        return list(tensors)
    flat = torch.cat([tensor.detach().flatten() for tensor in tensors])
    torch.distributed.all_reduce(flat)
    pieces = flat.split([tensor.numel() for tensor in tensors])
    return [piece.view_as(tensor) for piece, tensor in zip(pieces, tensors, strict=True)]


def own_seed(seed: int) -> int:
    """The seed of what a process draws for itself, which is dropout; the first one's is the seed."""
    return seed + APART * PartialState().process_index
