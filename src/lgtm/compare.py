"""Runs side by side, on a screen: what they change, and the figures that were made with it.

PYTHONPATH=src python -m lgtm.compare [--on selection]

An experiment of DVC carries the files of figures that are committed until its own are written: a run that failed, that
has not ended or that stopped at selection would be shown with figures of another. So a file of figures says of which
settings it is (`of`), and only those of a run's own settings are shown.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from lgtm.config import parse_yaml, settings_of
from lgtm.errors import UserError, visible

FILES = {"test": "reports/summary.json", "selection": "reports/selection.json"}
WORKSPACE = "workspace"


class Run(NamedTuple):
    """A run: its settings, flat (keys as in `dvc exp run -S`), and its figures; none where it has none of its own."""

    name: str
    state: str
    settings: dict[str, Any]
    figures: dict[str, Any]


def read_run(name: str, state: str, revision: str, on: str) -> Run:
    """What a revision of git, or the workspace, says of a run. Raises UserError for a file that is not YAML."""
    params = parse_yaml(_content(revision, "params.yaml"), Path("params.yaml"))
    cards = [f"pairs/{params.get('pair')}.yaml", f"tasks/{params.get('task')}/task.yaml"]
    try:
        own = settings_of(params, *(parse_yaml(_content(revision, card), Path(card)) for card in cards))
        figures = json.loads(_content(revision, FILES[on]))
    except (FileNotFoundError, json.JSONDecodeError):
        return Run(name, state or "no figures", flat(params), {})
    if figures.pop("of", None) != own:
        return Run(name, state or "not its figures", flat(params), {})
    # Lists are what the report says in words.
    shown = {name: value for name, value in figures.get(on, figures).items() if not isinstance(value, list)}
    return Run(name, state, flat(params), shown)


def table(runs: list[Run]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: what a run changes of the first one's settings, and its figures."""
    base = runs[0].settings
    columns = list(dict.fromkeys(name for run in runs for name in run.figures))
    rows = []
    for run in runs:
        changes = [f"{key}={_shown(value)}" for key, value in run.settings.items() if base.get(key) != value]
        figures = [_shown(run.figures.get(column, "–" if run.figures else "")) for column in columns]
        rows.append([run.name, "\n".join([*changes, *([] if run.figures else [f"({run.state})"])]), *figures])
    return ["run", "changes", *columns], rows


def flat(settings: dict, prefix: str = "") -> dict[str, Any]:
    """Nested settings as one mapping, keys joined by dots."""
    found = {}
    for key, value in settings.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return found


def _content(revision: str, path: str) -> str:
    if revision == WORKSPACE:
        return Path(path).read_text(encoding="utf-8")
    shown = subprocess.run(["git", "show", f"{revision}:{path}"], capture_output=True, text=True)
    if shown.returncode:
        raise FileNotFoundError(path)
    return shown.stdout


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return str(value).replace(" ", "")
    return f"{value:g}" if isinstance(value, float) else str(value)


def main() -> None:
    """Print the committed run, the workspace and every experiment of the present commit."""
    from dvc.api import exp_show
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--on", choices=FILES, default="test", help="the role whose figures are shown")
    on = parser.parse_args().on
    rows = [row for row in exp_show() if row["rev"] != WORKSPACE]
    runs = [read_run("workspace", "", WORKSPACE, on)]
    runs += [read_run(row["Experiment"] or row["rev"], row["State"] or "", row["rev"], on) for row in rows]
    header, lines = table(runs[1:] + runs[:1])
    shown = Table(Column(header[0], no_wrap=True), Column(header[1], overflow="fold"), *header[2:])
    for line in lines:
        shown.add_row(*(Text("\n".join(map(visible, cell.split("\n")))) for cell in line))
    Console(width=None if sys.stdout.isatty() else 200).print(shown)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
