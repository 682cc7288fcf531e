"""The one exception that a user's mistake ends in."""


class UserError(Exception):
    """A mistake in the user's input: one line that names the file and field, what was found, what would be right."""


def one_line(error: Exception) -> str:
    """A library's message on one line, to go into a UserError."""
    return " ".join(str(error).split())
