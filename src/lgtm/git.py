"""What git says of the repository of the current folder."""

import subprocess


def git(*command: str) -> str | None:
    """The output of a command of git; None where it fails, as in a folder that is no repository."""
    done = subprocess.run(["git", *command], capture_output=True, encoding="utf-8")
    return done.stdout if done.returncode == 0 else None
