"""Stages that are killed and run again: each goes on from where it was, and ends in the bytes of one that never was.

Every life is a fork that runs the stage as a shell would, and dies by SIGKILL at a moment of what it keeps.
"""

import errno
import gc
import importlib
import json
import os
import random
import shutil
import signal
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
import workspace
from accelerate.state import AcceleratorState
from bad import bench

from lgtm import premises, resume, states
from lgtm.networks import cost, descent
from lgtm.premises import Premises
from lgtm.resume import FOLDER
from stages import artifacts
from stages.artifacts import cell, role_path

ROWS = 16  # in a batch: the training role has three of them
NEVER = 1e9


@dataclass(frozen=True)
class Case:
    """A cell, its settings, and what of other cells has to run before it."""

    run: str
    settings: dict = field(default_factory=dict)
    before: tuple[str, ...] = ()


DISTILL = {"distill__epochs": 2, "distill__evaluations": 2}
TRIALS = {"teacher_tailored__tailored": {"base": "warm", "teachers": 3, "lambda": [0.0, 2.0]}}
FRESH = {"teacher_warmup__epochs": 2, "teacher_warmup__evaluations": 2}
DISTILLED = Case("distill --seed 1 --arm kd", DISTILL)
BESIDE = ("online", "prokt", "dml", "metadistil")
CASES = {
    "teacher in bf16 and parts": Case("teacher_warmup --seed 1", FRESH | {"precision": "bf16", "tokens_at_once": 60}),
    "student with earlier checkpoints": Case(
        "student_warmup --seed 1",
        {"student_warmup__epochs": 2, "student_warmup__evaluations": 2, "student_warmup__earlier_checkpoints": 2},
    ),
    "influence": Case("influence --seed 1", {"influence__scope": "all"}),
    "influence from folds": Case("influence --seed 1", {"influence__folds": 2, "influence__method": "forward"}),
    "validation": Case(
        "validation --seed 1",
        {"validation__subsets": 10, "validation__fraction": 0.5, "validation__retrain__batch_size": 8},
    ),
    "trials": Case("teacher_tailored --seed 1 --arm tailored", TRIALS),
    "students of trials": Case(
        "distill --seed 1 --arm tailored", DISTILL | TRIALS, ("teacher_tailored --seed 1 --arm tailored",)
    ),
    "crossfit": Case(
        "teacher_tailored --seed 1 --arm crossfit",
        FRESH | {"teacher_tailored__crossfit": {"folds": 2}, "arms": ["crossfit"]},
    ),
    "hidden states": Case(
        "distill --seed 1 --arm kd", DISTILL | {"distill__hidden_weight": 0.5}, ("teacher_tailored --seed 1 --arm kd",)
    ),
    "rounds": Case(
        "rounds --seed 1 --arm kd",
        {"rounds__arms": ["kd"]},
        ("distill --seed 1 --arm kd",),
    ),
    "evaluate": Case("evaluate_warmup --seed 1", {"evaluate__batch_size": 4}),
} | {arm: Case(f"distill --seed 1 --arm {arm}", DISTILL | {"arms": [arm]}) for arm in BESIDE}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The workspace, with dropout, so that where the random numbers are shows."""
    for module in ("dvclive", *(f"stages.{path.stem}" for path in (bench.ROOT / "stages").glob("[!_]*.py"))):
        importlib.import_module(module)
    folder = tmp_path_factory.mktemp("resume") / "written"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        workspace.write()
        for arm in ("kd", *BESIDE):
            warm = np.random.default_rng(1).normal(size=(workspace.TAUGHT_ROWS, 2))
            workspace.write_targets(cell(1, arm, "teacher"), warm)
    for name in ("stages", "dvc.yaml"):
        (folder / name).symlink_to(bench.ROOT / name)
    for path in folder.rglob("config.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"hidden_dropout_prob": 0.1}))
    gc.collect()
    gc.freeze()
    yield folder
    gc.unfreeze()


@pytest.fixture
def home(written, tmp_path):
    """A copy of the workspace."""
    shutil.copytree(written, tmp_path / "home", symlinks=True)
    return tmp_path / "home"


def put(home: Path, **changes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        small = {f"{section.replace('.', '__')}__batch_size": ROWS for section in workspace.SECTIONS}
        workspace.settings(**small | {"influence__batch_size": 8} | changes)


@dataclass
class Life:
    """How a run ended, and what it did: optimizer steps, samples through networks, and what it wrote."""

    status: int
    said: str
    steps: int
    samples: int


def live(home: Path, run: str, *, every: float = 0.0, dies: int | None = None, how: str = "after", inside=None) -> Life:
    """Run a cell that keeps its state every so many seconds; `inside` is called in it before it begins.

    dies: with which of the states that it writes; how: after the state is written, before, or in the midst of it.
    """
    done = home.parent / "done"
    done.write_bytes(b"")

    def begin() -> None:
        AcceleratorState._reset_state(reset_partial_state=True)  # of another test in this process
        resume.LEAST, resume.TIMES = every, 0
        artifacts.CHUNK = 16
        file = done.open("ab", buffering=0)
        _before(descent.Descent, "step", lambda *_: file.write(b"s"))
        _before(cost.Passes, "_count_forward", lambda passes, *_: file.write(b"f" * passes._samples))
        writes = iter(range(1, 10**9))
        write, settle = resume.write, states.settle

        def die(moment: str, number: int) -> None:
            if number == dies and moment == how:
                os.kill(os.getpid(), signal.SIGKILL)

        def counted(*arguments) -> None:
            number = next(writes)
            die("before", number)
            states.settle = lambda *names: (die("midst", number), settle(*names))
            write(*arguments)
            die("after", number)

        resume.write = counted
        if inside:
            inside()

    ended = bench.run(home, run, begin)
    did = done.read_bytes()
    return Life(ended.status, ended.said, did.count(b"s"), did.count(b"f"))


def _before(owner, name, note) -> None:
    method = getattr(owner, name)

    def noted(self, *arguments, **more):
        note(self, *arguments)
        return method(self, *arguments, **more)

    setattr(owner, name, noted)


def outputs(home: Path) -> dict[str, bytes]:
    """All that a cell leaves, but for how long it took."""
    paths = sorted(path for path in (home / "work").rglob("*") if path.is_file() and path.suffix != ".seconds")
    return {str(path.relative_to(home)): path.read_bytes() for path in paths}


def undisturbed(home: Path, case: Case) -> tuple[dict[str, bytes], dict[str, bytes], Life]:
    """What lies there before the cell runs and after it, and its life; then none of its outputs is there any more."""
    put(home, **case.settings)
    for run in case.before:
        assert live(home, run, every=NEVER).status == 0
    before = outputs(home)
    whole = live(home, case.run, every=NEVER)
    assert whole.status == 0, whole.said
    assert states_in(home) == []
    after = outputs(home)
    restore(home, before)
    return before, after, whole


def restore(home: Path, files: dict[str, bytes]) -> None:
    """As DVC does before a stage runs: its outputs go."""
    shutil.rmtree(home / "work")
    for name, content in files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(content)


@pytest.mark.parametrize("name", CASES)
def test_a_cell_that_is_killed_goes_on_and_ends_in_the_same_bytes(home, name):
    case = CASES[name]
    before, wanted, whole = undisturbed(home, case)
    lives = []
    for dies, how in [(3, "midst"), (3, "after"), (None, "")]:
        restore(home, before)
        lives.append(live(home, case.run, dies=dies, how=how))
        assert lives[-1].status == (-signal.SIGKILL if dies else 0), lives[-1].said
    assert outputs(home) == wanted
    assert list((home / FOLDER).iterdir()) == []
    # Only what came after the last state was done again, and what is between two of them.
    assert sum(life.steps for life in lives) <= whole.steps + 2
    assert lives[-1].samples < whole.samples
    assert lives[-1].steps < whole.steps or name in ("rounds", "influence", "influence from folds", "evaluate")


def killed(home: Path, case: Case, dies: int = 4) -> tuple[dict[str, bytes], Life]:
    """The outputs of a cell that is not disturbed, and its life; then it is killed."""
    before, wanted, whole = undisturbed(home, case)
    assert live(home, case.run, dies=dies).status == -signal.SIGKILL
    restore(home, before)
    return wanted, whole


def states_in(home: Path) -> list[Path]:
    return sorted((home / FOLDER).rglob("*.safetensors"))


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


@pytest.mark.parametrize("tear", [flip, cut, Path.unlink])
def test_a_state_that_is_torn_is_as_if_it_were_not_there(tmp_path, tear):
    states.write(tmp_path, "1", states.Kept({"step": 1}, 0.0))
    (path,) = tmp_path.iterdir()
    tear(path)
    assert states.read(tmp_path, "1") is None


def test_a_stage_begins_anew_where_its_state_is_torn(home):
    wanted, whole = killed(home, DISTILLED)
    (state,) = states_in(home)
    flip(state)
    again = live(home, DISTILLED.run)
    assert (again.status, again.steps) == (0, whole.steps)
    assert outputs(home) == wanted


def test_a_state_of_other_settings_is_not_used(home):
    put(home, **DISTILLED.settings)
    assert live(home, DISTILLED.run, dies=4).steps == 4
    put(home, **DISTILLED.settings, distill__temperature=3.0)
    assert live(home, DISTILLED.run, dies=1).steps == 1
    (state,) = states_in(home)
    assert states.read(state.parent, "1").tree["step"] == 1, "it has begun anew"


def test_a_full_disk_ends_the_keeping_and_not_the_stage(home):
    _, wanted, whole = undisturbed(home, DISTILLED)

    def full(*arguments) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    life = live(home, DISTILLED.run, inside=lambda: setattr(resume, "write", full))
    assert (life.status, life.steps) == (0, whole.steps)
    assert outputs(home) == wanted


def test_in_several_processes_nothing_is_kept(home, monkeypatch):
    put(home, **DISTILLED.settings)
    monkeypatch.chdir(home)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with resume.kept("distill-1-kd", "distill", {"seed": 1, "arm": "kd"}), resume.unit() as unit:
        assert unit.cell is None


# --- what a cell stands on ---


@pytest.fixture
def project(home, monkeypatch):
    """The workspace with code of its own, and in it."""
    put(home)
    for name in ("stages", "dvc.yaml"):
        (home / name).unlink()
    shutil.copytree(bench.ROOT / "stages", home / "stages")
    shutil.copy(bench.ROOT / "dvc.yaml", home)
    for room in ("networks", "influence", "arms"):
        shutil.copytree(bench.ROOT / "src/lgtm" / room, home / "src/lgtm" / room)
    monkeypatch.chdir(home)
    monkeypatch.setattr(premises, "altered", lambda: [])  # here the code is another's
    return home


def key() -> str:
    return Premises("distill", {"seed": 1, "arm": "kd"}).digest()


def edit(name: str, old: str, new: str) -> None:
    text = Path(name).read_text()
    assert old in text
    Path(name).write_text(text.replace(old, new))


CHANGES = {
    "a setting of its section": lambda: put(Path.cwd(), distill__temperature=3.0),
    "a setting of its arm": lambda: put(Path.cwd(), teacher_tailored__kd={"x": 1}),
    "the pair": lambda: edit("pairs/tiny.yaml", "learning_rate: 0.001", "learning_rate: 0.002"),
    "its script": lambda: edit("stages/distill.py", "Train the warm", "Train a warm"),
    "a room it uses": lambda: Path("src/lgtm/networks/new.py").touch(),
    "its arm": lambda: Path("src/lgtm/arms/kd.py").write_text(""),
    "an input": lambda: flip(cell(1, "student") / "model.safetensors"),
    "a version": lambda: None,
    "threads": lambda: None,
}


@pytest.mark.parametrize("what", CHANGES)
def test_the_key_is_of_all_that_a_result_stands_on(project, what, monkeypatch):
    before = key()
    assert key() == before
    monkeypatch.setattr(premises, "version", lambda name: "0" if what == "a version" else version(name))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2 if what == "threads" else 1)
    CHANGES[what]()
    assert key() != before


def test_the_key_is_of_nothing_else(project):
    before = key()
    put(project, influence__batch_size=7, teacher_tailored__control={"base": "warm", "teachers": 2})
    edit("stages/validation.py", '"""Hold', '"""Just hold')
    flip(role_path("test"))
    Path("src/lgtm/arms/dml.py").write_text("")
    assert key() == before


def test_what_has_changed_since_a_cell_began_has_no_key(project, monkeypatch):
    found = Premises("distill", {"seed": 1, "arm": "kd"})
    flip(role_path("train"))
    assert found.digest() is None
    found = Premises("distill", {"seed": 1, "arm": "kd"})
    monkeypatch.setattr(premises, "altered", lambda: [Path("stages/distill.py")])
    assert found.digest() is None


# --- a cell by itself ---


class Fixed:
    """Premises that do not change."""

    def __init__(self, key: str = "a"):
        self.digest = lambda: key


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(resume, "LEAST", 0.0)
    return FOLDER / "own"


def test_a_tree_comes_back_as_it_was(tmp_path):
    both = torch.arange(6.0)
    tree = {
        "a": [1, -float("inf"), None, "text", {"b": torch.tensor(3, dtype=torch.uint8)}],
        "shared": [both, both[2:], both.view(2, 3).T],
        "half": torch.ones(2, 0, dtype=torch.bfloat16),
        "0.1": 0.1,
    }
    states.write(tmp_path, "1", states.Kept(tree, 2.5, True, ("x",)))
    found = states.read(tmp_path, "1")
    assert (found.clock, found.ended, found.asides) == (2.5, True, ("x",))
    assert str(found.tree) == str(tree)


def test_random_numbers_go_on_where_they_were():
    state = states.random_state()
    drawn = [
        (random.random(), np.random.rand(), torch.rand(1).item())
        for _ in range(2)
        if not states.set_random_state(state)
    ]
    assert drawn[0] == drawn[1]
    assert json.loads(json.dumps(state["python"]))


def test_states_are_few_and_large_ones_rare(folder, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(resume, "LEAST", 0.5)
    own = resume.Cell(folder, Fixed())
    assert not own.due()
    now[0] += 0.6
    assert own.due()
    write = resume.write
    monkeypatch.setattr(resume, "write", lambda *state: (now.__setitem__(0, now[0] + 3.0), write(*state)))
    own.keep("1", {"step": 1})
    now[0] += 59.0
    assert not own.due()
    now[0] += 2.0
    assert own.due()
    own.keep("1", {"step": 2})
    assert len(list(folder.glob("*.safetensors"))) == 1
    assert own.find("1").tree == {"step": 2}


def test_results_that_wait_are_written_with_the_next_state_and_parts_go(folder):
    own = resume.Cell(folder, Fixed())
    own.keep("1.1", {"step": 3})
    own.closed, own.due = False, lambda: False
    own.end("1", {"result": 1})
    own.end("2", {"result": 2})
    assert [path.name[:4] for path in folder.glob("*.safetensors")] == ["1.1-"]
    own.keep("3", {"step": 1})
    again = resume.Cell(folder, Fixed())
    assert [again.find(unit) and again.find(unit).tree for unit in ("1", "1.1", "2", "3")] == [
        {"result": 1}, None, {"result": 2}, {"step": 1}
    ]  # fmt: skip
    assert resume.Cell(folder, Fixed("b")).find("3") is None
    assert not folder.exists()


def test_seconds_are_those_of_all_lives_but_for_what_was_lost(folder, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    first = resume.Cell(folder, Fixed())
    now[0] = 40.0
    first.keep("1", {})
    now[0] = 100.0
    again = resume.Cell(folder, Fixed())
    now[0] = 102.0
    again.find("1")
    now[0] = 110.0
    assert again.clock() == 48.0


def test_random_numbers_after_a_result_are_as_if_it_had_been_made(folder):
    after = []
    for _ in range(2):
        torch.manual_seed(0)
        with resume._within(resume.Place(resume.Cell(folder, Fixed()))):
            made = resume.once(lambda: {"drawn": torch.rand(1), "times": len(after)})
        after.append((made["drawn"].item(), made["times"], torch.rand(1).item()))
    assert after[0] == after[1]


def test_what_is_kept_stays_where_nobody_takes_the_outputs(folder, monkeypatch):
    own = resume.Cell(folder, Fixed())
    own.end("1", {"result": 1})
    assert folder.exists()
    own.leave()
    assert not folder.exists()
    orphan = resume.Cell(folder, Fixed())
    orphan.due = lambda: False
    orphan.end("1", {"result": 1})
    monkeypatch.setattr(resume, "_starter", lambda: -1)
    orphan.leave()
    assert resume.Cell(folder, Fixed()).find("1").tree == {"result": 1}


def test_what_is_kept_of_cells_that_nobody_goes_on_with_goes(folder):
    for name, days in (("old", 8), ("young", 6)):
        (FOLDER / name).mkdir(parents=True)
        then = time.time() - days * 24 * 3600
        os.utime(FOLDER / name, (then, then))
    resume.Cell(folder, Fixed())
    assert [path.name for path in FOLDER.iterdir()] == ["young"]
