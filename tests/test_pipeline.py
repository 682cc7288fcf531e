"""The whole graph on a tiny task: what runs, what does not, what comes back, and what a mistake looks like."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
import yaml

from lgtm.config import read_yaml

ROOT = Path(__file__).parents[1]
NETWORK = {"model_type": "bert", "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 32}
PAIR = {
    "description": "two tiny BERTs",
    "tokenizer": {"vocab_size": 100},
    "teacher": {"config": NETWORK | {"hidden_size": 32, "intermediate_size": 64}, "learning_rate": 1e-3},
    "student": {"config": NETWORK | {"hidden_size": 16, "intermediate_size": 32}, "learning_rate": 1e-3},
}
TASK = {
    "description": "good or bad",
    "source": "local",
    "files": {"train": "train.csv"},
    "columns": {"text": "text", "text_pair": None, "label": "label"},
    "metrics": ["accuracy"],
    "max_length": 16,
    "label_noise": 0.1,
}


class Project:
    """A copy of the project with a tiny task, driven as a user drives it."""

    def __init__(self, root: Path):
        self.root = root
        tracked = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        for name in tracked.stdout.splitlines():
            if (ROOT / name).is_file() and name not in ("dvc.lock", "reports/summary.json", "reports/timings.json"):
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, root / name)
        (root / "pairs/tiny.yaml").write_text(yaml.safe_dump(PAIR))
        (root / "tasks/tiny").mkdir()
        (root / "tasks/tiny/task.yaml").write_text(yaml.safe_dump(TASK))
        self.write_rows([f"{i % 7} {text}" for i, text in enumerate(tiny.table(120)["text"])])
        self.params = read_yaml(ROOT / "params.yaml")
        self.edit(
            {"task": "tiny", "pair": "tiny", "seeds": [1], "arms": ["kd", "tailored"], "evaluate.latency_repeats": 2}
        )
        for section in ("teacher_warmup", "student_warmup", "distill", "teacher_tailored.retrain"):
            self.edit({f"{section}.epochs": 1, f"{section}.evaluations": 1, f"{section}.batch_size": 16})
        self("git", "init", "--quiet")
        self("git", "add", "--all")
        self("git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "--message", "start")

    def write_rows(self, texts: list[str], separator: str = ",") -> None:
        rows = [separator.join(["text", "label"])]
        rows += [separator.join([text, "fine" if "good" in text else "awful"]) for text in texts]
        (self.root / "tasks/tiny/train.csv").write_text("\n".join(rows) + "\n")

    def edit(self, changes: dict) -> None:
        for key, value in changes.items():
            *parents, last = key.split(".")
            section = self.params
            for parent in parents:
                section = section[parent]
            section[last] = value
        (self.root / "params.yaml").write_text(yaml.safe_dump(self.params, sort_keys=False))

    def __call__(self, *command: str, check: bool = True) -> str:
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        done = subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True)
        output = done.stdout + done.stderr
        assert not check or done.returncode == 0, output
        assert check or done.returncode != 0, output
        return output

    def repro(self, *options: str) -> set[str]:
        """Run `dvc repro` and return the stages that really ran."""
        output = self("dvc", "repro", *options)
        assert self("dvc", "status").strip() == "Data and pipelines are up to date."
        return set(re.findall(r"Running stage '(.+)':", output))

    def metrics(self) -> dict:
        return json.loads((self.root / "reports/metrics.json").read_text())


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    made = Project(tmp_path_factory.mktemp("project"))
    made.first = made.repro()
    return made


GATHER = {"evaluate", "report"}


def cells(seed: int, *arms: str) -> set[str]:
    warm = {f"{stage}@{seed}" for stage in ("teacher_warmup", "student_warmup", "influence")}
    return warm | {f"{stage}@{seed}-{arm}" for stage in ("teacher_tailored", "distill") for arm in arms}


def test_the_first_run_runs_everything_and_the_second_nothing(project):
    assert project.first == {"prepare"} | cells(1, "kd", "tailored") | GATHER
    assert project.repro() == set()
    results = (project.root / "reports/results.md").read_text()
    assert "tailored" in results
    assert project.metrics()["arms"]["kd"]["accuracy"]["n"] == 1


def test_a_forced_run_leaves_the_lock_unchanged(project):
    lock = project.root / "dvc.lock"
    before = lock.read_bytes()
    assert project.repro("--force") == project.first
    assert lock.read_bytes() == before


def test_a_change_runs_what_depends_on_it_and_setting_it_back_runs_nothing(project):
    before = project.metrics()
    project.edit({"distill.temperature": 5.0})
    assert project.repro() == {"distill@1-kd", "distill@1-tailored"} | GATHER
    project.edit({"distill.temperature": 2.0})
    assert project.repro() == set()
    assert project.metrics() == before
    weight = project.params["teacher_tailored"]["tailored"]["lambda"]
    project.edit({"teacher_tailored.tailored.lambda": 7.0})
    assert project.repro() == {"teacher_tailored@1-tailored", "distill@1-tailored"} | GATHER
    project.edit({"teacher_tailored.tailored.lambda": weight})
    assert project.repro() == set()
    assert project.metrics() == before


def test_a_seed_more_and_an_arm_less(project):
    project.edit({"seeds": [1, 2]})
    assert project.repro() == cells(2, "kd", "tailored") | GATHER
    assert project.metrics()["differences"]["tailored-kd"]["accuracy"]["n"] == 2
    project.edit({"seeds": [1], "arms": ["tailored"]})
    assert project.repro() == GATHER
    for name in ("metrics.json", "summary.json", "results.md"):
        assert not re.search(r"[|\"] ?kd\b", (project.root / "reports" / name).read_text())
    assert project.metrics()["arms"]["tailored"]["accuracy"]["n"] == 1


def test_a_teacher_that_learns_beside_its_student(project):
    project.edit({"arms": ["kd", "online"]})
    assert project.repro() == {"teacher_tailored@1-online", "distill@1-online"} | GATHER
    runs = project.root / "work/runs/1"
    student, moved, warm = runs / "online/student", runs / "online/student/teacher", runs / "teacher"
    weights = {folder: (folder / "model.safetensors").read_bytes() for folder in (student, moved, warm)}
    assert weights[moved] != weights[warm]
    assert set(project.metrics()["teachers"]) == {"warmup", "online"}
    # Without the test role it does the same again, from the same bytes to the same bytes.
    test = project.root / "work/data/test.parquet"
    rows = test.read_bytes()
    test.unlink()
    project("env", "PYTHONPATH=src", sys.executable, "stages/distill.py", "--seed", "1", "--arm", "online")
    test.write_bytes(rows)
    assert {folder: (folder / "model.safetensors").read_bytes() for folder in weights} == weights
    assert project.repro() == set()
    project.edit({"arms": ["tailored"]})
    assert project.repro() == GATHER


def error_of(output: str) -> str:
    """The one line of a stage's error, and no traceback."""
    assert "Traceback" not in output
    lines = [line for line in output.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, output
    return lines[0]


def test_mistakes_end_in_one_line_and_leave_the_report(project):
    results = (project.root / "reports/results.md").read_bytes()
    project.edit({"distill.temperature": -1.0})
    message = "error: params.yaml: distill.temperature: input should be greater than 0 (found -1.0)"
    assert error_of(project("dvc", "repro", check=False)) == message
    project.edit({"distill.temperature": 2.0})

    rows = [f"{i % 7} {text}" for i, text in enumerate(tiny.table(120)["text"])]
    project.write_rows(rows, separator=";")
    message = error_of(project("dvc", "repro", check=False))
    assert "tasks/tiny/train.csv" in message
    assert "separator: ';'" in message
    project.write_rows(rows)
    assert (project.root / "reports/results.md").read_bytes() == results
    assert project.repro() == set()


def test_two_runs_of_one_stage_do_not_write_side_by_side(project):
    from filelock import FileLock

    with FileLock(project.root / ".locks/report.lock"):
        output = project("dvc", "repro", "--force", "--single-item", "report", check=False)
    assert "report is already running" in error_of(output)
