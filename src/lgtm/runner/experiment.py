"""A run of cells as a DVC experiment: settings that are changed before it, and a name under which it is kept."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dvc.exceptions import InvalidArgumentError
from dvc.repo import Repo
from dvc.repo.experiments.refs import ExpRefInfo
from dvc.repo.experiments.utils import check_ref_format
from dvc.utils.hydra import apply_overrides
from ruamel.yaml.error import YAMLError

from lgtm.demands import load_settings
from lgtm.errors import UserError, one_line
from lgtm.params import load_params
from lgtm.runner.graph import Graph, dvc_errors
from lgtm.runner.rwlock import running

PARAMS = Path("params.yaml")


def change(settings: Sequence[str]) -> None:
    """Write settings into params.yaml as `dvc exp run -S` does, and leave them there.

    Raises UserError, and writes nothing, for what -S does not take, a key that params.yaml has not, a value that it
    does not take, or a card that is not there; nor while another process runs a stage with the settings of before.
    """
    with dvc_errors(), Repo() as repo:
        if other := running(repo):
            raise UserError(
                f"-S {' '.join(settings)}: {other['cmd']} (process {other['pid']}) runs a stage in this folder with the"
                " settings as they are; wait for it or stop it"
            )
    with tempfile.TemporaryDirectory(dir=".") as folder:
        changed = overridden(settings, Path(folder))
        try:
            load_settings(changed)
        except UserError as error:
            raise UserError(f"-S: {str(error).removeprefix(f'{changed}: ')}") from error
        changed.replace(PARAMS)


def overridden(settings: Sequence[str], folder: Path) -> Path:
    """A copy of params.yaml in the folder, with these settings. Raises UserError for what -S does not take."""
    load_params(PARAMS)
    changed = Path(shutil.copy(PARAMS, folder))
    try:
        apply_overrides(changed, list(settings))
    except (InvalidArgumentError, YAMLError) as error:  # the second where a value, such as range(1,3), is no YAML
        raise UserError(f"-S {' '.join(settings)}: {one_line(error.__cause__ or error)}") from error
    return changed


def require_free(name: str) -> None:
    """Raise UserError where DVC takes no such name, or an experiment of this commit has it: it would be lost."""
    if not name:
        raise UserError("--name: should be the name of an experiment (found '')")
    with dvc_errors(), Repo() as repo:
        commit = repo.scm.get_rev()
        check_ref_format(repo.scm, ExpRefInfo(commit, name))
        if any(name == taken for taken, _ in repo.experiments.ls().get(commit, [])):
            raise UserError(f"--name {name}: there is an experiment of this name; dvc exp remove {name} forgets it")


def keep(name: str) -> None:
    """Keep the folder as it is, settings and results, as a DVC experiment; raises UserError where DVC cannot.

    DVC commits every stage by force: what is not up to date would stand in dvc.lock, and in the run-cache for good, as
    made of the settings, code and files of now. So that is an error too.
    """
    graph = Graph()
    if stale := sorted(graph.changed(graph.stages)):
        raise UserError(f"--name {name}: not kept: {stale[0]} is out of date, files have changed; run it again")
    with dvc_errors(), Repo() as repo:
        repo.experiments.save(name=name)
