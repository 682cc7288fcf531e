"""The one exception that a user's mistake ends in, and how a command ends in it."""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

# Control characters, ends of lines and paragraphs, what turns the direction of writing, half characters. Not what joins
# letters: Persian and emoji need it.
HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class UserError(Exception):
    """A mistake in the user's input: one line that names the file and field, what was found, what would be right.

    lines: where several mistakes were found at once, a line for each; `lgtm check` shows them all.
    """

    def __init__(self, line: str, lines: Sequence[str] = ()):
        super().__init__(visible(line))
        self.lines = [visible(each) for each in lines] or [str(self)]


def visible(text: str) -> str:
    """A text that does nothing to a terminal: line ends, escapes and marks of direction are written out (\\x1b)."""
    return HIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


LONGEST = 300  # letters of another's message


def one_line(error: Exception) -> str:
    """A library's message on one line, its beginning where it is long, to go into a UserError."""
    line = " ".join((f"no {error}" if isinstance(error, KeyError) else str(error)).split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


@contextmanager
def told(stopped: str, kept: str = "") -> Iterator[None]:
    """End a command in `error:` lines and status 1 where a user's mistake ends it, or what the system refuses.

    stopped: the line of Ctrl-C; kept: what is said after what the system refuses.
    """
    try:
        yield
    except UserError as error:
        sys.exit("\n".join(f"error: {line}" for line in error.lines))
    except OSError as error:
        sys.exit(f"error: {error.filename or Path.cwd()}: {error.strerror or one_line(error)}{kept}")
    except KeyboardInterrupt:
        sys.exit(stopped)
