"""Building networks: from a configuration or a checkpoint to a sequence classifier, and the tokenizer beside it."""

from pathlib import Path

import torch
from huggingface_hub.errors import StrictDataclassError
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import nn
from transformers import (
    CONFIG_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging

from lgtm.errors import UserError, one_line

# A classification head is always new on a pretrained encoder: the report of missing weights says nothing here.
logging.set_verbosity_error()
logging.disable_progress_bar()


def starting_network(network, tokenizer: PreTrainedTokenizerBase | None, max_length: int, field: str):
    """What a network of a pair starts from, and its tokenizer: a configuration, or a pretrained encoder.

    network: pairs.Network; tokenizer: the one trained for from-scratch networks. Both results have save_pretrained.
    Raises UserError, naming the card's `field`, for what the card asks for and cannot be had.
    """
    if network.config is not None:
        start = config = scratch_config(network.config, tokenizer, field)
    else:
        start, tokenizer = load_encoder(network.checkpoint, network.revision, field)
        config = start.config
        if network.layers is not None:
            keep_layers(start, network.layers, field)
    positions = min(config.max_position_embeddings, tokenizer.model_max_length)
    if positions < max_length:
        raise UserError(f"{field}: the network takes {positions} tokens, less than the task's max_length {max_length}")
    return start, tokenizer


def load_encoder(checkpoint: str, revision: str | None, field: str):
    """The pretrained encoder and tokenizer of a checkpoint, a hub id with a revision or a folder without.

    Weights are read from safetensors alone and no remote code is run. Raises UserError when it cannot be had.
    """
    if revision is None and not Path(checkpoint, "config.json").is_file():
        raise UserError(f"{field}.checkpoint: no folder {checkpoint} with config.json, model.safetensors and tokenizer")
    try:
        encoder = AutoModel.from_pretrained(checkpoint, revision=revision, use_safetensors=True, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(checkpoint, revision=revision)
    except (OSError, ValueError) as error:
        raise UserError(f"{field}.checkpoint: cannot load {checkpoint!r}: {one_line(error)}") from error
    return encoder, tokenizer


def keep_layers(encoder: PreTrainedModel, layers: list[int], field: str) -> None:
    """Keep only the given layers of an encoder, in that order. Raises UserError for one that it does not have."""
    depth = encoder.config.num_hidden_layers
    if bad := [layer for layer in layers if layer >= depth]:
        raise UserError(f"{field}.layers: the checkpoint has layers 0 to {depth - 1}, found {bad[0]}")
    for module in encoder.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.ModuleList) and len(child) == depth:
                setattr(module, name, nn.ModuleList(child[layer] for layer in layers))
    encoder.config.num_hidden_layers = len(layers)


def train_wordpiece(texts: list[str], vocab_size: int, max_length: int) -> PreTrainedTokenizerFast:
    """A lower-casing BERT WordPiece tokenizer trained on the given texts."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = _bert_tokenizer(models.WordPiece(unk_token="[UNK]"))
    # The trainer numbers letters in the order of a hash map, and its ties follow the numbers: two runs differ. Handing
    # it the letters in a fixed order, as if they were special, makes the vocabulary the same every time.
    letters = sorted(
        {letter for text in texts for letter in tokenizer.normalizer.normalize_str(text) if letter.strip()}
    )
    fixed = [*special, *letters, *(f"##{letter}" for letter in letters)]
    trainer = trainers.WordPieceTrainer(vocab_size=vocab_size, special_tokens=fixed, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=_bert_tokenizer(models.WordPiece(tokenizer.get_vocab(), unk_token="[UNK]")),
        model_max_length=max_length,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


def _bert_tokenizer(model: models.WordPiece) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    ends = [(token, tokenizer.token_to_id(token) or 0) for token in ("[SEP]", "[CLS]")]
    tokenizer.post_processor = processors.BertProcessing(*ends)
    return tokenizer


def scratch_config(config: dict, tokenizer: PreTrainedTokenizerBase, field: str):
    """The transformers configuration of a network from scratch. Raises UserError when transformers refuses it."""
    fields = dict(config)
    kind = fields.pop("model_type")
    if kind not in CONFIG_MAPPING:
        raise UserError(f"{field}.config.model_type: {kind!r} is not a transformers model type such as bert")
    known = CONFIG_MAPPING[kind]()
    if unknown := [name for name in fields if not hasattr(known, name)]:
        raise UserError(f"{field}.config.{unknown[0]}: a {kind} configuration has no such key")
    try:
        built = AutoConfig.for_model(kind, **fields, vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id)
        # Some mistakes show only in the model; on the meta device it costs nothing.
        with torch.device("meta"):
            AutoModelForSequenceClassification.from_config(built)
    except (AttributeError, KeyError, TypeError, ValueError, StrictDataclassError) as error:
        raise UserError(f"{field}.config: {one_line(error)}") from error
    return built


def classifier(folder: Path, labels: list[str], attention: str | None = None) -> PreTrainedModel:
    """A sequence classifier from a model folder: its weights where it has some, else freshly initialised ones.

    attention: transformers' attn_implementation; None leaves the choice to transformers.
    """
    config = AutoConfig.from_pretrained(
        folder, num_labels=len(labels), id2label=dict(enumerate(labels)), label2id={n: i for i, n in enumerate(labels)}
    )
    config.problem_type = "single_label_classification"
    kinds = AutoModelForSequenceClassification
    if Path(folder, "model.safetensors").is_file():
        return kinds.from_pretrained(
            folder, config=config, dtype=torch.float32, use_safetensors=True, attn_implementation=attention
        )
    return kinds.from_config(config, attn_implementation=attention)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model folder."""
    return AutoTokenizer.from_pretrained(folder)
