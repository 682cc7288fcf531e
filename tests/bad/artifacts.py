"""What a stage finds of another one's: not there, torn, another's, empty."""

import json
from collections.abc import Callable
from pathlib import Path

from bad.bench import Case

SEED, ARM = "--seed 1", "--seed 1 --arm tailored"
TRAIN, TASK, TARGETS = "work/data/train.parquet", "work/data/task.json", "work/runs/1/teacher/targets.parquet"
STUDENT, SCORES = "work/runs/1/student", "work/runs/1/influence/influence.parquet"
# By what is run: what it reads, and who writes that.
READ = {
    f"teacher_warmup {SEED}": {
        TASK: "prepare", TRAIN: "prepare", "work/data/selection.parquet": "prepare",
        "work/data/transfer.parquet": "prepare",
    },
    f"student_warmup {SEED}": {TRAIN: "prepare", "work/init/student/config.json": "prepare"},
    f"influence {SEED}": {
        TARGETS: "teacher_warmup", f"{STUDENT}/model.safetensors": "student_warmup",
        f"{STUDENT}/config.json": "student_warmup", "work/data/feedback.parquet": "prepare",
    },
    f"validation {SEED}": {
        SCORES: "influence", TARGETS: "teacher_warmup", f"{STUDENT}/model.safetensors": "student_warmup",
        "work/data/selection.parquet": "prepare",
    },
    f"teacher_tailored {ARM}": {
        TRAIN: "prepare", "work/runs/1/teacher/model.safetensors": "teacher_warmup", TARGETS: "teacher_warmup",
        SCORES: "influence", "work/runs/1/influence/cost.json": "influence",
    },
    f"distill {ARM}": {
        "work/runs/1/tailored/teacher/trials.json": "teacher_tailored",
        "work/runs/1/tailored/teacher/summary.json": "teacher_tailored",
        "work/runs/1/tailored/teacher/targets.parquet": "teacher_tailored",
        f"{STUDENT}/model.safetensors": "student_warmup", "work/data/selection.parquet": "prepare",
    },
    f"evaluate_warmup {SEED}": {
        "work/data/test.parquet": "prepare", TASK: "prepare",
        "work/runs/1/teacher/model.safetensors": "teacher_warmup",
    },
    f"evaluate {ARM}": {
        "work/data/test.parquet": "prepare", "work/data/leaderboard/texts.parquet": "prepare",
        "work/data/leaderboard/classes.json": "prepare",
        "work/runs/1/tailored/student/model.safetensors": "distill",
        "work/runs/1/tailored/teacher/model.safetensors": "teacher_tailored",
    },
    "evaluate --seed 1 --arm kd": {"work/evaluation/1/warmup/teacher.parquet": "evaluate_warmup"},
    "selection": {
        TASK: "prepare", "work/runs/1/kd/student/live/plots/metrics/selection/accuracy.tsv": "distill",
    },
    "report": {
        TASK: "prepare", "work/data/summary.json": "prepare", TRAIN: "prepare", SCORES: "influence",
        "work/data/transfer.parquet": "prepare", TARGETS: "teacher_warmup",
        "work/runs/1/tailored/teacher/targets.parquet": "teacher_tailored",
        "work/runs/1/kd/student/cost.json": "distill", "work/runs/1/tailored/teacher/cost.json": "teacher_tailored",
        "work/validation/1/validation.json": "validation", "work/evaluation/1/kd/results.parquet": "evaluate",
        "work/evaluation/1/kd/student.parquet": "evaluate",
        "work/evaluation/1/warmup/results.parquet": "evaluate_warmup",
        "work/runs/1/student/live/plots/metrics/selection/accuracy.tsv": "student_warmup",
        "work/runs/1/kd/student/environment.json": "distill",
    },
}  # fmt: skip
MAY_BE_MISSING = ("environment.json", "work/runs/1/tailored/teacher/model.safetensors", "transfer")
MISSING = "not there; the stage {} writes it: run dvc repro"
TORN = "the stage {} writes it: run dvc repro"


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def of(other: str) -> Callable[[Path], None]:
    """The content of another file of the workspace."""

    def swap(path: Path) -> None:
        root = next(parent for parent in path.parents if (parent / "params.yaml").exists())
        path.write_bytes((root / other).read_bytes())

    return swap


def rows(first: int, last: int) -> Callable[[Path], None]:
    """Some rows of a table alone."""

    def cut(path: Path) -> None:
        import pyarrow.parquet as pq

        pq.write_table(pq.read_table(path).slice(first, last - first), path)

    return cut


def without(key: str) -> Callable[[Path], None]:
    """JSON without a key."""

    def drop(path: Path) -> None:
        content = json.loads(path.read_text())
        del content[key]
        path.write_text(json.dumps(content))

    return drop


def _damages() -> list[Case]:
    cases = []
    for run, files in READ.items():
        for path, stage in files.items():
            name = f"{run.replace('--seed 1', '').replace('--arm ', '')}: {path}"
            if not any(part in path for part in MAY_BE_MISSING):
                cases.append(Case(f"{name} missing", (f"{path}: {MISSING.format(stage)}",), run, without=(path,)))
            damage = empty if path.endswith(".tsv") else half  # some rows less are a curve too
            says = (f"{path}: ", TORN.format(stage))
            cases.append(Case(f"{name} {damage.__name__}", says, run, files={path: damage}))
    return cases


