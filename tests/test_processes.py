"""Several processes leave what one leaves: forks that meet over gloo, on random networks without dropout."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
import workspace
from accelerate.state import AcceleratorState
from workspace import settings

from lgtm import processes, stage
from lgtm.errors import UserError
from lgtm.networks.cost import Passes
from lgtm.networks.encoding import EncodedTexts
from lgtm.networks.losses import LabelLoss
from lgtm.networks.parallel import own_seed
from lgtm.networks.training import fit, predict
from lgtm.runner import jobs
from stages import distill, evaluate, influence, rounds, student_warmup, teacher_tailored, teacher_warmup
from stages.artifacts import RUNS, cell, evaluation, read_cost, read_curve, read_json

# Of logits after one training: sums in another order round otherwise, and AdamW takes as long a step where there is
# nothing but rounding. What is predicted by the same network is the same bit for bit; scores are along a gradient that
# is summed. CHAIN: after the six trainings, one upon another, of all STAGES.
TRAINED, SCORED, CHAIN = 1e-5, 1e-6, 1e-4
STAGES = [
    lambda: teacher_warmup.main(1),
    lambda: student_warmup.main(1),
    lambda: influence.main(1),
    lambda: teacher_tailored.main(1, "tailored"),
    lambda: distill.main(1, "tailored"),
    lambda: evaluate.main(1, "tailored"),
    lambda: rounds.main(1, "tailored"),
]


def share(work: Callable[[], None], number: int) -> None:
    """Do the work in so many processes; this one, unlike a stage's, may have been an accelerate process by itself."""
    AcceleratorState._reset_state(reset_partial_state=True)
    processes.launch(work, number)


def rank() -> int:
    return int(os.environ["RANK"])


def run_stages() -> None:
    for main in STAGES:
        main()


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The stages' folders by number of processes. Batches do not divide by two, and fewer are predicted than would."""
    found = {}
    for number in (1, 2):
        found[number] = tmp_path_factory.mktemp("workspace")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(found[number])
            workspace.write()
            settings(
                arms=["tailored"],
                teacher_warmup__batch_size=13,
                student_warmup__batch_size=39,
                influence__batch_size=7,
                influence__method="forward",
                teacher_tailored__retrain__batch_size=17,
                # Held to itself, a teacher has at λ 0 no gradient but rounding, of which AdamW makes whole steps.
                teacher_tailored__retrain__anchor="labels",
                distill__batch_size=17,
                distill__epochs=1,
                distill__hidden_weight=0.5,
                evaluate__batch_size=8,
                teacher_tailored__tailored={"base": "warm", "teachers": 3, "lambda": [0, 0.5]},
                rounds={"arms": ["tailored"], "count": 2},
            )
            AcceleratorState._reset_state(reset_partial_state=True)
            run_stages() if number == 1 else share(run_stages, number)
    return found


def tables(folder: Path, name: str) -> list[Path]:
    return sorted(path.relative_to(folder) for path in folder.rglob(name))


def numbers(path: Path) -> dict[str, np.ndarray]:
    table = pd.read_parquet(path)
    columns = {name: np.stack(table[name]) for name in table}
    return {name: values for name, values in columns.items() if values.dtype.kind == "f"}


def assert_close(folders, path: Path, tolerance: float) -> None:
    one, two = (numbers(folders[number] / path) for number in (1, 2))
    assert one
    for name, values in one.items():
        tolerance = max(tolerance, 2 * np.finfo(values.dtype).eps)  # hidden states are kept in half precision
        np.testing.assert_allclose(two[name], values, rtol=tolerance, atol=tolerance, err_msg=f"{path}: {name}")


def test_two_processes_leave_what_one_leaves(folders):
    written = [{path.relative_to(folder) for path in folder.rglob("*")} for folder in folders.values()]
    assert written[0] == written[1]
    for name in ("targets.parquet", "influence.parquet", "results.parquet", "student.parquet", "teacher.parquet"):
        paths = tables(folders[1] / "work", name)
        assert paths
        for path in paths:
            assert_close(folders, Path("work") / path, CHAIN)
    for path in tables(folders[1] / RUNS, "*.tsv"):
        one, two = (pd.read_csv(folders[number] / RUNS / path, sep="\t") for number in (1, 2))
        np.testing.assert_allclose(two, one, atol=CHAIN)


def test_the_same_networks_are_scored_alike(home):
    """Along the gradient of all weights, to which each process brings its batches."""
    workspace.write()
    settings(influence__batch_size=7, influence__scope="all", influence__method="forward")
    found = []
    for run in (lambda work: work(), lambda work: share(work, 2)):
        AcceleratorState._reset_state(reset_partial_state=True)
        run(lambda: influence.main(1))
        found.append(numbers(cell(1, "influence") / "influence.parquet"))
    for name, values in found[0].items():
        np.testing.assert_allclose(found[1][name], values, rtol=SCORED, atol=SCORED, err_msg=name)
    np.testing.assert_array_equal(found[1]["student_logits"], found[0]["student_logits"])


