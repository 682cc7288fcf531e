"""A run of cells as a DVC experiment: settings that are changed before it, and a name under which it is kept."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dvc.exceptions import InvalidArgumentError
from dvc.repo import Repo
from dvc.utils.hydra import apply_overrides

from lgtm.errors import UserError, one_line
from lgtm.params import load_params
from lgtm.runner.graph import dvc_errors

PARAMS = Path("params.yaml")


def change(settings: Sequence[str]) -> None:
    """Write settings into params.yaml as `dvc exp run -S` does, and leave them there.

    Raises UserError, and writes nothing, for what -S does not take, a key that params.yaml has not or a value that it
    does not take.
    """
    load_params(PARAMS)
    with tempfile.TemporaryDirectory(dir=".") as folder:
        changed = Path(shutil.copy(PARAMS, folder))
        try:
            apply_overrides(changed, list(settings))
        except InvalidArgumentError as error:
            raise UserError(f"-S {' '.join(settings)}: {one_line(error.__cause__ or error)}") from error
        try:
            load_params(changed)
        except UserError as error:
            raise UserError(f"-S{str(error).removeprefix(str(changed))}") from error
        changed.replace(PARAMS)


def require_free(name: str) -> None:
    """Raise UserError where an experiment of this commit has the name: it would be lost."""
    with dvc_errors(), Repo() as repo:
        if any(name == taken for taken, _ in repo.experiments.ls().get(repo.scm.get_rev(), [])):
            raise UserError(f"--name {name}: there is an experiment of this name; dvc exp remove {name} forgets it")


def keep(name: str) -> None:
    """Keep the folder as it is, settings and results, as a DVC experiment; raises UserError where DVC cannot."""
    with dvc_errors(), Repo() as repo:
        repo.experiments.save(name=name)
