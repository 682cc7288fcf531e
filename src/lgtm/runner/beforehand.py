"""What is looked at before the first cell, and before the first that trains: what would fail an hour later."""

from collections.abc import Callable
from pathlib import Path

from lgtm.checks.findings import Findings
from lgtm.runner.jobs import gpu_memory

FIRST = "prepare"  # it reads the data and starts the networks, which is what `lgtm check` would do


class Beforehand:
    """Call it with every cell that is about to run: it looks once at the settings, and once at memory and disk.

    Where nothing has to run, nothing is looked at. places: how many cells run at a time; here: whether on this machine;
    say: is given the lines that warn. Raises UserError for what would fail.
    """

    def __init__(self, places: Callable[[], int], here: bool, say: Callable[[str], None]):
        self.places, self.here, self.say = places, here, say
        self.settings = self.room = False

    def __call__(self, name: str) -> None:
        """Look at what has not been looked at yet."""
        from lgtm.checks.project import look_at_prepared, require_settings  # half a second, where there is work to do

        if not self.settings:
            require_settings()
            self.settings = True
        if name != FIRST and not self.room:
            found = Findings()
            gpu = gpu_memory() is not None
            look_at_prepared(found, jobs=self.places(), here=self.here, gpu=gpu, folder=Path.cwd())
            found.require_none()
            for line in found.cautions:
                self.say(f"caution: {line}")
            self.room = True
