"""lgtm trace: where a figure, a model or a sample comes from."""

from collections.abc import Iterator
from typing import Annotated

import typer

from lgtm.errors import UserError, visible

SOME = 10  # lines of what is not as it was


def trace(
    what: Annotated[
        str,
        typer.Argument(
            help="A figure (reports/metrics.json:arms.tailored.accuracy), a file or folder that a stage writes, or a"
            " sample (train-17)."
        ),
    ],
    full: Annotated[bool, typer.Option("--full", help="Whole hashes, and every setting.")] = False,
    students: Annotated[bool, typer.Option(help="Of a sample outside of test: let the students read it.")] = True,
) -> None:
    """Show the stages behind a result, with the hashes of settings, code and data; of a sample, all that is known."""
    from lgtm.trace.target import parse_target

    target = parse_target(what)
    found, lines = _of_sample(target.sample, students, full) if target.sample else _of_result(target, full)
    for line in lines:
        typer.echo(visible(line))
    if problems := found.verified.problems:
        more = [f"{len(problems) - SOME:,} more; lgtm verify lists them"] if len(problems) > SOME else []
        raise UserError(problems[0], problems[:SOME] + more)


def _of_result(target, full: bool) -> tuple:
    from lgtm.config import read_yaml
    from lgtm.trace import words
    from lgtm.trace.lineage import lineage
    from lgtm.trace.target import arm_of

    found = lineage([target.path], arm_of(target, read_yaml("params.yaml")["arms"]))
    last = found.steps[-1]
    command = f"dvc repro {last.cells[0] if len(last.cells) == 1 else last.stage}"

    def lines() -> Iterator[str]:
        yield from words.of_target(target)
        yield from words.of_lineage(found, full)
        yield from words.of_commit(found, target.path, command)
        yield from words.of_verified(found)

    return found, lines()


def _of_sample(sample_id: str, students: bool, full: bool) -> tuple:
    from lgtm.params import load_params
    from lgtm.trace import words
    from lgtm.trace.lineage import lineage
    from lgtm.trace.sample import find_sample

    params = load_params()
    sample = find_sample(sample_id, params.seeds, params.arms, params.task, students)
    path = f"work/data/{sample.role}.parquet"
    found = lineage([path])

    def lines() -> Iterator[str]:
        yield from words.of_sample(sample)
        yield from words.of_lineage(found, full)
        yield from words.of_commit(found, path, "dvc repro prepare")
        yield from words.of_verified(found)

    return found, lines()
