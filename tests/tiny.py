"""Tiny models and tables that tests share."""

from pathlib import Path

import pandas as pd
import torch
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

from lgtm.networks.models import train_wordpiece
from lgtm.networks.pooling import heed_pooling

ROOT = Path(__file__).parents[1]
LABELS = ["bad", "good"]
SIZES = {
    "bert": dict(hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32),
    "roberta": dict(hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32),
    "distilbert": dict(dim=16, n_layers=3, n_heads=2, hidden_dim=32),
    "electra": dict(hidden_size=16, embedding_size=8, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32),
    "deberta-v2": dict(
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
        relative_attention=True,
        pos_att_type=["p2c", "c2p"],
        position_buckets=8,
    ),
}


def config(kind: str, num_labels: int = 2, vocab_size: int = 100):
    return AutoConfig.for_model(
        kind,
        **SIZES[kind],
        vocab_size=vocab_size,
        num_labels=num_labels,
        max_position_embeddings=32,
        pad_token_id=0,
    )


def model(kind: str, num_labels: int, attention: str = "eager", vocab_size: int = 100, pooling: str | None = None):
    torch.manual_seed(0)
    fields = config(kind, num_labels, vocab_size)
    fields.pooling = pooling
    built = AutoModelForSequenceClassification.from_config(fields, attn_implementation=attention)
    heed_pooling(built)
    # Far from the symmetric start, where all logits are nearly equal.
    for parameter in built.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return built.eval()


def encoder(kind: str):
    torch.manual_seed(0)
    return AutoModel.from_config(config(kind))


def table(rows: int, start: int = 0) -> pd.DataFrame:
    """Sentences of one to four words whose label is whether the first word is `good`."""
    texts = [" ".join([("bad", "good")[i % 2], *["day", "night", "sun"][: i % 4]]) for i in range(start, start + rows)]
    labels = [i % 2 for i in range(start, start + rows)]
    ids = [f"train-{i}" for i in range(start, start + rows)]
    return pd.DataFrame({"sample_id": ids, "text": texts, "label": labels, "true_label": labels})


def tokenizer():
    return train_wordpiece(table(8)["text"].tolist(), vocab_size=100, max_length=32)
