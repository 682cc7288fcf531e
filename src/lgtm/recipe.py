"""Write a recipe's lengths of training into params.yaml, and print what changed. Comments stay.

PYTHONPATH=src python -m lgtm.recipe 350
"""

import argparse
import sys
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from lgtm.config import flat, parse, read_yaml
from lgtm.errors import UserError
from lgtm.params import Params

RECIPES = Path("recipes")
PARAMS = Path("params.yaml")


def main() -> None:
    """Apply the recipe that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="a file of recipes/: the number of rows that it is for")
    changes = apply(parser.parse_args().name)
    for key, (before, after) in changes.items():
        print(f"{key}: {before} -> {after}")
    if not changes:
        print(f"{PARAMS} has all of it already")


def apply(name: str) -> dict[str, tuple[Any, Any]]:
    """Write a recipe's values into params.yaml. Returns what changed, by key: the value before and after.

    Raises UserError, and writes nothing, for a recipe that is not there or has a key that params.yaml has not.
    """
    recipe = load_recipe(name)
    yaml = _as_written()
    read_yaml(PARAMS)  # which says in one line what is wrong with the file
    params = yaml.load(PARAMS.read_text(encoding="utf-8"))
    changes = {}
    for key, value in recipe.items():
        *parents, last = key.split(".")
        section = params
        for parent in parents:
            section = section.get(parent) if isinstance(section, dict) else None
        if not isinstance(section, dict) or last not in section:
            raise UserError(f"{RECIPES / name}.yaml: {key}: {PARAMS} has no such key")
        if section[last] != value:
            changes[key] = (section[last], value)
            section[last] = value
    text = StringIO()
    yaml.dump(params, text)
    parse(Params, YAML(typ="safe", pure=True).load(text.getvalue()), RECIPES / f"{name}.yaml")
    PARAMS.write_text(text.getvalue(), encoding="utf-8")
    return changes


def load_recipe(name: str, folder: Path = RECIPES) -> dict[str, Any]:
    """The values of a recipe by key, as in `dvc exp run -S`. Raises UserError, with those there are, for no recipe."""
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted((each.stem for each in folder.glob("*.yaml")), key=lambda stem: (len(stem), stem)))
        raise UserError(f"no recipe {path}; there are {known or 'none'}: take the one nearest to your rows")
    return dict(flat(read_yaml(path)))


def _as_written() -> YAML:
    """YAML that is written as it was read, comments and null included."""
    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 2**16
    null = "tag:yaml.org,2002:null"
    yaml.representer.add_representer(type(None), lambda representer, _: representer.represent_scalar(null, "null"))
    return yaml


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
