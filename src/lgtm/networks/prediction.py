"""What a network says of every row of a table, batch by batch; stopped, it goes on behind the last batch kept."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from lgtm import resume
from lgtm.networks.cost import passes_of
from lgtm.networks.encoding import EncodedTexts, by_length, ordered_batches
from lgtm.networks.losses import inputs_of
from lgtm.networks.parallel import merged, own_batches


@torch.inference_mode()
def predict(
    model: nn.Module, data: EncodedTexts, batch_size: int, hidden: bool = False
) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
    """Logits (N × C, float32) of every row in the table's order, dropout off.

    With `hidden`, also the last layer's first position (N × H, float16).
    """
    model.eval()
    device = next(model.parameters()).device

    def said(rows: list[int]) -> Iterator[tuple[Tensor, ...]]:
        for batch in ordered_batches(data, batch_size, rows, device, "predict"):
            outputs = model(**inputs_of(batch), output_hidden_states=hidden)
            logits = outputs.logits.float().cpu()
            yield (logits, outputs.hidden_states[-1][:, 0].half().cpu()) if hidden else (logits,)

    found = [column.numpy() for column in batch_by_batch(model, data, batch_size, said)]
    return tuple(found) if hidden else found[0]


def batch_by_batch(
    model: nn.Module, data: EncodedTexts, batch_size: int, said: Callable[[list[int]], Iterator[tuple[Tensor, ...]]]
) -> list[Tensor]:
    """Columns of every row in the table's order, on the CPU.

    said: yields, of rows in an order, a batch of each column at a time. It begins as one pass over the data does,
    whatever is kept of it, so that it draws as many random numbers.
    """
    own, passes = own_batches(by_length(data), batch_size), passes_of(model)
    with resume.unit() as unit:
        columns: list[list[Tensor]] = []
        if unit.found is not None:
            columns = [[column] for column in unit.found["columns"]]
            passes.go_on(unit.found["passes"])

        def state() -> resume.Tree:
            return {"columns": [torch.cat(column) for column in columns], "passes": passes.state()}

        for batch in said(own[len(torch.cat(columns[0])) if columns else 0 :]):
            columns = columns or [[] for _ in batch]
            for column, values in zip(columns, batch, strict=True):
                column.append(values)
            unit.keep(state)
        unit.end(state)
    return merged(own, *columns)