def _started_before_its_inputs() -> list[Case]:
    started = [
        f"teacher_warmup {SEED}", f"student_warmup {SEED}", f"influence {SEED}", f"validation {SEED}",
        f"teacher_tailored {ARM}", f"distill {ARM}", f"rounds {ARM}", "selection", f"evaluate_warmup {SEED}",
        f"evaluate {ARM}", f"evaluate_rounds {ARM}", "report",
    ]  # fmt: skip
    before = [Case(f"{run}: nothing was run", ("work/", "run dvc repro"), run, without=("work",)) for run in started]
    before += [
        Case(f"{run}: no runs", ("work/runs/1/", MISSING.split("{}")[0]), run, without=("work/runs",))
        for run in started
        if "warmup" not in run
    ]
    alone = [
        # what is run, what is not there, what the line says
        (
            "teacher_warmup",
            "work/init/teacher/config.json",
            "work/init/teacher: has 0 networks with a config.json, and",
        ),
        ("student_warmup", "work/init/student", "work/init/student/config.json: not there; the stage prepare writes"),
        ("evaluate_warmup", f"{STUDENT}/tokenizer.json", f"{STUDENT}: no network can be made of it"),
        ("evaluate_warmup", "work/runs/1/teacher", "work/runs/1/teacher: no network there, and no answers beside the"),
    ]
    return before + [Case(f"{run}: no {path}", (says,), f"{run} {SEED}", without=(path,)) for run, path, says in alone]


SWAPPED = [
    # what is run, the file, whose content it has, what the line says
    (f"teacher_warmup {SEED}", TRAIN, of(TARGETS), "has no 'text'; the stage prepare"),
    (f"teacher_warmup {SEED}", TASK, of("work/data/summary.json"), "has no 'labels'; the stage prepare"),
    (f"teacher_warmup {SEED}", "work/init/teacher/config.json", of(TASK), "has no 'model_type'; the stage prepare"),
    (f"influence {SEED}", TARGETS, of(SCORES), "has no 'logits'; the stage teacher_warmup"),
    (f"influence {SEED}", TARGETS, rows(0, 20), "has 20 rows, and train and transfer "),
    (
        f"influence {SEED}",
        f"{STUDENT}/model.safetensors",
        of("work/runs/1/teacher/model.safetensors"),
        "no network can",
    ),
    (f"influence {SEED}", f"{STUDENT}/tokenizer.json", of(TASK), "work/runs/1/student: no network can be made of it"),
    (f"influence {SEED}", f"{STUDENT}/config.json", "{}", "has no 'model_type'; the stage student_warmup"),
    (f"influence {SEED}", f"{STUDENT}/config.json", '{"model_type": "x"}', "work/runs/1/student: no network can"),
    (f"validation {SEED}", SCORES, of(TARGETS), "has no 'influence'; the stage influence"),
    (f"validation {SEED}", SCORES, rows(0, 20), "has 20 rows, and train and transfer "),
    (f"teacher_tailored {ARM}", TARGETS, rows(5, 30), "has 25 rows, and train and transfer "),
    (f"teacher_tailored {ARM}", SCORES, rows(5, 30), "has 25 rows, and train and transfer "),
    (
        f"teacher_tailored {ARM}",
        SCORES,
        of("work/data/transfer.parquet"),
        "has 20 rows, and train and ",
    ),
    (f"distill {ARM}", "work/runs/1/tailored/teacher/targets.parquet", of(TRAIN), "has no 'row'"),
    (f"distill {ARM}", "work/runs/1/tailored/teacher/summary.json", "[]", "has no 'roles'; the stage teacher_tailored"),
    (f"distill {ARM}", "work/runs/1/tailored/teacher/trials.json", of(TASK), "targets.parquet: not there"),
    ("evaluate --seed 1 --arm kd", "work/evaluation/1/warmup/teacher.parquet", rows(0, 3), "has 3 rows, and test "),
    (f"evaluate {ARM}", "work/data/test.parquet", of("work/data/transfer.parquet"), "has no 'part'; the stage prepare"),
    ("report", "work/data/summary.json", without("transfer"), "has no 'transfer'; the stage prepare"),
    ("report", "work/data/summary.json", "null", "work/data/summary.json: "),
    ("report", SCORES, rows(0, 20), "has 20 rows, and train and transfer "),
    ("report", TARGETS, rows(0, 20), "has 20 rows, and train and transfer "),
    ("report", "work/evaluation/1/kd/results.parquet", of("work/evaluation/1/kd/student.parquet"), "has no 'model'"),
    ("report", "work/runs/1/kd/student/live/plots/metrics/selection/accuracy.tsv", "a\tb\n1\t2\n", "has no 'step'"),
]
CASES = [
    *_damages(),
    *_started_before_its_inputs(),
    *(Case(f"{run}: {path} swapped {n}", (says,), run, files={path: content})
      for n, (run, path, content, says) in enumerate(SWAPPED)),
]  # fmt: skip
