"""What a look at a project has found."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from lgtm.errors import UserError


@dataclass
class Findings:
    """Lines for who runs the project.

    problems: what will fail; cautions: what will run and may disappoint; seen: what was looked at and is well.
    """

    problems: list[str] = field(default_factory=list)
    cautions: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Take the UserError that ends the work in this context for a problem, and go on behind it."""
        try:
            yield
        except UserError as error:
            self.problems += [line for line in error.lines if line not in self.problems]

    def require_none(self) -> None:
        """Raise UserError, with all problems in its lines, where there are some."""
        if self.problems:
            more = f" (and {len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
            raise UserError(self.problems[0] + more, self.problems)
