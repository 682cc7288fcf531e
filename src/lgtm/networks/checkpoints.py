"""Checkpoints as the world has them: to a pretrained network and its tokenizer, or to one line that says what is wrong.

Every function takes `field`, the place in the pair's card that names the checkpoint, and raises UserError.
"""

import json
import re
from pathlib import Path
from typing import Any

import psutil
import torch
from huggingface_hub import snapshot_download
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import (
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from lgtm.errors import UserError, one_line

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
# What a repository's top folder has of a network, its tokenizer included. No code, and nothing that is pickled.
NETWORK_FILES = [WEIGHTS, INDEX, "model-*-of-*.safetensors", "*.json", "*.txt", "*.model"]
ADAPTER = "adapter_config.json"
# A file of weights in the index, beside it.
SHARD = re.compile(r"[\w-][\w.-]*\.safetensors")
MOST_LAYERS = 1000
# Lists in configurations that have nothing to do with layers, however long they are.
NOT_BY_LAYER = {"architectures", "languages", "pos_att_type"}


def load_encoder(checkpoint: str, revision: str | None, field: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The pretrained encoder and tokenizer of a checkpoint, a hub id with a commit or a folder without.

    Weights come from that commit's or folder's own safetensors files, all of them, and no code of the checkpoint runs.
    A pooler may be missing: many checkpoints have none, and it is learnt anyway.
    """
    return _load(AutoModel, checkpoint, revision, field, optional="pooler")


def load_classifier(source: str, revision: str | None, field: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The fine-tuned sequence classifier and tokenizer of a checkpoint, as load_encoder; nothing may be missing."""
    return _load(AutoModelForSequenceClassification, source, revision, field)


def _load(kinds, source: str, revision: str | None, field: str, optional: str | None = None):
    """kinds: transformers' class that makes the network; optional: in the names of weights that may be missing."""
    where = f"{field}: {source}"
    folder = _local_copy(source, revision, field)
    _require_whole_files(folder, where)
    _require_no_code_of_others(folder, where)
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        require_head(config, field)
        require_size(config, kinds, where)
        network, found = kinds.from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # which are told below
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except UserError:
        raise
    except Exception as error:  # what a file can be wrong in, and what transformers raises then, has no end
        if "trust_remote_code" in str(error):
            raise UserError(f"{where} needs code of its own (auto_map), and none is run here") from error
        raise UserError(f"{where}: cannot load it: {one_line(error)}") from error
    _require_weights(network, found, where, optional)
    _require_tokenizer(tokenizer, network, where)
    return network, tokenizer


def require_head(config: PreTrainedConfig, field: str) -> None:
    """Raise UserError for a network that transformers has no sequence classifier of."""
    if type(config) not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        raise UserError(f"{field}: transformers has no sequence classifier of a {config.model_type} network")


def require_size(config: PreTrainedConfig, kinds, where: str) -> None:
    """Raise UserError for a network of more layers than any has, or whose weights are more than this machine's memory.

    kinds: transformers' class that makes the network. Nothing of its size is made: it is put together on torch's meta
    device, whose tensors have no content.
    """
    for name, value in vars(config).items():
        if re.search("layers?$|groups?$|group_num$", name) and type(value) is int and value > MOST_LAYERS:
            raise UserError(f"{where}: {name} is {value}; expected at most {MOST_LAYERS}")
    with torch.device("meta"):
        network = kinds.from_config(config, trust_remote_code=False)
    size, memory = 4 * sum(weight.numel() for weight in network.parameters()), psutil.virtual_memory().total
    if size > memory:
        raise UserError(f"{where}: its weights take {size / 1e9:.0f} GB, and this machine has {memory / 1e9:.0f} GB")


def _require_no_code_of_others(folder: Path, where: str) -> None:
    """Raise UserError where transformers would turn to the hub: for what an adapter goes on, for attention's code."""
    if (folder / ADAPTER).exists():
        raise UserError(f"{where}: is an adapter ({ADAPTER}), not a network; merge it into its own and save that")
    config = _json(folder / "config.json", where)
    for name, value in config.items():
        if "attn_implementation" in name and "/" in str(value):
            raise UserError(f"{where}: config.json has {name} {value!r}, code from the hub, and none is run here")


def _json(path: Path, where: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: {path.name} is not valid JSON: {one_line(error)}") from error
    if not isinstance(content, dict):
        raise UserError(f"{where}: {path.name} is not a mapping of keys to values")
    return content


def _local_copy(source: str, revision: str | None, field: str) -> Path:
    """The folder of a checkpoint; of one from the hub, the cached files of exactly that commit.

    Everything is read from this folder: transformers, given a hub id, may also turn to the repository's pull requests.
    """
    if revision is None:
        folder = Path(source)
        if not (folder / "config.json").is_file():
            raise UserError(f"{field}: no folder {source} with config.json, {WEIGHTS} and tokenizer")
    else:
        try:
            folder = Path(
                snapshot_download(source, revision=revision, allow_patterns=NETWORK_FILES, ignore_patterns=["*/*"])
            )
        except Exception as error:  # of the hub, its cache, or the network between
            raise UserError(f"{field}: cannot load {source!r}: {one_line(error)}") from error
    if not (folder / WEIGHTS).is_file() and not (folder / INDEX).is_file():
        at = f" at {revision}" if revision else ""
        raise UserError(f"{field}: {source}{at} has no {WEIGHTS}, and no other weights are read")
    return folder


def _require_whole_files(folder: Path, where: str) -> None:
    """Raise UserError for a file of weights that is missing, torn, or stands for one that was not fetched."""
    names = [WEIGHTS]
    if not (folder / WEIGHTS).is_file():
        weights = _json(folder / INDEX, where).get("weight_map")
        if not isinstance(weights, dict) or not weights:
            raise UserError(f"{where}: {INDEX} has no weight_map of weights to files")
        names = sorted(set(map(str, weights.values())))
    for name in names:
        if not SHARD.fullmatch(name):
            raise UserError(f"{where}: {INDEX} names {name!r}; expected .safetensors files beside it, and no others")
        path = folder / name
        if not path.is_file():
            raise UserError(f"{where}: no {name} there, which {INDEX} names")
        with path.open("rb") as file:
            if file.read(20) == b"version https://git-":
                raise UserError(f"{where}: {name} is a Git LFS pointer, not the weights; run git lfs pull there")
        try:
            with safe_open(path, "pt"):
                pass
        except SafetensorError as error:
            raise UserError(f"{where}: {name} is not a whole safetensors file: {one_line(error)}") from error


def _require_weights(network: PreTrainedModel, found: dict, where: str, optional: str | None) -> None:
    """Raise UserError for weights that the file lacks, has in another shape, or that are not numbers.

    found: transformers' loading info.
    """
    for name, in_file, wanted in sorted(found["mismatched_keys"]):
        raise UserError(f"{where}: {name} is {_shape(in_file)} in the file and {_shape(wanted)} by config.json")
    missing = sorted(name for name in found["missing_keys"] if optional is None or optional not in name)
    if missing:
        surplus = sorted(found["unexpected_keys"])
        instead = f"; the file has {surplus[0]!r}" if surplus else ""
        raise UserError(
            f"{where}: {len(missing)} of {len(network.state_dict())} weights are missing from the file,"
            f" such as {missing[0]!r}{instead}"
        )
    for name, weight in network.named_parameters():
        if not torch.isfinite(weight).all():
            raise UserError(f"{where}: {name} has values that are not finite")


def _shape(sizes) -> str:
    return " x ".join(map(str, sizes))


def _require_tokenizer(tokenizer: PreTrainedTokenizerBase, network: PreTrainedModel, where: str) -> None:
    """Raise UserError for a tokenizer that knows no words, or more than the network, or cannot pad."""
    vocabulary = tokenizer.get_vocab()
    if set(vocabulary) <= set(tokenizer.all_special_tokens):
        raise UserError(f"{where}: no tokenizer there: its vocabulary has special tokens alone; add tokenizer.json")
    if tokenizer.pad_token is None:
        raise UserError(f"{where}: the tokenizer has no pad token; name one in tokenizer_config.json")
    try:
        rows = len(network.get_input_embeddings().weight)
    except NotImplementedError as error:
        raise UserError(f"{where}: a {network.config.model_type} network has no table of token embeddings") from error
    if (last := max(vocabulary.values())) >= rows:
        raise UserError(f"{where}: the tokenizer numbers its tokens to {last}, the network's end at {rows - 1}")


def keep_layers(network: PreTrainedModel, layers: list[int], max_length: int, field: str) -> PreTrainedModel:
    """The encoder or classifier made of these of its layers, in that order.

    max_length: of the texts that it has to read as before. Raises UserError where the layers make no network.
    """
    config, depth = network.config, network.config.num_hidden_layers
    if bad := [layer for layer in layers if layer >= depth]:
        raise UserError(f"{field}.layers: the checkpoint has layers 0 to {depth - 1}, found {bad[0]}")
    _cut_lists(network, depth, layers)
    for name, value in list(vars(config).items()):
        if isinstance(value, (list, tuple)) and len(value) == depth and name not in NOT_BY_LAYER:
            setattr(config, name, [value[layer] for layer in layers])
    try:
        config.num_hidden_layers = len(layers)
        return _made_again(network, max_length)
    except Exception as error:  # each architecture fails in its own way
        kind = config.model_type
        raise UserError(f"{field}.layers: layers {layers} make no {kind} network: {one_line(error)}") from error


def _cut_lists(module: nn.Module, depth: int, layers: list[int]) -> None:
    """Cut the lists of layers and their counts, but not lists inside a layer that happen to be as long."""
    for name, value in list(vars(module).items()):
        if "layers" in name and value == depth:
            setattr(module, name, len(layers))
    for name, child in module.named_children():
        if not isinstance(child, nn.ModuleList):
            _cut_lists(child, depth, layers)
        elif len(child) == depth:
            setattr(module, name, nn.ModuleList(child[layer] for layer in layers))


@torch.no_grad()
def _made_again(network: PreTrainedModel, max_length: int) -> PreTrainedModel:
    """The network that its configuration and weights make, which are all that is written of it.

    Raises ValueError where it does not compute the same: what a layer does may depend on its number. ModernBERT's first
    has no norm, some attend to neighbours alone. Weights that fit no longer and matter for nothing are drawn anew.
    """
    with torch.random.fork_rng(devices=[]):
        again = type(network)._from_config(network.config).eval()
    wanted = again.state_dict()
    kept = {name: value for name, value in network.state_dict().items() if name in wanted}
    again.load_state_dict(
        {name: value for name, value in kept.items() if value.shape == wanted[name].shape}, strict=False
    )
    tokens = torch.arange(max_length)[None] % len(network.get_input_embeddings().weight)
    was, now = (each.base_model(tokens)[0] for each in (network.eval(), again))
    if not torch.allclose(was, now, atol=1e-5):
        raise ValueError("what they compute depends on their places in the checkpoint")
    return again
