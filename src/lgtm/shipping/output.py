"""Where answers go: a file that is whole or not there, or standard output; and how far the work is."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

from lgtm.handover import writing


@contextmanager
def opened(path: Path | None) -> Iterator[tuple[TextIO, bool]]:
    """A file to write, or standard output for None, and whether that is a terminal.

    The file is there when all was written, and before as it was. Whoever reads standard output may stop to, as `head`
    does.
    """
    if path is None:
        try:
            sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace", newline="")
            yield sys.stdout, sys.stdout.isatty()
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left is flushed at the end
            raise SystemExit(0) from None
        return
    part = path.with_name(f".{path.name}.part")
    try:
        with writing(path), part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            yield file, False
        with writing(path):
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def progress(total: int | None) -> Iterator[tqdm]:
    """A bar of rows on stderr, where that is a terminal and there is something to wait for."""
    with tqdm(total=total, desc="predicted", unit="row", unit_scale=True, delay=3.0, disable=None, leave=False) as bar:
        yield bar
