"""Make a folder to run benchmarks.stages or benchmarks.directions in: this project's settings, some of them changed.

    PYTHONPATH=src python -m benchmarks.workspace ../trec -S task=trec -S 'seeds=[11,12]' -S teacher_warmup.epochs=6
    PYTHONPATH=src python -m benchmarks.workspace ../trec --settings benchmarks/tables/few.yaml -S task=trec-few
    cd ../trec && PYTHONPATH=$REPO/src:$REPO python -m benchmarks.stages

The project's own params.yaml and work/ stay as they are; cards, their files and checkpoints are links to its own. REPO:
its full path. -S is as in `dvc exp run -S`: a key that params.yaml has, and its value in YAML.
"""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from ruamel.yaml import YAML

from lgtm.config import flat, parse, parse_yaml, read_yaml
from lgtm.errors import UserError
from lgtm.params import Params

ROOT = Path(__file__).parents[1]
LINKED = ("tasks", "pairs", "checkpoints")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--settings", type=Path, metavar="FILE", help="YAML of settings, applied before those of -S")
    parser.add_argument("-S", dest="changes", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    make(options.folder, options.changes, read_yaml(options.settings) if options.settings else {})


def make(folder: Path, changes: list[str], settings: dict | None = None) -> None:
    """Write params.yaml and the links. Raises UserError for a setting that params.yaml does not have or take."""
    params = read_yaml(ROOT / "params.yaml")
    for key, value in flat(settings or {}):
        put(params, key, value)
    put_all(params, changes)
    parse(Params, params, "-S")
    folder.mkdir(parents=True, exist_ok=True)
    YAML(typ="safe", pure=True).dump(params, folder / "params.yaml")
    for name in LINKED:
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)


def put_all(params: dict, changes: Iterable[str]) -> None:
    """Change settings in place, each as -S gives it. Raises UserError as put does."""
    for change in changes:
        key, _, value = change.partition("=")
        put(params, key, parse_yaml(f"value: {value}", Path("-S"))["value"])


def put(params: dict, key: str, value) -> None:
    """Change a setting in place. Raises UserError where there is none of this name: a typo would change nothing."""
    *parents, last = key.split(".")
    section = params
    for parent in parents:
        section = section.get(parent) if isinstance(section, dict) else None
    if not isinstance(section, dict) or last not in section:
        raise UserError(f"-S {key}: params.yaml has no such key")
    section[last] = value


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
