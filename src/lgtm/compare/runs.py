"""Runs side by side: what they change, and the figures that were made with it.

An experiment of DVC carries the files of figures that are committed until its own are written: a run that failed, that
has not ended or that stopped at selection would be shown with figures of another. So a file of figures says of which
settings it is (`of`), and only those of a run's own settings are shown.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from lgtm.config import cards, parse_yaml, settings_of
from lgtm.git import git

FILES = {"test": "reports/summary.json", "selection": "reports/selection.json"}
WORKSPACE = "workspace"
DONE, UNFINISHED = "done", "unfinished"


class Run(NamedTuple):
    """A run: its settings, flat (keys as in `dvc exp run -S`), and its figures; none where it has none of its own."""

    name: str
    state: str
    settings: dict[str, Any]
    figures: dict[str, Any]


def every_run(on: str) -> list[Run]:
    """The committed run, every experiment of the present commit, and the workspace; on: the role of the figures."""
    from dvc.api import exp_show

    rows = [row for row in exp_show() if row["rev"] != WORKSPACE]
    runs = [read_run(row["Experiment"] or row["rev"], row["State"] or "", row["rev"], on) for row in rows]
    return [*runs, read_run(WORKSPACE, "", WORKSPACE, on)]


def read_run(name: str, state: str, revision: str, on: str) -> Run:
    """What a revision of git, or the workspace, says of a run. Raises UserError for a file that is not YAML.

    state: what DVC says of it. One that has no figures of its own settings has failed, is running or queued, or is
    unfinished: it never ran, was stopped, or did not come as far as the role `on`.
    """
    params = parse_yaml(content(revision, "params.yaml"), Path("params.yaml"))
    unfinished = UNFINISHED if state in ("", "Success") else state.lower()
    try:
        own = settings_of(params, *(parse_yaml(content(revision, card), Path(card)) for card in cards(params)))
        figures = json.loads(content(revision, FILES[on]))
    except (FileNotFoundError, json.JSONDecodeError):
        return Run(name, unfinished, flat(params), {})
    if figures.pop("of", None) != own:
        return Run(name, unfinished, flat(params), {})
    # Lists are what the report says in words.
    few = {name: value for name, value in figures.get(on, figures).items() if not isinstance(value, list)}
    return Run(name, DONE, flat(params), few)


def table(runs: list[Run]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: what a run changes of the first one's settings, and its figures."""
    base = runs[0].settings
    columns = list(dict.fromkeys(name for run in runs for name in run.figures))
    rows = []
    for run in runs:
        changes = [f"{key}={shown(value)}" for key, value in run.settings.items() if base.get(key) != value]
        figures = [shown(run.figures.get(column, "–" if run.figures else "")) for column in columns]
        rows.append([run.name, run.state, "\n".join(changes), *figures])
    return ["run", "state", "changes", *columns], rows


def flat(settings: dict, prefix: str = "") -> dict[str, Any]:
    """Nested settings as one mapping, keys joined by dots."""
    found = {}
    for key, value in settings.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return found


def content(revision: str, path: str) -> str:
    """A text file of a revision. Raises FileNotFoundError."""
    if revision == WORKSPACE:
        return Path(path).read_text(encoding="utf-8")
    text = git("show", f"{revision}:{path}")
    if text is None:
        raise FileNotFoundError(path)
    return text


def shown(value: Any) -> str:
    """A setting or a figure as text."""
    if isinstance(value, list):
        return str(value).replace(" ", "")
    return f"{value:g}" if isinstance(value, float) else str(value)
