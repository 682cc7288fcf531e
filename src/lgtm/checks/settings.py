"""The settings of a run: params.yaml and the two cards that it names, all that is wrong in them."""

from pathlib import Path
from typing import NamedTuple

from lgtm import processes
from lgtm.checks.findings import Findings
from lgtm.config import read_yaml
from lgtm.data.tasks import TaskCard, load_card
from lgtm.demands import what_cannot_be_done
from lgtm.errors import UserError
from lgtm.networks.pairs import PairCard, load_pair
from lgtm.params import Params, load_params


class Settings(NamedTuple):
    """All that a user sets; None for what cannot be read."""

    params: Params | None
    card: TaskCard | None
    pair: PairCard | None


def look_at_settings(found: Findings, path: Path = Path("params.yaml")) -> Settings:
    """Read and validate the settings, each file by itself, and hold what arms ask for against the pair."""
    params, card, pair = None, None, None
    with found.collecting():
        params = load_params(path)
    task, name = (params.task, params.pair) if params else _names(path)
    if task:
        with found.collecting():
            card = load_card(Path("tasks") / task)
    if name:
        with found.collecting():
            pair = load_pair(name)
    with found.collecting():
        processes.asked()
    if params and pair:
        found.problems += what_cannot_be_done(pair, params)
    if params and params.precision == "fp16":
        with found.collecting():
            _require_precision(params.precision)
    return Settings(params, card, pair)


def _names(path: Path) -> tuple[str | None, str | None]:
    """The task and the pair that a params.yaml with mistakes names; None for what is no name."""
    try:
        written = read_yaml(path)
    except UserError:
        return None, None
    names = [written.get(key) for key in ("task", "pair")]
    task, pair = (name if isinstance(name, str) and name and not set(name) & set("/\\\0") else None for name in names)
    return task, pair


def _require_precision(precision: str) -> None:
    from lgtm.networks.descent import require_precision  # imports transformers: four seconds

    require_precision(precision)
