"""A run that is killed again and again: it has to end in the lock of one that never was, with little done twice.

    PYTHONPATH=src python -m benchmarks.stress --kills 30

Clones the last commit three times into a temporary folder; -S as in benchmarks.workspace. One clone is left in peace.
The others are run side by side and plainly, with half of the kills each, at random moments, in turn of all that runs,
of the driver alone, and of a cell alone; after each the run is started again. Work is what arms cost: weights times
samples, forward and twice backward, counted in every process by a sitecustomize.py in the clone. Ends in an error where
a lock differs, DVC finds anything left to do, there were too few kills, or more than a tenth of the work is done twice.
"""

import argparse
import itertools
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from benchmarks.side_by_side import RUNNER, clone, command
from lgtm.errors import UserError
from lgtm.resume import LEAST, TIMES
from lgtm.runner.jobs import count_cores

OFTEN = (LEAST, TIMES)
WAYS = ("side by side", "plain")
KILLED = ("all", "driver", "cell")
TWICE = 0.1  # of the work, at most
LATER = 0.5  # seconds at most between the work that a kill waits for and the kill: there is not always work to count
ENOUGH = 0.8  # of the kills asked for: the last may find that the run has ended
PATIENCE = 1800.0  # seconds without any work until a run counts as one that hangs
COUNT = '''"""Counts work and sets how often states are kept; written by benchmarks.stress."""

import importlib.abc
import importlib.util
import os
import struct
import sys

FILE = os.open({file!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def count(cost):
    forward, backward = cost.Passes._count_forward, cost.Passes._add_backward

    def counted_forward(self, *arguments):
        os.write(FILE, struct.pack("d", self.weights * self._samples))
        return forward(self, *arguments)

    def counted_backward(self, gradient):
        os.write(FILE, struct.pack("d", 2 * self.weights * len(gradient)))
        return backward(self, gradient)

    cost.Passes._count_forward, cost.Passes._add_backward = counted_forward, counted_backward


def keep(resume):
    resume.LEAST, resume.TIMES = {every}


class Finder(importlib.abc.MetaPathFinder):
    changes = {{"lgtm.networks.cost": count, "lgtm.resume": keep}}

    def find_spec(self, name, path, target=None):
        if name not in self.changes:
            return None
        change = self.changes.pop(name)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module
        spec.loader.exec_module = lambda module: (load(module), change(module))
        return spec


sys.meta_path.insert(0, Finder())
'''


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-S", dest="changes", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--jobs", type=int, default=count_cores())
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clones = {name: clone(Path(folder, name), options.changes) for name in ("left in peace", *WAYS)}
        measure(clones, options.kills, options.seed, options.jobs)


def measure(clones: dict[str, Path], kills: int, seed: int, jobs: int, *, twice: float = TWICE, every=OFTEN) -> None:
    """Run all three and print how they did. Raises UserError where they do not leave the same.

    clones: by way, and `left in peace`. twice: the share of the work that may be done twice. every: seconds between two
    states of a cell, and how many times as long as a state takes.
    """
    peace = Run(clones["left in peace"], jobs, every)
    lock = peace.to_the_end()
    if peace.work() == 0:
        raise UserError("no work was counted")
    for way in WAYS:
        run = Run(clones[way], jobs if way != "plain" else None, every)
        done = run.disturbed(kills // len(WAYS), peace.work(), random.Random(f"{seed} {way}"))
        if run.to_the_end() != lock:
            raise UserError(f"{way}: killed {done} times, it left another lock")
        more = run.work() / peace.work() - 1
        print(f"{way:12s} killed {done:2d} times, done twice {100 * more:5.1f} % of the work, the same lock")
        if done < ENOUGH * (kills // len(WAYS)):
            raise UserError(f"{way}: killed {done} times only")
        if more > twice:
            raise UserError(f"{way}: {100 * more:.0f} % of the work was done twice")


@dataclass
class Run:
    """The run of a clone, life after life; jobs: cells at a time of the runner, None for plain `dvc repro`."""

    folder: Path
    jobs: int | None
    every: tuple[float, float]

    def __post_init__(self) -> None:
        self.count = self.folder.parent / f"{self.folder.name}.count"
        (self.folder / "src/sitecustomize.py").write_text(COUNT.format(file=str(self.count), every=self.every))
        self.words = ("dvc", "repro", "--quiet") if self.jobs is None else (*RUNNER, "--jobs", str(self.jobs))

    def work(self) -> float:
        """What all lives have done."""
        return float(np.frombuffer(self.count.read_bytes()).sum()) if self.count.is_file() else 0.0

    def to_the_end(self) -> bytes:
        """Run what is left, and return the lock. Raises UserError where something fails or is left to do."""
        command(self.folder, *self.words)
        if "up to date" not in command(self.folder, "dvc", "status"):
            raise UserError(f"{self.folder.name}: dvc status finds something left to do")
        return (self.folder / "dvc.lock").read_bytes()

    def disturbed(self, kills: int, total: float, moments: random.Random) -> int:
        """Kill it so many times on its way through `total` work; returns how many times it was running still."""
        whom = itertools.cycle(KILLED)
        for done in range(kills):
            # However much of it is done twice, the other kills find something left.
            left = max(total - self.work(), total / kills / 4)
            until = self.work() + moments.uniform(0, 2) * left / (kills - done + 1)
            driver = self.start()
            if not self.wait(driver, until):
                return done
            time.sleep(moments.uniform(0, LATER))
            self.kill(driver, next(whom), moments)
            driver.wait()
            self.end_others()
        return kills

    def start(self) -> subprocess.Popen:
        environment = os.environ | {"PYTHONPATH": "src", "OMP_NUM_THREADS": "1"}
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
        nothing = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(self.words, cwd=self.folder, env=environment, start_new_session=True, **nothing)

    def wait(self, driver: subprocess.Popen, until: float) -> bool:
        """Wait until so much work is done; whether it runs still. Raises UserError where it fails or hangs."""
        end = time.monotonic() + PATIENCE
        while self.work() < until:
            if driver.poll() is not None:
                if driver.returncode:
                    raise UserError(f"{self.folder.name}: {' '.join(self.words)} ended with {driver.returncode}")
                return False
            if time.monotonic() > end:
                raise UserError(f"{self.folder.name}: no end in {PATIENCE:.0f} s")
            time.sleep(0.02)
        return True

    def kill(self, driver: subprocess.Popen, whom: str, moments: random.Random) -> None:
        """Send SIGKILL to all that runs, to the driver alone, or to a cell; where there is no cell, to the driver."""
        cells = [process for process in self.processes() if _is_cell(process)]
        if whom == "all":
            for process in self.processes():
                _kill(process)
        elif whom == "cell" and cells:
            _kill(moments.choice(cells))
        else:
            driver.kill()

    def end_others(self) -> None:
        """Wait for what a killed driver has left: it goes on, and a run beside it would be refused."""
        while list(self.processes()):
            time.sleep(0.05)

    def processes(self) -> Iterator[psutil.Process]:
        """What runs in the clone."""
        for process in psutil.process_iter():
            try:
                if Path(process.cwd()) == self.folder and process.status() != psutil.STATUS_ZOMBIE:
                    yield process
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue


def _is_cell(process: psutil.Process) -> bool:
    """Whether it is a stage, or a fork of the runner's warm python."""
    try:
        words, parent = process.cmdline(), process.parent()
        fork = "lgtm.runner.warm" in words and parent is not None and "lgtm.runner.warm" in parent.cmdline()
        return fork or words[1:3] == ["-m", "lgtm.stage"]
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
