"""lgtm predict: what a student says of new texts."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from lgtm.errors import UserError


def predict(
    texts: Annotated[
        list[str] | None, typer.Argument(help="Texts; without any and without --file, piped lines.")
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="csv, tsv, jsonl, parquet, or txt by line.")] = None,
    model: Annotated[
        Path | None, typer.Option("--model", "-m", help="A student's folder; without, the one the report recommends.")
    ] = None,
    text: Annotated[str | None, typer.Option(help="The file's column of texts; without, the task's.")] = None,
    text_pair: Annotated[str | None, typer.Option(help="The column of second texts; without, the task's.")] = None,
    pairs: Annotated[
        bool, typer.Option("--pairs", help="Pairs: arguments two and two, in lines a tab between.")
    ] = False,
    separator: Annotated[str | None, typer.Option(help="Of a csv file's columns; without, the task's.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A .csv or .jsonl file; without, stdout.")] = None,
    form: Annotated[Literal["csv", "jsonl"] | None, typer.Option("--format", help="Of stdout: csv.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Texts that are read together.")] = 64,
    max_length: Annotated[
        int | None, typer.Option(min=1, help="Tokens at which a text is cut; without, the task's or the tokenizer's.")
    ] = None,
) -> None:
    """Predict texts: the class and the probabilities of all classes, a row for each, in their order.

    A row without a text gets no prediction. In CSV a text that a spreadsheet would run as a formula gets an apostrophe.
    """
    import sys

    from lgtm.cli.project import OfTask, shipped, student_of, task_of

    given, count = _only_one(texts, file), texts and len(texts)
    form = _format(out, form)
    if model is None:
        model = shipped().folder
        typer.echo(f"student: {model}", err=True)
    task: OfTask = task_of(model)
    student = student_of(model, max_length or task.max_length)

    from lgtm.shipping import texts as read
    from lgtm.shipping.answers import WRITERS, answered, blank

    card = task.card
    if given == "texts":
        pieces = iter([read.of_arguments(texts, pairs or task.pairs)])
    elif given == "file":
        said_by = f"columns in {card}" if card and not (text or text_pair) else "--text and --text-pair say which"
        columns = task.columns(text, text_pair, said_by, pairs)
        pieces = read.of_file(file, columns, separator or task.separator, task.quoted, card or Path("the task's card"))
    else:
        pieces = read.of_lines(sys.stdin.buffer, "standard input", pairs or task.pairs)

    from lgtm.shipping.output import opened, progress

    unsaid = rows = 0
    with opened(out) as (stream, terminal), progress(count) as bar:
        writer = WRITERS[form](stream, terminal)
        for piece in pieces:
            writer.write(answered(piece, student, batch_size))
            unsaid += int(blank(piece).sum())
            rows += len(piece.texts)
            bar.update(len(piece.texts))
        if not rows:  # in here, so that a file of --out stays as it was
            raise UserError("no text was given; give some as arguments, by --file, or by a pipe")
    if unsaid:
        typer.echo(f"caution: {unsaid:,} of {rows:,} rows have no text, and no prediction", err=True)


def _only_one(texts: list[str] | None, file: Path | None) -> Literal["texts", "file", "pipe"]:
    """Where the texts are. Raises UserError where that is not one place."""
    import sys

    if texts and file:
        raise UserError("texts as arguments and --file: give one of them")
    if texts or file:
        return "texts" if texts else "file"
    if sys.stdin is None or sys.stdin.isatty():
        raise UserError("no text was given; give some as arguments, by --file, or by a pipe")
    return "pipe"


def _format(out: Path | None, asked: str | None) -> str:
    """In which format the answers are. Raises UserError for a file of another kind."""
    if out is None:
        return asked or "csv"
    kind = out.suffix.lower().removeprefix(".")
    if kind not in ("csv", "jsonl") or asked not in (None, kind):
        raise UserError(f"{out}: --out is a .csv or .jsonl file{f', and --format says {asked}' if asked else ''}")
    return kind
