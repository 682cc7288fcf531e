"""The forms of a shipped student held against each other: logits, quality on selection, time of a batch."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from lgtm.errors import UserError
from lgtm.networks.encoding import EncodedTexts, ordered_batches
from lgtm.networks.losses import inputs_of
from lgtm.networks.metrics import agreement, evaluate_logits
from lgtm.shipping.student import Student

TOLERANCE = 1e-4  # of logits in fp32
TOGETHER, REPEATS, UNCOUNTED = 32, 20, 3  # rows of a batch; batches whose median counts, after some that do not
SIZES = (1, TOGETHER)
ENDS = 16  # so many of the longest and of the shortest texts are read alone too
CPU = torch.device("cpu")
Form = Callable[[dict[str, Tensor]], np.ndarray]


@dataclass(frozen=True)
class Measured:
    """What a form is: its file's megabytes, the largest difference of its logits from PyTorch's, how it does there."""

    name: str
    megabytes: float
    difference: float
    values: dict[str, float]  # metrics on selection, and agreement with PyTorch
    milliseconds: dict[int, float]  # of a batch, by its size


def pytorch(model: PreTrainedModel) -> Form:
    """A network of this process as a form."""

    def logits(inputs: dict[str, Tensor]) -> np.ndarray:
        with torch.inference_mode():
            return model(**inputs).logits.numpy()

    return logits


def as_transformers_loads_it(folder: Path) -> Form:
    """The network of a folder as whoever has transformers alone gets it: it heeds no `pooling` of this project."""
    loaded = AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=False, use_safetensors=True)
    return pytorch(loaded.float().eval())


def with_ends(frame: pd.DataFrame) -> pd.DataFrame:
    """Texts, and behind them one that is longer than any network reads, and one of a single letter."""
    columns = [name for name in ("text", "text_pair") if name in frame]
    rows = [{name: " ".join(frame[name].iloc[:2000]) for name in columns}, dict.fromkeys(columns, "a")]
    return pd.concat([frame[columns], pd.DataFrame(rows)], ignore_index=True)


class Comparison:
    """Forms of one student on the same batches of the task's own texts, ragged as they come, and alone."""

    def __init__(self, student: Student, frame: pd.DataFrame, labels: np.ndarray, metrics: list[str]):
        self.data, self.labels, self.metrics = student.encode(with_ends(frame)), labels, metrics
        order = np.argsort(self.data.lengths, kind="stable")
        self.alone = np.concatenate([order[:ENDS], order[-ENDS:]])
        self.reference = self._logits(pytorch(student.model.eval()))

    def _logits(self, form: Form) -> np.ndarray:
        """Logits of all texts, in batches in their order, and then of the ends, one by one."""
        batches = [*_batches(self.data, TOGETHER, np.arange(len(self.data))), *_batches(self.data, 1, self.alone)]
        return np.concatenate([form(batch) for batch in batches])

    def difference(self, name: str, form: Form) -> tuple[float, dict[str, float]]:
        """The largest difference from PyTorch's logits, and how the form does on the labelled rows.

        Raises UserError, with the form's name, where its logits are no numbers.
        """
        logits = self._logits(form)
        if not np.isfinite(logits).all():
            raise UserError(f"{name}: its logits are not finite on the task's texts; nothing was written")
        rows = len(self.labels)
        values = evaluate_logits(logits[:rows], self.labels, self.metrics)
        values["agreement"] = agreement(logits[:rows], self.reference[:rows])
        return float(np.abs(logits - self.reference).max()), values

    def milliseconds(self, forms: dict[str, Form]) -> dict[str, dict[int, float]]:
        """Median milliseconds of a batch by form and size, the forms in turns; without tokenising.

        Processor time on one thread: what a batch takes on a machine that does nothing else.
        """
        taken: dict[str, dict[int, float]] = {name: {} for name in forms}
        for size in SIZES:
            rows = np.resize(np.arange(len(self.labels)), size * (REPEATS + UNCOUNTED))
            seconds: dict[str, list[float]] = {name: [] for name in forms}
            with _one_thread():
                for batch in _batches(self.data, size, rows):
                    for name, form in forms.items():
                        start = time.process_time()
                        form(batch)
                        seconds[name].append(time.process_time() - start)
            for name, values in seconds.items():
                taken[name][size] = 1e3 * statistics.median(values[UNCOUNTED:])
        return taken


def require_parity(difference: float, form: str) -> None:
    """Raise UserError where logits of a form differ from PyTorch's."""
    if difference > TOLERANCE:
        raise UserError(
            f"{form}: its logits differ from PyTorch's by up to {difference:.1e} on the task's texts, more than"
            f" {TOLERANCE:g}; nothing was written"
        )


def _batches(data: EncodedTexts, size: int, rows: np.ndarray) -> Iterator[dict[str, Tensor]]:
    return map(inputs_of, ordered_batches(data, size, rows.tolist(), CPU))


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
