"""The same influence from other libraries: captum's TracInCP and kronfluence, given the same model and data.

Both need the project's extra `peers`. Each returns, per train sample, the inner product of its loss's gradient with the
gradient of the mean feedback loss (through an inverse Fisher for EK-FAC): positive where the sample helps, as ours. A
loss maps logits (B × C) and rows (B) to the losses of these rows.
"""

import logging
import tempfile
import warnings
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from lgtm.networks.encoding import EncodedTexts
from lgtm.networks.losses import inputs_of

warnings.filterwarnings("ignore", category=FutureWarning, module="kronfluence")

Loss = Callable[[Tensor, Tensor], Tensor]


@cache
def missing(library: str) -> bool:
    """Whether a peer is not installed; says so once, in one line."""
    absent = find_spec(library) is None
    if absent:
        print(f"{library} is not installed, its rows are left out: pip install -e '.[peers]'")
    return absent


def label_loss(data: EncodedTexts) -> Loss:
    """Cross-entropy with the labels of a table."""
    labels = torch.tensor(data.labels)
    return lambda logits, rows: F.cross_entropy(logits, labels[rows], reduction="none")


def distillation_loss(
    data: EncodedTexts, teacher_logits: Tensor, *, temperature: float, hard_label_weight: float
) -> Loss:
    """The loss that the influence is of (lgtm.influence.identity), under a teacher's logits (N × C) on the table."""
    teacher, on_labels = (teacher_logits / temperature).softmax(-1), label_loss(data)

    def loss(logits, rows):
        soft = temperature**2 * F.cross_entropy(logits / temperature, teacher[rows], reduction="none")
        return (1 - hard_label_weight) * soft + hard_label_weight * on_labels(logits, rows)

    return loss


def tracin(model: nn.Module, train: EncodedTexts, train_loss: Loss, feedback: EncodedTexts, batch_size: int) -> Tensor:
    """Captum's TracInCP at one checkpoint, the model as it is, over all parameters."""
    from captum.influence import TracInCP

    def batches(data):
        return DataLoader(data, batch_size, collate_fn=lambda rows: _positional(data.collate(rows)))

    test_loss = label_loss(feedback)
    # What captum calls a loss per example, and otherwise warns about.
    train_loss.reduction = test_loss.reduction = "none"
    names = list(inputs_of(train.collate([train[0]])))
    method = TracInCP(
        _Positional(model, names),
        batches(train),
        checkpoints=["as it is"],
        checkpoints_load_func=lambda model, checkpoint: 1.0,
        loss_fn=train_loss,
        test_loss_fn=test_loss,
    )
    return method.influence(batches(feedback), aggregate=True)[0] / len(feedback)


class _Positional(nn.Module):
    """A transformers model as captum calls it, with its inputs in a fixed order."""

    def __init__(self, model: nn.Module, names: list[str]):
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.model(**dict(zip(self.names, inputs, strict=True))).logits


def _positional(batch: dict[str, Tensor]) -> tuple[Tensor, ...]:
    return (*inputs_of(batch).values(), batch["index"])


def kronfluence(
    model: nn.Module, train: EncodedTexts, train_loss: Loss, feedback: EncodedTexts, batch_size: int, strategy: str
) -> Tensor:
    """Kronfluence with an aggregated query, over its linear layers; `identity`, or `ekfac` with its default damping."""
    from kronfluence.analyzer import Analyzer, prepare_model
    from kronfluence.arguments import FactorArguments, ScoreArguments
    from kronfluence.task import Task
    from kronfluence.utils.dataset import DataLoaderKwargs

    feedback_loss = label_loss(feedback)

    class Scoring(Task):
        def compute_train_loss(self, batch, model, sample=False):
            logits = model(**inputs_of(batch)).logits
            if sample:
                drawn = torch.multinomial(logits.detach().softmax(-1), 1)[:, 0]
                return F.cross_entropy(logits, drawn, reduction="sum")
            return train_loss(logits, batch["index"]).sum()

        def compute_measurement(self, batch, model):
            return feedback_loss(model(**inputs_of(batch)).logits, batch["index"]).sum()

        def get_attention_mask(self, batch):
            return batch["attention_mask"]

    task = Scoring()
    with tempfile.TemporaryDirectory() as folder:
        analyzer = Analyzer(
            "scores",
            prepare_model(deepcopy(model), task),
            task,
            cpu=True,
            disable_tqdm=True,
            output_dir=folder,
            log_level=logging.WARNING,
        )
        analyzer.set_dataloader_kwargs(DataLoaderKwargs(collate_fn=train.collate))
        analyzer.fit_all_factors("factors", train, batch_size, factor_args=FactorArguments(strategy=strategy))
        analyzer.compute_pairwise_scores(
            "scores",
            "factors",
            feedback,
            train,
            per_device_query_batch_size=batch_size,
            per_device_train_batch_size=batch_size,
            score_args=ScoreArguments(aggregate_query_gradients=True),
        )
        scores = analyzer.load_pairwise_scores("scores")
    return scores["all_modules"][0] / len(feedback)
