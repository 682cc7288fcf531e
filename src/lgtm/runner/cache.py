"""DVC's cache, whose files are hashed before they are taken for an output.

DVC 3.67 takes a file of its cache that is read-only, as all are, for what its name says, whatever `cache.verify` is:
bytes that flip on the disk would go into the next result.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dvc.repo import Repo
from dvc_data.hashfile.db import HashFileDB
from dvc_data.hashfile.state import StateNoop
from dvc_objects.errors import ObjectFormatError


@contextmanager
def hashed_cache(repo: Repo) -> Iterator[None]:
    """While this is open, DVC hashes a file of the cache before it uses it, and forgets one that is damaged.

    It is then as if it had not been there: the cell runs again. A line on stderr says so.
    """
    cache = repo.cache.local

    def check(oid: str, check_hash: bool = True, _info: dict[str, Any] | None = None) -> Any:
        state, cache.state = cache.state, StateNoop()  # which would believe time and size
        try:
            return HashFileDB.check(cache, oid, True, _info)
        except ObjectFormatError:
            print(f"{cache.oid_to_path(oid)}: damaged in DVC's cache, and removed from it", file=sys.stderr)
            raise
        finally:
            cache.state = state

    cache.check = check
    try:
        yield
    finally:
        del cache.check
