"""Building networks: from a configuration or a checkpoint to a sequence classifier, and the tokenizer beside it."""

import copy
import inspect
import math
from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    CONFIG_MAPPING,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging

from lgtm.errors import UserError, one_line
from lgtm.networks.checkpoints import keep_layers, load_classifier, load_encoder, require_head, require_size
from lgtm.networks.heads import order_of_classes, put_in_order
from lgtm.networks.pooling import heed_pooling, set_pooling

# A classification head is always new on a pretrained encoder: the report of missing weights says nothing here, and
# checkpoints.py compares for itself.
logging.set_verbosity_error()
logging.disable_progress_bar()

# Networks that sum a text up in its last position, whatever stands there: padding goes before it.
READS_LAST = {"xlnet"}


def starting_network(
    network, tokenizer: PreTrainedTokenizerBase | None, labels: list[str], max_length: int, field: str
):
    """What a network of a pair starts from, and its tokenizer: a configuration, a pretrained encoder or a classifier.

    network: pairs.Network; tokenizer: the one trained for from-scratch networks; labels: the task's classes, in whose
    order a classifier's outputs are put. Both results have save_pretrained. Raises UserError, naming the card's
    `field`, for what the card asks for and cannot be had.
    """
    if network.config is not None:
        start = config = scratch_config(network.config, tokenizer, field)
    else:
        load = load_encoder if network.classifier is None else load_classifier
        start, tokenizer = load(network.files, network.revision, f"{field}.{network.kind}")
        config = start.config
    positions = _positions(config, tokenizer, field)
    if positions < max_length:
        raise UserError(f"{field}: the network takes {positions} tokens, less than the task's max_length {max_length}")
    if network.classifier is not None:
        put_in_order(start, order_of_classes(config, labels, network.labels, field), field)
        config.update(classes(labels))
    if network.pooling == "cls" and config.model_type in READS_LAST:
        raise UserError(f"{field}.pooling: an {config.model_type} network is padded in front of its texts; use mean")
    if network.layers is not None:
        start = keep_layers(start, network.layers, max_length, field)
    config = start if network.config is not None else start.config
    set_pooling(config, network.pooling)
    if network.freeze or getattr(config, "freeze", None):  # of a checkpoint that was trained here
        config.freeze = network.freeze
    return start, suited(tokenizer, config)


def suited(tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig) -> PreTrainedTokenizerBase:
    """A copy of the tokenizer that pads where the network needs it and gives the inputs that it takes.

    save_pretrained keeps both: no later stage has to know. Without this the answer to a text would depend, through its
    positions, on the batch that it stands in.
    """
    takes = inspect.signature(MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[type(config)].forward).parameters
    names = [name for name in tokenizer.model_input_names if name in takes]
    if "attention_mask" in takes and "attention_mask" not in names:
        names.append("attention_mask")
    if "token_type_ids" in names and getattr(config, "type_vocab_size", 2) < 2:
        names.remove("token_type_ids")  # the second text of a pair would be of a type that is not there
    own = copy.deepcopy(tokenizer)
    own.model_input_names = names
    own.padding_side = "left" if config.model_type in READS_LAST else "right"
    own.init_kwargs |= {"model_input_names": names, "padding_side": own.padding_side}
    return own


def _positions(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase, field: str) -> float:
    """How many tokens a network and its tokenizer take; infinite where neither counts them.

    RoBERTa and its like number positions from the pad token's on, so they take fewer than they have rows.
    """
    rows = getattr(config, "max_position_embeddings", None)
    if rows is None or rows < 0:
        return _whole(tokenizer.model_max_length)
    with torch.device("meta"):
        network = AutoModelForSequenceClassification.from_config(config, trust_remote_code=False)
    for name, module in network.named_modules():
        padding = getattr(module, "padding_idx", None)
        if padding is not None and "position" in name and len(module.weight) == rows:
            if padding != tokenizer.pad_token_id:
                raise UserError(
                    f"{field}: the network counts positions by pad token {padding}, the tokenizer's is"
                    f" {tokenizer.pad_token_id}"
                )
            rows = rows - padding - 1
            break
    return min(rows, _whole(tokenizer.model_max_length))


def _whole(length: float) -> float:
    """A tokenizer's own limit; transformers writes 10³⁰ for none."""
    return length if length < 1e9 else math.inf


def train_wordpiece(texts: Iterable[str], vocab_size: int, max_length: int) -> PreTrainedTokenizerFast:
    """A lower-casing BERT WordPiece tokenizer trained on the given texts, which are gone through twice."""
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
    if unknown := [name for name in fields if name.startswith("_") or not hasattr(known, name)]:
        raise UserError(f"{field}.config.{unknown[0]}: a {kind} configuration has no such key")
    try:
        built = AutoConfig.for_model(kind, **fields, vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id)
        require_head(built, f"{field}.config.model_type")
        # Some mistakes show only in the model.
        require_size(built, AutoModelForSequenceClassification, f"{field}.config")
    except UserError:
        raise
    except Exception as error:  # each architecture refuses in its own way
        raise UserError(f"{field}.config: transformers cannot make it: {one_line(error)}") from error
    return built


def classifier(folder: Path, labels: list[str], attention: str | None = None) -> PreTrainedModel:
    """A sequence classifier from a model folder: its weights where it has some, else freshly initialised ones.

    It pools as the folder's configuration says (pooling.py), and its token embeddings are frozen where that says so.
    attention: transformers' attn_implementation; None leaves the choice to transformers.
    """
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False, **classes(labels))
    config.problem_type = "single_label_classification"
    kinds = AutoModelForSequenceClassification
    if Path(folder, "model.safetensors").is_file():
        model = kinds.from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            attn_implementation=attention,
        )
    else:
        model = kinds.from_config(config, trust_remote_code=False, attn_implementation=attention)
    heed_pooling(model)
    if getattr(config, "freeze", None):
        freeze_embeddings(model)
    return model


def freeze_embeddings(model: PreTrainedModel) -> None:
    """Keep the table of token embeddings as it is, in place: no gradient of it, no optimizer's state, no direction."""
    model.get_input_embeddings().weight.requires_grad_(False)


def classes(labels: list[str]) -> dict:
    """What a configuration says of a task's classes."""
    return {
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels)),
        "label2id": {name: index for index, name in enumerate(labels)},
    }


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model folder."""
    return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