def test_metrics_choices_and_costs_are_those_of_one_process(folders, monkeypatch):
    found = []
    for folder in folders.values():
        monkeypatch.chdir(folder)
        places = [cell(1, "tailored", "teacher"), cell(1, "tailored", "student"), cell(1, "influence")]
        results = pd.read_parquet(evaluation(1, "tailored") / "results.parquet")
        found.append(
            {
                "costs": [read_cost(place) for place in places],
                "chosen": read_json(cell(1, "tailored", "student") / "choice.json")["chosen"],
                "accuracy": results[results["metric"] == "accuracy"]["value"].tolist(),
                "steps": read_curve(cell(1, "tailored", "student"), "accuracy")["step"].tolist(),
            }
        )
    assert found[0] == found[1]


def test_the_environment_says_how_many(folders):
    for number, folder in folders.items():
        paths = list(folder.rglob("environment.json"))
        assert paths
        assert {read_json(path)["processes"] for path in paths} == {number}


def encoded(rows: int, start: int = 0) -> EncodedTexts:
    return EncodedTexts(tiny.table(rows, start), tiny.tokenizer(), max_length=16)


@pytest.mark.parametrize(("rows", "number"), [(11, 2), (3, 2), (7, 3)])
def test_a_prediction_is_that_of_one_process_bit_for_bit_in_every_process(home, rows, number):
    """In batches of two: rows that divide by nothing, and fewer batches than processes."""
    model, data = tiny.model("bert", num_labels=2), encoded(rows)
    logits, hidden = predict(model, data, 2, hidden=True)
    passes = Passes(model)

    def work():
        said = predict(model, data, 2, hidden=True)
        np.savez(f"{rank()}.npz", logits=said[0], hidden=said[1], passes=passes.total()["forward"])

    share(work, number)
    for process in range(number):
        found = np.load(f"{process}.npz")
        np.testing.assert_array_equal(found["logits"], logits)
        np.testing.assert_array_equal(found["hidden"], hidden)
        assert found["passes"] == rows


def trained(rows: int, batch_size: int, clip: float = 1.0, steps: int = 4, dropout: float = 0.0) -> torch.nn.Module:
    model = tiny.model("bert", num_labels=2)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = dropout
    how = {"max_grad_norm": clip, "weight_decay": 0.01, "warmup_ratio": 0.0, "evaluations": 1, "keep": "last"}
    fit(
        model, LabelLoss(), encoded(rows), encoded(5, 64), SimpleNamespace(batch_size=batch_size, **how),
        steps=steps, learning_rate=1e-2, precision="fp32", seed=1, metrics=["accuracy"], description="test",
        log=lambda step, values: None,
    )  # fmt: skip
    return model


@pytest.mark.parametrize(("rows", "batch_size", "clip", "number"), [(9, 8, 1e3, 3), (7, 5, 0.1, 2)])
def test_every_row_of_a_batch_weighs_the_same_in_whatever_process(home, rows, batch_size, clip, number):
    """Batches that do not divide, clipped or not, and one of a single row, of which other processes have none."""

    def said() -> np.ndarray:
        return predict(trained(rows, batch_size, clip), encoded(rows), 8)

    share(lambda: np.save(f"{rank()}.npy", said()), number)
    AcceleratorState._reset_state(reset_partial_state=True)
    expected = said()
    for process in range(number):
        np.testing.assert_allclose(np.load(f"{process}.npy"), expected, atol=TRAINED)


def test_a_teacher_beside_its_student_learns_as_in_one_process(home):
    arm = "online"  # whose teacher and student exchange all that there is to exchange
    workspace.write()
    settings(arms=[arm], distill__batch_size=9, distill__keep="last", distill__min_steps=5)
    teacher_tailored.main(1, arm)
    found = []
    for run in (lambda work: work(), lambda work: share(work, 2)):
        AcceleratorState._reset_state(reset_partial_state=True)
        run(lambda: distill.main(1, arm))
        student = cell(1, arm, "student")
        texts = tiny.table(8)["text"]
        found.append(
            [read_cost(student), *(workspace.logits_of(place, texts) for place in (student, student / "teacher"))]
        )
        shutil.rmtree(student)
    (cost, *one), (other_cost, *two) = found
    assert cost == other_cost
    for said, says in zip(one, two, strict=True):
        torch.testing.assert_close(says, said, atol=10 * TRAINED, rtol=0)


def test_with_dropout_the_metrics_are_within_five_points(home):
    """Held out, after a training that gets there in one process."""
    held_out = encoded(40, 64)

    def accuracy() -> float:
        said = predict(trained(40, 9, steps=60, dropout=0.1), held_out, 8)
        return float((said.argmax(-1) == np.array(held_out.labels)).mean())

    share(lambda: np.save(f"{rank()}.npy", accuracy()), 2)
    AcceleratorState._reset_state(reset_partial_state=True)
    alone = accuracy()
    assert alone > 0.9
    assert abs(np.load("0.npy") - alone) <= 0.05
    assert np.load("0.npy") == np.load("1.npy")


