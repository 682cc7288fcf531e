"""lgtm verify: whether results are still what dvc.lock says that was made."""


def verify() -> None:
    """."""
