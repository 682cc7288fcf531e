"""`python -m lgtm.runner` against plain `dvc repro`: wall time, CPU seconds and the lock, in fresh clones.

    PYTHONPATH=src python -m benchmarks.side_by_side -S 'seeds=[1]'

Clones the last commit twice into a temporary folder; -S as in benchmarks.workspace. Then, from the seconds of each
stage's cells, how long four seeds of ten arms take on a machine of 16 cores: list scheduling in virtual time, with the
runner's own order. Ends in an error where the locks differ, a cell did not run, or DVC finds anything left to do.
"""

import argparse
import heapq
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean

from ruamel.yaml import YAML

from benchmarks.workspace import put_all
from lgtm.config import read_yaml
from lgtm.errors import UserError
from lgtm.runner.jobs import count_cores

ROOT = Path(__file__).parents[1]
LARGE = {"seeds": [1, 2, 3, 4], "arms": 10}
CORES = 16
RUNNER = ("python", "-m", "lgtm.runner")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-S", dest="changes", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--jobs", type=int, default=count_cores())
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), options.changes, options.jobs)


def measure(folder: Path, changes: list[str], jobs: int) -> None:
    """Run both, print both and their ratios. Raises UserError where they do not leave the same."""
    clones = {name: clone(folder / name, changes) for name in ("plain", "runner")}
    rows = {
        "plain": timed(clones["plain"], "dvc", "repro", "--quiet"),
        "runner": timed(clones["runner"], *RUNNER, "--jobs", str(jobs)),
    }
    again = timed(clones["runner"], *RUNNER)
    if (clones["plain"] / "dvc.lock").read_bytes() != (clones["runner"] / "dvc.lock").read_bytes():
        raise UserError("the two runs left different locks")
    if "up to date" not in command(clones["runner"], "dvc", "status"):
        raise UserError("dvc status finds something left to do after the runner")
    seconds = cell_seconds(rows["runner"].said)
    if missing := set(read_yaml(clones["runner"] / "dvc.lock")["stages"]) - set(seconds):
        raise UserError(f"did not run: {', '.join(sorted(missing))}")
    for name, row in rows.items():
        print(f"{name:8s} {row.wall:7.1f} s wall  {row.cpu:7.1f} s CPU")
    print(f"{'ratio':8s} {rows['runner'].wall / rows['plain'].wall:7.2f} wall    "
          f"{rows['runner'].cpu / rows['plain'].cpu:7.2f} CPU    {len(seconds)} cells, {jobs} at a time")  # fmt: skip
    print(f"again    {again.wall:7.1f} s wall: nothing to run")
    simulate(clones["runner"], seconds)


class Row:
    """Wall and CPU seconds of a command and all that it started, and what it said."""

    def __init__(self, wall: float, cpu: float, said: str):
        self.wall, self.cpu, self.said = wall, cpu, said


def clone(folder: Path, changes: Iterable[str]) -> Path:
    """A clone of the last commit in which nothing has been run, with some settings changed."""
    command(ROOT, "git", "clone", "--quiet", str(ROOT), str(folder))
    (folder / "dvc.lock").unlink()
    shutil.rmtree(folder / "reports")
    params = read_yaml(folder / "params.yaml")
    put_all(params, changes)
    YAML(typ="safe", pure=True).dump(params, folder / "params.yaml")
    return folder


def timed(folder: Path, *words: str) -> Row:
    """Run a command in a folder, and take its time."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    said = command(folder, *words)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Row(time.monotonic() - began, cpu, said)


def command(folder: Path, *words: str) -> str:
    """What a command says. Raises UserError where it fails."""
    environment = os.environ | {"PYTHONPATH": "src", "OMP_NUM_THREADS": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"{' '.join(words)}: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout + done.stderr


def cell_seconds(said: str) -> dict[str, float]:
    """Seconds of each cell, from what the runner says of them."""
    return {name: float(took) for name, took in re.findall(r"^\d+/\d+  (\S+)  ([\d.]+) s", said, re.MULTILINE)}


def simulate(folder: Path, seconds: dict[str, float]) -> None:
    """Print how much faster than in line the large run would be, each cell as long as its stage's cells were."""
    from lgtm.runner.graph import Graph
    from lgtm.runner.view import stage_of

    params = read_yaml(folder / "params.yaml")
    arms = sorted(key for key in params["teacher_tailored"] if key != "retrain")[: LARGE["arms"]]
    params |= {"seeds": LARGE["seeds"], "arms": arms}
    YAML(typ="safe", pure=True).dump(params, folder / "params.yaml")
    os.chdir(folder)
    graph = Graph()
    of_stage = defaultdict(list)
    for name, took in seconds.items():
        of_stage[stage_of(name)].append(took)
    known = {name: fmean(of_stage[stage_of(name)]) for name in graph.stages if stage_of(name) in of_stage}
    in_line, beside = sum(known.values()), makespan(graph, known, CORES)
    print(
        f"{len(known)} cells of {len(LARGE['seeds'])} seeds and {len(arms)} arms, simulated: in line {in_line:.0f} s,"
    )
    print(f"on {CORES} cores {beside:.0f} s, {in_line / beside:.1f} times faster")


def makespan(graph, seconds: dict[str, float], places: int) -> float:
    """Virtual seconds until the last cell has ended, in the runner's order, with so many places."""
    from lgtm.runner.schedule import most_awaited

    waits = {name: set(needs) for name, needs in graph.needs.items()}
    running: list[tuple[float, str]] = []
    now = 0.0
    while waits or running:
        while len(running) < places and (ready := [name for name, needs in waits.items() if not needs]):
            name = most_awaited(graph, ready)
            del waits[name]
            heapq.heappush(running, (now + seconds.get(name, 0.0), name))
        now, ended = heapq.heappop(running)
        for needs in waits.values():
            needs.discard(ended)
    return now


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
