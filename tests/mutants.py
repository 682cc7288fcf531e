"""Runs tests on wrong code: `python tests/mutants.py` tries all of mutations.yaml and writes docs/mutations.md.

    python tests/mutants.py                    # all: a quarter of an hour
    python tests/mutants.py resume.py "a sign"  # those whose file, or what is wrong, has one of these words in it

A process of its own imports what the tests import and forks once per mutation, two at a time. A fork forgets the
project's modules, serves the wrong text for the one file and runs the tests that have to notice. Killed means that a
test failed: a test that is not there, or an error while it is collected, is no kill. Without mutation the same tests
have to pass.
"""

import argparse
import gc
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
LIST = ROOT / "tests/mutations.yaml"
PAGE = ROOT / "docs/mutations.md"
AT_ONCE = 2
SECONDS = 60  # of a processor's time: a mutant that loops for ever is no kill, but has to end
# By pytest's exit status; all others are errors of the mutation or of its tests.
WITH, WITHOUT = {0: "survived", 1: "killed"}, {0: "passed", 1: "failed"}
OWN = ("lgtm", "stages", "benchmarks", "workspace", "tiny", "tiny_project")
# Imported where it is used, or by tests alone.
BESIDES = ["pytest", "dvclive", "dvc.repo", "sklearn.metrics", "statsmodels.api"]
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",  # as in conftest.py
    "TOKENIZERS_PARALLELISM": "false",  # threads and forks do not go together
    "CUDA_VISIBLE_DEVICES": "",  # nor do CUDA and forks
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # hydra and others bring some, a second for each fork
}
HEAD = """# Mutations

Wrong code that the tests notice: each line is one changed expression, and the test beside it fails with it and passes
without. `make test` tries them all; `python tests/mutants.py` does that alone and writes this page from
`tests/mutations.yaml`.

"""


@dataclass(frozen=True)
class Mutation:
    """One changed expression: `right`, which stands in the file once, becomes `wrong`, and the test has to fail."""

    file: str
    what: str
    right: str
    wrong: str
    test: str  # below tests/


MUTATIONS = [Mutation(file, **each) for file, own in yaml.safe_load(LIST.read_text()).items() for each in own]


@dataclass(frozen=True)
class Trial:
    """How a mutation fared; `what` is None for the tests without one."""

    what: str | None
    status: str
    seconds: float
    output: str


class Mutated(importlib.abc.MetaPathFinder, importlib.machinery.SourceFileLoader):
    """Finds and loads one module, from another text than its file has."""

    def __init__(self, module: str, path: Path, text: str):
        super().__init__(module, str(path))
        self.text = text

    def find_spec(self, name, path=None, target=None):
        return importlib.util.spec_from_file_location(name, self.path, loader=self) if name == self.name else None

    def get_code(self, fullname):
        return compile(self.text, self.path, "exec")


def mutated(mutation: Mutation) -> str:
    """The file's text with the mutation. Raises ValueError where it does not fit the file any more."""
    text = (ROOT / mutation.file).read_text()
    if (found := text.count(mutation.right)) != 1:
        raise ValueError(f"stale: {mutation.file} has {mutation.right!r} {found} times; bring {LIST.name} up to date")
    return text.replace(mutation.right, mutation.wrong)


def module_of(file: str) -> str:
    return ".".join(Path(file).with_suffix("").parts).removeprefix("src.")


def run_tests(mutation: Mutation | None, tests: list[str], folder: Path) -> int:
    """Run tests with a mutation, or without, in this process; returns pytest's exit status."""
    import pytest

    os.chdir(ROOT)
    if mutation:
        sys.meta_path.insert(0, Mutated(module_of(mutation.file), ROOT / mutation.file, mutated(mutation)))
    options = ["--basetemp", str(folder), "--tb=line", "--assert=plain", "-p", "no:cacheprovider"]
    options += ["-x"] if mutation else []
    return int(pytest.main([*options, *(str(ROOT / "tests" / test) for test in tests)]))


def fork(mutation: Mutation | None, tests: list[str], folder: Path) -> int:
    """Start run_tests in a fork, its output to a file in the folder; returns the process's id."""
    folder.mkdir()
    if child := os.fork():
        return child
    try:
        if mutation:
            resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        output = os.open(folder / "output", os.O_CREAT | os.O_WRONLY)
        os.dup2(output, 1)
        os.dup2(output, 2)
        status = run_tests(mutation, tests, folder / "tests")
    except BaseException as error:
        print(error)
        status = 70
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def warm_up(folder: Path) -> None:
    """Import what tests import, and write a network once, since transformers reads its tables when it first does."""
    os.environ.update(ENVIRONMENT)
    sys.path[:0] = [str(ROOT / "src"), str(ROOT), str(ROOT / "tests")]
    for module in [*(f"stages.{script.stem}" for script in (ROOT / "stages").glob("*.py")), *BESIDES, "workspace"]:
        importlib.import_module(module)
    sys.modules["workspace"].write_network(folder, seed=0)
    sys.modules["workspace"].load(folder)
    for name in [name for name in sys.modules if name.split(".")[0] in OWN]:
        del sys.modules[name]
    gc.freeze()  # or each fork would search all this for garbage, as pytest asks in the end


def trials(mutations: list[Mutation]) -> Iterator[Trial]:
    """Every trial as it ends, that of all their tests without a mutation among them."""
    waiting, running = [None, *mutations], {}
    tests = sorted({mutation.test for mutation in mutations})
    with tempfile.TemporaryDirectory() as folder:
        warm_up(Path(folder, "network"))
        while waiting or running:
            while waiting and len(running) < AT_ONCE:
                mutation, place = waiting.pop(0), Path(folder, str(len(waiting)))
                child = fork(mutation, [mutation.test] if mutation else tests, place)
                running[child] = mutation, place, time.perf_counter()
            child, status = os.wait()
            mutation, place, start = running.pop(child)
            yield Trial(
                mutation and mutation.what,
                (WITH if mutation else WITHOUT).get(os.waitstatus_to_exitcode(status), "error"),
                time.perf_counter() - start,
                (place / "output").read_text()[-3000:],
            )


def page() -> str:
    """The page of docs: every mutation, with the test that kills it."""
    rows = ["| file | wrong | killed by |", "|---|---|---|"]
    rows += [f"| `{mutation.file}` | {mutation.what} | `{mutation.test}` |" for mutation in MUTATIONS]
    return HEAD + f"{len(MUTATIONS)} of {len(MUTATIONS)} killed.\n\n" + "\n".join(rows) + "\n"


def chosen(words: list[str]) -> list[Mutation]:
    """The mutations with one of the words in their file or in what is wrong; all without words."""
    return [each for each in MUTATIONS if not words or any(word in f"{each.file} {each.what}" for word in words)]


def main() -> None:
    """Print each trial as it ends, and write the page if all were tried and killed; with --json, only print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", help="of the file or of what is wrong; none: all")
    parser.add_argument("--json", action="store_true", help="for a program")
    options = parser.parse_args()
    mutations, alive = chosen(options.words), []
    if not mutations:
        sys.exit(f"error: no mutation in {LIST.name} has any of these words")
    for trial in trials(mutations):
        if options.json:
            print(json.dumps(asdict(trial)), flush=True)
            continue
        print(f"{trial.status:9}{trial.seconds:5.1f} s  {trial.what or 'without mutation'}", flush=True)
        if trial.status not in ("killed", "passed"):
            alive.append(trial.output)
    if alive:
        sys.exit("\n".join(alive))
    if mutations == MUTATIONS and not options.json:
        PAGE.write_text(page())


if __name__ == "__main__":
    main()
