"""States on disk, whole or not at all, and without a pickle; where the random numbers are is one.

A state is a tree: nested dictionaries and lists of tensors and of what JSON has. Its file is safetensors, with the rest
of the tree as its metadata, and has the digest of its bytes in its name.
"""

import json
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lgtm.inputs import digest

# torch, numpy and safetensors are imported where they are used: a stage without networks needs none of them.

TENSOR = "tensor"  # the key of a dictionary that stands in JSON for a tensor
Tree = Any


@dataclass(frozen=True)
class Kept:
    """A unit's tree, the cell's clock then, whether the unit has ended, and the names of what it has put aside."""

    tree: Tree
    clock: float
    ended: bool = False
    asides: tuple[str, ...] = ()


def write(folder: Path, unit: str, kept: Kept) -> None:
    """Write a unit's file in place of the one before: a kill or a power cut leaves one of them whole.

    Raises OSError or SafetensorError where there is no room.
    """
    from safetensors.torch import save_file

    tensors: dict[str, Any] = {}
    content = {"tree": _apart(kept.tree, tensors), "clock": kept.clock, "ended": kept.ended, "asides": kept.asides}
    part = folder / f"{unit}.part"
    save_file(tensors, part, {"content": json.dumps(content)})
    new = folder / f"{unit}-{digest(part)}.safetensors"
    settle(part, new)
    for old in folder.glob(f"{unit}-*"):
        if old != new:
            old.unlink(missing_ok=True)


def whole(folder: Path, unit: str) -> Path | None:
    """The unit's file, the newest whose bytes have the digest of its name; a damaged one is as if it were not there."""
    files = sorted(folder.glob(f"{unit}-*.safetensors"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    return next((path for path in files if path.stem == f"{unit}-{digest(path)}"), None)


def read(folder: Path, unit: str) -> Kept | None:
    """What was written of a unit; None where nothing whole is there."""
    from safetensors import safe_open

    path = whole(folder, unit)
    if path is None:
        return None
    with safe_open(path, "pt") as file:
        content = json.loads(file.metadata()["content"])
        # A copy: in a mapped file they lie where no new tensor would, and some kernels may sum otherwise there.
        tree = _joined(content["tree"], lambda name: file.get_tensor(name).clone())
    return Kept(tree, content["clock"], content["ended"], tuple(content["asides"]))


def settle(part: Path, path: Path) -> None:
    """Give a file its name once its bytes are on the disk, and return when the name is."""
    _sync(part)
    part.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _apart(tree: Tree, tensors: dict[str, Any]) -> Tree:
    """The tree with the names of its tensors, which are added to `tensors`, in their place."""
    memory = set()

    def put(tensor):
        tensor, name = tensor.detach().contiguous(), str(len(tensors))
        place = tensor.untyped_storage().data_ptr()
        tensors[name] = tensor.clone() if place in memory else tensor  # safetensors refuses two that share theirs
        memory.add(place)
        return {TENSOR: name}

    return mapped(tree, put)


def mapped(tree: Tree, change: Callable[[Any], Any]) -> Tree:
    """The tree with its tensors changed."""
    if isinstance(tree, dict):
        return {name: mapped(each, change) for name, each in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [mapped(each, change) for each in tree]
    return change(tree) if hasattr(tree, "untyped_storage") else tree


def _joined(tree: Tree, tensor: Callable[[str], Any]) -> Tree:
    """What `_apart` has taken apart."""
    if isinstance(tree, dict):
        if set(tree) == {TENSOR}:
            return tensor(tree[TENSOR])
        return {name: _joined(each, tensor) for name, each in tree.items()}
    return [_joined(each, tensor) for each in tree] if isinstance(tree, list) else tree


def random_state() -> Tree:
    """Where all generators are that a stage draws from."""
    import numpy as np
    import torch

    kind, words, *rest = np.random.get_state()
    state = {"python": random.getstate(), "numpy": [kind, words.tolist(), *rest], "torch": torch.get_rng_state()}
    if torch.accelerator.is_available():
        state["device"] = torch.get_device_module().get_rng_state()
    return state


def set_random_state(state: Tree) -> None:
    """Put all generators where they were."""
    import numpy as np
    import torch

    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    kind, words, *rest = state["numpy"]
    np.random.set_state((kind, np.array(words, np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if "device" in state:
        torch.get_device_module().set_rng_state(state["device"])
