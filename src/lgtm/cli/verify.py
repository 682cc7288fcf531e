"""lgtm verify: whether results are still what dvc.lock says that was made."""

from pathlib import Path
from typing import Annotated

import typer

from lgtm.errors import UserError


def verify(
    paths: Annotated[list[str] | None, typer.Argument(help="Results, such as reports/summary.json; none: all.")] = None,
) -> None:
    """Hash anew what results stand on, and DVC's cache; print what no longer matches, and how to make it again."""
    from lgtm.runner.integrity import verify as look

    if not paths and not Path("work").is_dir():
        raise UserError("nothing has been run or pulled here: run make repro, or dvc pull where there is a remote")
    found = look(paths or ())
    missing = f", {found.not_cached:,} are not there" if found.not_cached else ""
    cache = f"{found.cached:,} files of DVC's cache{missing}"
    typer.echo(f"{found.cells:,} cells: {found.files:,} files read and made, {found.size / 1e6:,.1f} MB; {cache}")
    if found.problems:
        raise UserError(found.problems[0], found.problems)
    typer.echo("all as dvc.lock says")
