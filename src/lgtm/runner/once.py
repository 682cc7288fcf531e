"""What DVC does again for every stage that it looks at, done once: three seconds a cell where there are a hundred.

It parses params.yaml and dvc.lock, hashes the folders of code that all stages depend on, and writes its note of who
reads what three times. Parsing a text and hashing a path give the same as long as neither changes.
"""

import pickle
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any

import dvc.rwlock
import dvc.utils.serialize._yaml as dvc_yaml
import dvc.utils.strictyaml
from dvc.output import Output
from dvc.repo import Repo
from dvc.stage import Stage


def read_yaml_once() -> None:
    """Let DVC parse a YAML text once in this process and its forks: params.yaml for every stage, dvc.lock twice."""
    if hasattr(dvc_yaml.parse_yaml, "__wrapped__"):
        return
    parse = dvc_yaml.parse_yaml

    @cache
    def parsed(text: str, path: str) -> bytes:
        return pickle.dumps(parse(text, path))

    def parse_once(text: str, path: str, typ: str = "safe") -> Any:
        return pickle.loads(parsed(text, str(path))) if typ == "safe" else parse(text, path, typ)

    parse_once.__wrapped__ = parse
    dvc_yaml.parse_yaml = dvc.utils.strictyaml.parse_yaml = parse_once


@contextmanager
def one_look(repo: Repo, stages: Iterable[Stage]) -> Iterator[None]:
    """Read-lock all that the stages depend on and write, once, and hash each path once while this is open.

    It is for asking alone: what DVC would lock for each stage is locked already. repo.lock has to be held. Raises
    DVC's LockError where another process writes one of the paths.
    """
    paths = list(dict.fromkeys(item.fs_path for stage in stages for item in (*stage.deps, *stage.outs)))
    hashes: dict[str, Any] = {}
    ask = Output._get_hash_meta

    def ask_once(output: Output) -> Any:
        if output.fs_path not in hashes:
            hashes[output.fs_path] = ask(output)
        return hashes[output.fs_path]

    hardlink = repo.config["core"].get("hardlink_lock", False)
    with (
        dvc.rwlock.rwlock(repo.tmp_dir, repo.fs, " ".join(sys.argv), paths, [], hardlink),
        _replaced(dvc.rwlock, "rwlock", lambda *_: nullcontext()),
        _replaced(Output, "_get_hash_meta", ask_once),
    ):
        yield


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
