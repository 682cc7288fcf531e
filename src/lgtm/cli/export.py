"""lgtm export: the student that is shipped, as a folder for those who use it."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to write; it may not be there yet.")],
    model: Annotated[
        Path | None, typer.Option("--model", "-m", help="A student's folder; without, the one the report recommends.")
    ] = None,
    onnx: Annotated[bool, typer.Option("--onnx", help="Also model.onnx, its pooling in the graph.")] = False,
    int8: Annotated[bool, typer.Option("--int8", help="Also model.int8.onnx, quantised dynamically.")] = False,
) -> None:
    """Write a Hugging Face folder with a model card: results, data, lineage, limits; and on demand the same as ONNX.

    Every form is held against PyTorch on the texts of selection before anything is there: logits to 1e-4 in fp32,
    quality, time of a batch. Nothing is written where one differs. The test is not read.
    """
    from lgtm.handover import require_project

    require_project()
    from lgtm.cli.project import shipped, student_of, task_of

    chosen = None if model else shipped()
    folder = model or chosen.folder
    typer.echo(f"student: {folder}", err=True)
    student = student_of(folder, task_of(folder).max_length)

    from lgtm.shipping.export import Export

    for line in Export(student, chosen, out).write(onnx=onnx or int8, int8=int8):
        typer.echo(line)
