"""What a cell's result stands on, as one digest: what dvc.yaml says the cell depends on, and what it runs on."""

import hashlib
import json
import platform
import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lgtm.inputs import altered, digest

GRAPH, PARAMS = Path("dvc.yaml"), Path("params.yaml")
OWN = Path(__file__).parent  # the modules that no stage depends on, among them what reads the settings
LIBRARIES = ("torch", "transformers", "tokenizers", "accelerate", "numpy", "pandas", "safetensors")
Stamp = tuple[str, int, int, int]


class Premises:
    """Of one cell: the files and parameters that dvc.yaml names for it, as they are when this is made.

    Raises whatever is wrong with the settings or with dvc.yaml.
    """

    def __init__(self, script: str, arguments: dict[str, int | str]):
        params = _parsed(PARAMS)
        names = {f"item.{name}": value for name, value in arguments.items()} | {
            name: params[name] for name in ("task", "pair")
        }
        stage = _filled(_parsed(GRAPH)["stages"][script], names)
        self.paths = [Path(each) for each in stage["deps"]] + [OWN]
        self.settings = [script, arguments, [_settings(each, params) for each in stage["params"]]]
        self.stamps = list(self._stamps())

    def digest(self) -> str | None:
        """In hexadecimal; None where files or code are no longer what they were: nobody knows what of them was read."""
        if altered():
            return None
        files = [[str(path), digest(path)] for path in self._files()]
        if list(self._stamps()) != self.stamps:
            return None
        return hashlib.sha256(json.dumps([self.settings, files, machine()]).encode()).hexdigest()

    def _files(self) -> Iterator[Path]:
        for path in self.paths:
            found = sorted(path.rglob("*")) if path.is_dir() else [path]
            # Of the package's own folder, its rooms are dependencies of those that name them.
            own = (each for each in found if path != OWN or each.parent == OWN)
            yield from (each for each in own if each.is_file() and each.suffix != ".pyc")

    def _stamps(self) -> Iterator[Stamp]:
        """What changes in a file's entry when the file does: by it one sees without reading."""
        for path in self._files():
            found = path.stat()
            yield str(path), found.st_size, found.st_mtime_ns, found.st_ctime_ns


def machine() -> list[str | int]:
    """What the bytes of a result depend on besides: versions, device, threads."""
    import torch

    on_gpu = torch.cuda.is_available()
    device = torch.cuda.get_device_name() if on_gpu else torch.backends.cpu.get_cpu_capability()
    return [platform.python_version(), *map(version, LIBRARIES), device, torch.get_num_threads()]


def _parsed(path: Path) -> dict[str, Any]:
    """The content of a YAML file that the stage itself reads, watches and finds fault with where it has to."""
    from lgtm.config import parse_yaml  # not where a stage starts: without its environment it has a line to say

    return parse_yaml(path.read_text(encoding="utf-8"), path)


def _filled(tree: Any, names: dict[str, Any]) -> Any:
    """A part of dvc.yaml with the values of this cell in place of ${...}; other names stay."""
    if isinstance(tree, dict):
        return {_filled(key, names): _filled(value, names) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_filled(each, names) for each in tree]
    if isinstance(tree, str):
        return re.sub(r"\$\{(.*?)\}", lambda found: str(names.get(found[1], found[0])), tree)
    return tree


def _settings(entry: str | dict[str, list[str] | None], params: dict[str, Any]) -> Any:
    """The values that an entry of a stage's `params` names: a key of params.yaml, or a file with its keys or all."""
    if isinstance(entry, str):
        return [entry, _value(params, entry)]
    return [
        [name, content if keys is None else [[key, _value(content, key)] for key in keys]]
        for name, keys in entry.items()
        for content in [params if name == str(PARAMS) else _parsed(Path(name))]
    ]


def _value(content: dict[str, Any], key: str) -> Any:
    for part in key.split("."):
        content = content[part]
    return content