def test_processes_draw_their_own_dropout(home):
    share(lambda: np.save(f"{rank()}.npy", own_seed(7)), 2)
    assert np.load("0.npy") == 7
    assert np.load("1.npy") != 7


def test_the_main_process_writes_and_the_others_wait_for_it(home):
    @processes.by_main
    def write(text):
        time.sleep(0.3)
        with Path("written").open("a") as file:
            file.write(text)

    @processes.by_main
    def write_all():
        write("on")
        write("ce")

    def work():
        write_all()
        Path(str(rank())).write_text(Path("written").read_text())

    share(work, 2)
    assert Path("0").read_text() == Path("1").read_text() == "once"


def fail(error: BaseException, *ranks: int) -> None:
    """Raise in these processes; the others wait for them."""
    if rank() in ranks:
        raise error
    processes.wait()


@pytest.mark.parametrize("ranks", [(0, 1), (0,), (1,)])
def test_a_users_error_in_any_process_is_told_once_and_ends_all(home, capfd, ranks):
    with pytest.raises(SystemExit) as ended:
        share(lambda: fail(UserError("file: field: wrong"), *ranks), 2)
    assert ended.value.code == 1
    assert capfd.readouterr().err == "error: file: field: wrong\n"


def test_any_other_error_is_told_by_whom_it_befalls_alone(home, capfd):
    with pytest.raises(SystemExit):
        share(lambda: fail(ZeroDivisionError("a fault"), 1), 2)
    said = capfd.readouterr().err
    assert said.count("Traceback") == 1
    assert said.endswith("ZeroDivisionError: a fault\n")


def test_a_process_that_is_killed_is_told(home):
    def work():
        if rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)

    with pytest.raises(UserError, match=r"^process 2 of 2 was ended by SIGKILL$"):
        share(work, 2)


def test_no_more_processes_than_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError, match=r"^LGTM_PROCESSES=4: more processes than GPUs .*; set at most 2$"):
        processes.launch(lambda: None, 4)


@pytest.mark.parametrize("said", ["0", "two", "-1", "1.5", ""])
def test_what_is_no_number_of_processes_is_told(monkeypatch, said):
    monkeypatch.setenv("LGTM_PROCESSES", said)
    with pytest.raises(UserError, match=rf"^LGTM_PROCESSES={said}: should be a number of processes from 1 on$"):
        processes.asked()


def test_a_rank_alone_makes_no_process_that_writes_nothing(monkeypatch):
    monkeypatch.setenv("RANK", "3")  # as a scheduler of jobs may export it
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert processes.is_main()
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert not processes.is_main()


def test_a_stage_with_nothing_to_share_runs_by_itself(monkeypatch):
    ran = []
    monkeypatch.setenv("LGTM_PROCESSES", "2")
    stage._in_processes("report", lambda: ran.append(1))
    assert ran == [1]
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match=r"^report has nothing to share among processes; start it by itself$"):
        stage._in_processes("report", lambda: ran.append(2))


def test_cells_of_several_processes_are_fewer_at_a_time(monkeypatch):
    monkeypatch.setattr(jobs, "count_cores", lambda: 8)
    monkeypatch.setattr(jobs, "gpu_memory", lambda: None)
    for asked, cells in {"1": 8, "2": 4, "3": 2, "16": 1}.items():
        monkeypatch.setenv("LGTM_PROCESSES", asked)
        assert jobs.default_jobs()() == cells


SCRIPT = """
import os
import sys
from pathlib import Path

from lgtm.config import read_yaml
from lgtm.processes import wait


def main(seed: int) -> None:
    read_yaml("params.yaml")
    wait()
    print("shown", file=sys.stderr)
    Path(os.environ["RANK"]).touch()
    wait()
    if seed == 2:
        Path("params.yaml").write_text("temperature: 5")
"""


def test_the_command_of_a_stage_is_the_same_for_several_processes(tmp_path):
    """The environment alone says how many; what is shown is shown once, and a mistake too."""
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/__init__.py").touch()
    (tmp_path / "stages/own.py").write_text(SCRIPT)
    (tmp_path / "params.yaml").write_text("temperature: 3")
    environment = os.environ | {"PYTHONPATH": str(tiny.ROOT / "src"), "LGTM_PROCESSES": "2"}
    for seed, (status, said) in {
        1: (0, "shown\n"),
        2: (1, "shown\nerror: params.yaml: changed while own ran with what it was before; run it again\n"),
    }.items():
        command = [sys.executable, "-m", "lgtm.stage", "own", "--seed", str(seed)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (status, said)
        assert Path(tmp_path, "0").exists()
        assert Path(tmp_path, "1").exists()
