"""lgtm check: what would fail later, before anything trains."""

from typing import Annotated

import typer

from lgtm.environment import set_defaults
from lgtm.errors import UserError


def check(
    changes: Annotated[
        list[str] | None, typer.Option("-S", metavar="KEY=VALUE", help="Check with this setting, as of dvc exp run -S.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Cells at a time, for the estimate of memory.")] = None,
) -> None:
    """Look at settings, data, networks and room; print all that would fail, and write nothing.

    A checkpoint or data set of the hub is fetched into the hub's cache, as a run would.
    """
    import tempfile
    from pathlib import Path

    set_defaults()
    from lgtm.checks.findings import Findings
    from lgtm.checks.project import look
    from lgtm.runner.jobs import default_jobs, gpu_memory

    found, params = Findings(), Path("params.yaml")
    with tempfile.TemporaryDirectory() as folder:
        if changes:
            from lgtm.runner.experiment import overridden

            params = overridden(changes, Path(folder)).absolute()
        look(found, params, jobs=jobs or default_jobs()(), gpu=gpu_memory() is not None)
    for line in found.seen:
        typer.echo(line)
    for line in found.cautions:
        typer.echo(f"caution: {line}", err=True)
    if found.problems:
        lines = [line.replace(f"{params}: ", "params.yaml: ") for line in found.problems]
        raise UserError(lines[0], lines)
    typer.echo("nothing that would fail was found")
