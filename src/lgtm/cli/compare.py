"""lgtm compare: all runs side by side, or two against each other."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lgtm.errors import UserError

Role = StrEnum("Role", ["test", "selection"])


def compare(
    runs: Annotated[
        list[str] | None,
        typer.Argument(help="Two experiments, commits or branches, or 'workspace'; none: every run of this commit."),
    ] = None,
    on: Annotated[Role, typer.Option(help="The role whose figures are shown side by side.")] = Role.test,
    arm: Annotated[str | None, typer.Option(help="Of two runs: the arm whose changed samples are listed.")] = None,
    page: Annotated[Path | None, typer.Option(help="Of two runs: also write an HTML page here.")] = None,
) -> None:
    """Show what runs change, and their own figures; of two also the samples whose prediction changed."""
    from lgtm.runner.graph import dvc_errors

    if not runs:
        if arm or page:
            raise UserError("--arm and --page are of two runs: lgtm compare A B")
        from lgtm.compare.runs import every_run, table
        from lgtm.compare.screen import print_table

        with dvc_errors():
            found = every_run(on)
        print_table(*table(found))
        return
    if len(runs) != 2 or on is not Role.test:
        raise UserError(
            f"lgtm compare: found {len(runs)} runs; give two, or none for all of this commit"
            if len(runs) != 2
            else "--on is of all runs side by side; two are compared on the test"
        )
    from dvc.repo import Repo

    from lgtm.compare.page import print_comparison, write_page
    from lgtm.compare.revisions import Cache, Revision, find
    from lgtm.compare.two import compare_two

    with dvc_errors(), Repo() as repo:
        cache = Cache(repo)
        a, b = (Revision(name, find(name), cache) for name in runs)
        comparison = compare_two(a, b)
    print_comparison(comparison, arm)
    if page:
        write_page(comparison, arm, page)
        typer.echo(f"page: {page}")
