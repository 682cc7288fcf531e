"""What the commands share: their list, the project's folder, and mistakes as lines.

A new command is a module beside this one with a function of the command's name, and an entry in COMMANDS.
"""

import os
import sys
from pathlib import Path

import typer

from lgtm.cli import check, compare, export, new_task, predict, trace, verify
from lgtm.errors import told

COMMANDS = (
    new_task.new_task,
    check.check,
    verify.verify,
    compare.compare,
    trace.trace,
    predict.predict,
    export.export,
)
ANYWHERE = {"predict"}  # which ask for a project themselves where they need one
SOURCE = Path("src")  # of a project's code, from its folder

app = typer.Typer(
    name="lgtm",
    help="Teacher-tailoring distillation: what helps around a run of the project in this folder.",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain text, whose import is quick
    pretty_exceptions_enable=False,
)
for _command in COMMANDS:
    app.command(_command.__name__.replace("_", "-"))(_command)


@app.callback()
def _in_a_project(context: typer.Context) -> None:
    if "--help" not in sys.argv and context.invoked_subcommand not in ANYWHERE:
        from lgtm.handover import require_project

        require_project()


def main() -> None:
    """Run the command line. A UserError is its `error:` lines and status 1."""
    _run_own_code()
    sys.path.insert(0, "")  # the project's stages
    with told("stopped"):
        app()


def _run_own_code() -> None:
    """Start again with the code of the project in this folder, where that is not the one that was installed.

    The copy of an experiment, or a second clone, runs its own code.
    """
    own = SOURCE / "lgtm"
    if (own / "cli").is_dir() and own.resolve() != Path(__file__).parents[1].resolve():
        paths = [str(SOURCE.resolve()), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
        os.execve(sys.executable, [sys.executable, "-m", "lgtm.cli", *sys.argv[1:]], environment)
