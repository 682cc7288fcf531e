"""lgtm new-task: from a file of rows to a task that runs."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from lgtm.errors import UserError, visible


def new_task(
    data: Annotated[
        Path | None, typer.Argument(help="Labelled rows: csv, tsv, jsonl or parquet. Not for a task that is there.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the task; without it, the file's.")] = None,
    text: Annotated[str | None, typer.Option(help="The column of texts.")] = None,
    text_pair: Annotated[str | None, typer.Option(help="The column of second texts; none for single texts.")] = None,
    label: Annotated[str | None, typer.Option(help="The column of labels.")] = None,
    group: Annotated[str | None, typer.Option(help="The column of what rows belong to, such as a user; none.")] = None,
    separator: Annotated[str | None, typer.Option(help="Of a csv file's columns.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Of a file that is not UTF-8, such as cp1252.")] = None,
    metric: Annotated[
        list[str] | None, typer.Option(help="accuracy, f1, macro_f1 or matthews; several times, the first decides.")
    ] = None,
    transfer: Annotated[list[Path] | None, typer.Option(help="A file of texts without labels.")] = None,
    predictions: Annotated[Path | None, typer.Option(help="A teacher's answers; a card in pairs/ is written.")] = None,
    pair: Annotated[str | None, typer.Option(help="With --predictions: the card whose student learns.")] = None,
) -> None:
    """Look at a file and write the task of it: tasks/<name>/ with a copy and a card. Nothing is overwritten."""
    from lgtm.newtask.make import Wanted, make

    separator = {"\\t": "\t", "tab": "\t"}.get(separator, separator)
    made = make(
        Wanted(
            data, name, text, text_pair, label, group, separator, encoding, metric or [], transfer or [], predictions,
            pair,
        ),
        ask,
    )  # fmt: skip
    for line in made.seen:
        typer.echo(visible(line))
    for line in made.cautions:
        typer.echo(f"caution: {visible(line)}", err=True)
    typer.echo("written: " + ", ".join(map(str, made.written)))
    settings = " ".join(f"-S {shlex.quote(setting)}" for setting in made.settings)
    typer.echo(f"next: lgtm check {settings}")
    typer.echo(f"then: dvc exp run {settings}")


def ask(question: str, among: Sequence[str], flag: str) -> str:
    """One of several, by its number or name. Raises UserError, with the flag, where nobody can answer."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UserError(f"{question} {', '.join(among)}: give {flag}")
    typer.echo(question)
    for number, choice in enumerate(among, start=1):
        typer.echo(f"  {number} {choice}")
    while True:
        answer = typer.prompt(flag)
        if answer in among:
            return answer
        if answer.isdigit() and 1 <= int(answer) <= len(among):
            return among[int(answer) - 1]
