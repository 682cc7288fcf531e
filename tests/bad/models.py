"""Pairs, and checkpoints as they lie in a folder."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

from tiny_project import NETWORK, PAIR

from bad.artifacts import empty, half
from bad.bench import DROP, Case

MINE = "checkpoints/mine"
WEIGHTS, INDEX = f"{MINE}/model.safetensors", f"{MINE}/model.safetensors.index.json"
PAIRS = [
    # what of the card, its value, what the line says
    ("description", DROP, "description: missing"),
    ("teacher", DROP, "teacher: missing"),
    ("teacher", {}, "teacher: give one of checkpoint, classifier, config, mean and predictions"),
    ("student.learning_rate", DROP, "student.learning_rate: missing"),
    ("student.learning_rate", 1e-300, "student.learning_rate: input should be greater than or equal to "),
    ("student.learning_rate", 1e3, "student.learning_rate: input should be less than or equal to 1"),
    ("student.learning_rate", float("inf"), "student.learning_rate: input should be a finite number"),
    ("student.pooling", "max", "student.pooling: input should be 'cls' or 'mean'"),
    ("student.layers", [0], "student: revision and layers go with a checkpoint or a classifier"),
    ("student.checkpoint", MINE, "student: give one of checkpoint, classifier and config"),
    ("tokenizer", DROP, "tokenizer goes with a config"),
    ("tokenizer.vocab_size", 10**9, "tokenizer.vocab_size: input should be less than or equal to 1000000"),
    ("tokenizer.vocab_size", 0, "tokenizer.vocab_size: input should be greater than or equal to 100"),
    ("student.config.model_type", "bret", "student.config.model_type: 'bret' is not a transformers model type"),
    ("student.config.model_type", DROP, "student: config needs a model_type, such as bert"),
    ("student.config", {"model_type": "clip"}, "student.config.model_type: transformers has no sequence classifier"),
    ("student.config.layers", 3, "student.config.layers: a bert configuration has no such key"),
    ("student.config._attn_implementation", "a/b", "student.config._attn_implementation: a bert configuration has no"),
    ("student.config.num_hidden_layers", 10**6, "student.config: num_hidden_layers is 1000000; expected at most 1000"),
    ("student.config.num_hidden_layers", "two", "student.config: "),
    ("student.config.num_attention_heads", 3, "student.config: "),
    ("student.config.num_attention_heads", 0, "student.config: "),
    ("student.config.hidden_size", -16, "student.config: "),
    ("student.config.hidden_size", 10**9, "student.config: its weights take "),
    ("student.config.intermediate_size", 10**12, "student.config: its weights take "),
    ("student.config.max_position_embeddings", 10**12, "student.config: its weights take "),
    (
        "student.config.max_position_embeddings",
        8,
        "student: the network takes 8 tokens, less than the task's max_length",
    ),
    ("student.config.hidden_act", "exec", "student.config: "),
    ("teacher", {"mean": [PAIR["teacher"]]}, "teacher.mean: list should have at least 2 items"),
    (
        "teacher",
        {"mean": [PAIR["teacher"] | {"weight": 0.0}] * 2},
        "teacher.mean.0.weight: input should be greater than",
    ),
    (
        "teacher",
        {"checkpoint": "bert-base-uncased", "learning_rate": 1e-4},
        "a hub checkpoint needs the revision it is",
    ),
    ("teacher", {"checkpoint": "/etc", "learning_rate": 1e-4}, "a hub checkpoint needs the revision it is pinned to"),
    ("teacher", {"checkpoint": "a/b", "revision": "main", "learning_rate": 1e-4}, "a commit hash of 40 digits"),
    (
        "teacher",
        {"checkpoint": "checkpoints/../../x", "learning_rate": 1e-4},
        "leads out of checkpoints/; link or copy",
    ),
    (
        "teacher",
        {"checkpoint": "checkpoints/none", "learning_rate": 1e-4},
        "no folder checkpoints/none with config.json",
    ),
    (
        "teacher",
        {"checkpoint": MINE, "revision": "a" * 40, "learning_rate": 1e-4},
        "a local checkpoint has no revision",
    ),
    ("teacher", {"classifier": MINE, "learning_rate": 1e-4, "labels": {"LABEL_0": "odd"}}, "'odd' is no class of the"),
    ("teacher", {"classifier": MINE, "learning_rate": 1e-4}, "the classifier's labels (LABEL_0, LABEL_1) are not the"),
]
SCRATCH = {"student": {"config": NETWORK | {"hidden_size": 16, "intermediate_size": 32}, "learning_rate": 1e-3}}


def save(path: Path) -> None:
    """A checkpoint in the folder of the path, whole."""
    import tiny

    tiny.model("bert", 2, vocab_size=300).save_pretrained(path.parent)
    tiny.tokenizer().save_pretrained(path.parent)


def then(change: Callable[[Path], None], name: str = "model.safetensors") -> Callable[[Path], None]:
    """A checkpoint in which one file is changed."""

    def changed(path: Path) -> None:
        save(path)
        change(path.parent / name)

    return changed


def config(**changes) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return then(change, "config.json")


def text(content: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(content) and None


def header(**tensors) -> Callable[[Path], None]:
    """A safetensors file of this header, with nothing behind it."""

    def write(path: Path) -> None:
        own = json.dumps(tensors).encode()
        path.write_bytes(struct.pack("<Q", len(own)) + own)

    return then(write)


def longest_header(path: Path) -> None:
    path.write_bytes(struct.pack("<Q", 2**63) + b"{}")


def index(**weights: str) -> Callable[[Path], None]:
    """Weights in other files, by an index."""

    def write(path: Path) -> None:
        (path.parent / "elsewhere.bin").write_bytes(path.read_bytes())
        path.unlink()
        (path.parent / Path(INDEX).name).write_text(json.dumps({"metadata": {}, "weight_map": weights}))

    return then(write)


def pickled(path: Path) -> None:
    """A pickle that makes a file when it is loaded, under every name that a loader might turn to."""
    import os
    import pickle

    class Evil:
        def __reduce__(self):
            return os.system, ("touch pwned",)

    save(path)
    path.unlink()
    for name in ("pytorch_model.bin", "model.bin", "pytorch_model-00001-of-00001.bin", "training_args.bin"):
        (path.parent / name).write_bytes(pickle.dumps(Evil()))


def pickle_by_name(path: Path) -> None:
    """The pickle named as the file of weights that is read."""
    pickled(path)
    (path.parent / "pytorch_model.bin").rename(path)


def code_of_its_own(path: Path) -> None:
    save(path)
    (path.parent / "own.py").write_text("open('pwned', 'w')\n")
    own = {"AutoConfig": "own.Config", "AutoModel": "own.Model", "AutoModelForSequenceClassification": "own.Model"}
    config(model_type="own", auto_map=own)(path)
    (path.parent / "own.py").write_text("open('pwned', 'w')\n")


def pointer(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")


FOLDERS = [
    # how the checkpoint is made, what the line says
    (then(Path.unlink), "has no model.safetensors, and no other weights are read"),
    (then(Path.unlink, "config.json"), f"no folder {MINE} with config.json"),
    (then(Path.unlink, "tokenizer.json"), f"{MINE}"),
    (then(half), "model.safetensors is not a whole safetensors file"),
    (then(empty), "model.safetensors is not a whole safetensors file"),
    (then(longest_header), "model.safetensors is not a whole safetensors file"),
    (then(pointer), "model.safetensors is a Git LFS pointer, not the weights; run git lfs pull there"),
    (then(text("{}"), "config.json"), "cannot load it: "),
    (then(text(""), "config.json"), "config.json is not valid JSON"),
    (then(text("[]"), "config.json"), "config.json is not a mapping of keys to values"),
    (then(half, "config.json"), "config.json is not valid JSON"),
    (then(half, "tokenizer.json"), "cannot load it: "),
    (then(text("{}"), "tokenizer.json"), f"{MINE}"),
    (then(text("{}"), "adapter_config.json"), "is an adapter (adapter_config.json), not a network; merge it"),
    (header(), "weights are missing from the file"),
    (header(a={"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}), "model.safetensors is not a whole safetensors"),
    (header(a={"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 0]}), "is not a whole safetensors file"),
    (config(model_type="own"), "cannot load it: "),
    (config(model_type="clip"), "transformers has no sequence classifier of a clip"),
    (config(hidden_size=32), f"{MINE}"),
    (config(hidden_size=10**9, num_attention_heads=1), "its weights take "),
    (config(vocab_size=10**10), "its weights take "),
    (config(vocab_size=10), f"{MINE}"),
    (config(num_hidden_layers=10**6), "num_hidden_layers is 1000000; expected at most 1000"),
    (config(num_hidden_layers=5), "weights are missing from the file, such as "),
    (config(attn_implementation="some/kernel"), "config.json has attn_implementation 'some/kernel', code from the hub"),
    (config(_attn_implementation="some/kernel"), "config.json has _attn_implementation 'some/kernel', code from the"),
    (config(quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True}), "cannot load it: "),
    (config(max_position_embeddings=8), f"{MINE}"),
    (code_of_its_own, "needs code of its own (auto_map), and none is run here"),
    (pickled, "has no model.safetensors, and no other weights are read"),
    (pickle_by_name, "model.safetensors is not a whole safetensors file"),
    (index(a="elsewhere.bin"), "index.json names 'elsewhere.bin'; expected .safetensors files beside it"),
    (index(a="../mine/x.safetensors"), "index.json names '../mine/x.safetensors'; expected .safetensors files beside"),
    (index(a="/etc/x.safetensors"), "index.json names '/etc/x.safetensors'; expected .safetensors files beside it"),
    (index(a="x.safetensors"), "no x.safetensors there, which model.safetensors.index.json names"),
    (index(), "model.safetensors.index.json has no weight_map"),
]
TAKEN = {"tokenizer": DROP, "teacher": {"checkpoint": MINE, "learning_rate": 1e-4}}
TAKEN |= {"student": {"checkpoint": MINE, "learning_rate": 1e-4}}
CASES = [
    *(
        Case(f"pair {n} {key} {value!r:.60}", ("pairs/tiny.yaml: ", says), pair={key: value}, files={WEIGHTS: save})
        for n, (key, value, says) in enumerate(PAIRS)
    ),
    *(
        Case(f"checkpoint {n} {says:.60}", ("pairs/tiny.yaml: teacher", says), pair=TAKEN, files={WEIGHTS: make})
        for n, (make, says) in enumerate(FOLDERS)
    ),
    Case(
        "the hub offline",
        ("pairs/tiny.yaml: teacher.checkpoint: cannot load 'some/model': ",),
        pair={"teacher": {"checkpoint": "some/model", "revision": "a" * 40, "learning_rate": 1e-4}},
    ),
]
