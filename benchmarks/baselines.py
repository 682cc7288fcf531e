"""What a user would do without this project, on the same rows: a linear probe, Trainer, sentence-transformers.

A network is a folder with an encoder and its tokenizer (work/init/teacher or student). Tables have the columns text,
[text_pair] and label.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegressionCV
from torch.nn import functional as F
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    Trainer,
    TrainingArguments,
    set_seed,
)

from lgtm.errors import UserError
from lgtm.networks.encoding import EncodedTexts, by_length, ordered_batches
from lgtm.networks.losses import inputs_of
from lgtm.networks.metrics import evaluate_logits
from lgtm.networks.models import load_tokenizer
from lgtm.networks.pooling import heed_pooling, set_pooling

# Trainer's defaults but for the batch; the rate that BERT's authors begin with; and the long run that is advised for
# few rows (Mosbach et al., 2021).
TRAINER = [(5e-5, 3, 0.0), (2e-5, 3, 0.0), (5e-5, 20, 0.1)]
BATCH = 16
# Of TrainingArguments: nothing is saved, logged or shown.
QUIET = {
    "save_strategy": "no", "logging_strategy": "no", "report_to": [], "disable_tqdm": True,
    "dataloader_pin_memory": False,
}  # fmt: skip
DISTILLED_EPOCHS, DISTILLED_RATE = 10, 1e-4  # the rate of sentence-transformers' own example of model distillation


@dataclass(frozen=True)
class Roles:
    """A task's tables, its metrics and its texts' length in tokens."""

    train: pd.DataFrame
    selection: pd.DataFrame
    test: pd.DataFrame
    metrics: list[str]
    max_length: int

    def score(self, logits: np.ndarray) -> float:
        """The task's first metric on test. Raises UserError for logits that are not of its rows."""
        if len(logits) != len(self.test) or not np.isfinite(logits).all():
            raise UserError(f"not {len(self.test)} rows of finite logits")
        return evaluate_logits(logits, self.test["label"].tolist(), self.metrics)[self.metrics[0]]


def probe(states, roles: Roles) -> np.ndarray:
    """Logistic regression on frozen states, its regularisation chosen by cross-validation on train.

    states: from a list of texts to N × H, of unit length; a pair becomes the distances and products of its two.
    """

    def features(frame: pd.DataFrame) -> np.ndarray:
        first = states(frame["text"].tolist())
        if "text_pair" not in frame:
            return first
        second = states(frame["text_pair"].tolist())
        return np.hstack([np.abs(first - second), first * second])

    settings = {"Cs": 10, "cv": 5, "max_iter": 5000, "l1_ratios": (0,), "scoring": "accuracy"}
    found = LogisticRegressionCV(**settings, use_legacy_attributes=False)
    found.fit(features(roles.train), roles.train["label"])
    if len(found.classes_) <= roles.train["label"].max():
        raise UserError("the probe has not seen every class; take more rows")
    return found.predict_log_proba(features(roles.test))


@torch.inference_mode()
def mean_states(folder: Path, texts: list[str], max_length: int) -> np.ndarray:
    """Mean-pooled last states of unit length, N × H."""
    encoder = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    set_pooling(encoder.config, "mean")
    heed_pooling(encoder)
    data = EncodedTexts(pd.DataFrame({"text": texts}), load_tokenizer(folder), max_length, encoder.config.model_type)
    order = by_length(data)
    batches = ordered_batches(data, 64, order, torch.device("cpu"))
    states = torch.cat([encoder(**inputs_of(batch)).last_hidden_state[:, 0] for batch in batches])
    return F.normalize(states, dim=-1).numpy()[np.argsort(order)]


def trainer(folder: Path, roles: Roles, seed: int) -> np.ndarray:
    """transformers.Trainer with each of TRAINER's settings; what does best on selection, predicted on test."""
    tokenizer, chosen = load_tokenizer(folder), None
    tables = {
        name: Plain(EncodedTexts(getattr(roles, name), tokenizer, roles.max_length))
        for name in ("train", "selection", "test")
    }
    for rate, epochs, warmup in TRAINER:
        set_seed(seed)
        classes = int(roles.train["label"].max()) + 1
        model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=classes, dtype=torch.float32)
        steps = epochs * -(-len(roles.train) // BATCH)
        with tempfile.TemporaryDirectory() as scratch:
            arguments = TrainingArguments(
                scratch,
                learning_rate=rate,
                num_train_epochs=epochs,
                warmup_steps=round(warmup * steps),
                per_device_train_batch_size=BATCH,
                per_device_eval_batch_size=64,
                seed=seed,
                **QUIET,
            )
            run = Trainer(model, arguments, train_dataset=tables["train"], data_collator=tables["train"].data.collate)
            run.train()
            if run.state.global_step != steps:
                raise UserError(f"Trainer took {run.state.global_step} steps in place of {steps}")
            said = {name: run.predict(tables[name]).predictions for name in ("selection", "test")}
        found = evaluate_logits(said["selection"], roles.selection["label"].tolist(), roles.metrics)
        rank = (found[roles.metrics[0]], -found["nll"])
        if chosen is None or rank > chosen[0]:
            chosen = rank, said["test"]
    return chosen[1]


class Plain(torch.utils.data.Dataset):
    """Encoded texts without the rows' places, which are no input of a model."""

    def __init__(self, data: EncodedTexts):
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, row: int) -> dict:
        return {name: value for name, value in self.data[row].items() if name != "index"}


def distilled_states(teacher: Path, student: Path, roles: Roles, seed: int):
    """sentence-transformers' model distillation: the student's embeddings of train drawn to the teacher's.

    Returns the student's states, from a list of texts to N × H of unit length.
    """
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import MSELoss
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    set_seed(seed)

    def with_mean(folder: Path) -> SentenceTransformer:
        words = Transformer(str(folder), max_seq_length=roles.max_length)
        return SentenceTransformer(modules=[words, Pooling(words.get_word_embedding_dimension(), "mean")], device="cpu")

    model = with_mean(student)
    texts = [text for column in ("text", "text_pair") if column in roles.train for text in roles.train[column]]
    wanted = with_mean(teacher).encode(texts, show_progress_bar=False)
    steps = DISTILLED_EPOCHS * -(-len(texts) // BATCH)
    with tempfile.TemporaryDirectory() as scratch:
        arguments = SentenceTransformerTrainingArguments(
            scratch,
            learning_rate=DISTILLED_RATE,
            num_train_epochs=DISTILLED_EPOCHS,
            warmup_steps=round(0.1 * steps),
            per_device_train_batch_size=BATCH,
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            seed=seed,
        )
        data = Dataset.from_dict({"sentence": texts, "label": wanted.tolist()})
        run = SentenceTransformerTrainer(model, arguments, train_dataset=data, loss=MSELoss(model))
        run.train()
        if run.state.global_step != steps:
            raise UserError(f"sentence-transformers took {run.state.global_step} steps in place of {steps}")
    return lambda texts: model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
