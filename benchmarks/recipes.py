"""Our teacher and `kd` with their recipe beside what a user would do otherwise, on real data.

    PYTHONPATH=src python -m benchmarks.recipes ../recipes --data ../shared/data --checkpoint checkpoints/minilm \
      --tasks trec sst2 --rows 350 700 --seeds 1 2

Every cell (task, rows, seed) runs in a folder of its own below the first argument, with the recipe of recipes/ nearest
to its rows and the networks of pairs/minilm-to-2l.yaml; --checkpoint names a folder to take them from in place of the
hub. --data: a folder per task with parquet files. Beside our warm teacher stand a linear probe on its frozen,
mean-pooled states and transformers.Trainer; beside our student of `kd` the same two with the student's layers, and
sentence-transformers' model distillation with a probe (where the extra `peers` is installed). All have the same rows of
train, and Trainer's settings are chosen on selection as our checkpoints are. The task's first metric on test, in %, and
ours minus the best of the others. Ends in an error where a cell's work was not done.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pandas as pd
import yaml

from benchmarks import stages, workspace
from benchmarks.baselines import Roles, distilled_states, mean_states, probe, trainer
from benchmarks.peers import missing
from lgtm.config import read_yaml
from lgtm.errors import UserError
from lgtm.recipe import load_recipe
from stages.artifacts import INIT, WARMUP, evaluation, read_role, read_task

ROOT = Path(__file__).parents[1]
RECIPES = (350, 700, 3000)
PAIR = {"text": "sentence1", "text_pair": "sentence2", "label": "label"}
SINGLE = {"text": "sentence", "label": "label"}
# Folder, the file that is test, columns, classes, length in tokens.
TASKS = {
    "trec": ("trec", "test", SINGLE, ["ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"], 32),
    "ag_news": ("agnews", "test", SINGLE, ["World", "Sports", "Business", "Sci/Tech"], 64),
    "mrpc": ("mrpc", "test", PAIR, ["not_equivalent", "equivalent"], 80),
    "sst2": ("sst2", "validation", SINGLE, ["negative", "positive"], 32),
}
STAGES = (
    "prepare",
    "teacher_warmup",
    "student_warmup",
    "influence",
    "teacher_tailored",
    "distill",
    "evaluate_warmup",
    "evaluate",
)
OURS = {"teacher": "teacher", "student": "kd"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--checkpoint", help="a folder below checkpoints/")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--rows", nargs="+", type=int, default=list(RECIPES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--max-test", type=int, help="rows of test at most")
    parser.add_argument("-S", dest="changes", action="append", default=[], metavar="KEY=VALUE", help="after the recipe")
    parser.add_argument("--json", type=Path, help="file to keep the rows in")
    options = parser.parse_args()
    found = []
    for task in options.tasks:
        for rows in options.rows:
            folder = options.folder / f"{task}-{rows}"
            make(folder, task, rows, options)
            with chdir(folder):
                for seed in options.seeds:
                    for network, method, value in cell(seed):
                        found.append(
                            {"task": task, "rows": rows, "seed": seed, "network": network, "method": method}
                            | {"value": 100 * value}
                        )
                        print(*found[-1].values(), flush=True)
            if options.json:
                options.json.write_text(json.dumps(found, indent=2) + "\n")
    print(table(pd.DataFrame(found)))


def make(folder: Path, task: str, rows: int, options: argparse.Namespace) -> None:
    """Write the folder of a task with so many rows: its card and files, the pair, the recipe's settings."""
    place, test, columns, labels, max_length = TASKS[task]
    own = folder / "tasks" / task
    own.mkdir(parents=True, exist_ok=True)
    files = {"train": "train.parquet", "test": f"{test}.parquet"}
    for name in files.values():
        if not (options.data / place / name).is_file():
            raise UserError(f"{options.data / place / name}: no such file; --data has a folder per task")
        shutil.copy(options.data / place / name, own / name)
    card = {"description": f"{task}, {rows} rows", "source": "local", "files": files, "columns": columns}
    card |= {"labels": labels, "metrics": ["accuracy"], "max_length": max_length, "label_noise": 0.0}
    (own / "task.yaml").write_text(yaml.safe_dump(card))
    pair = read_yaml(ROOT / "pairs/minilm-to-2l.yaml")
    if options.checkpoint:
        for network in ("teacher", "student"):
            pair[network] = pair[network] | {"checkpoint": options.checkpoint}
            del pair[network]["revision"]
    (folder / "pairs").mkdir(exist_ok=True)
    (folder / "pairs/minilm.yaml").write_text(yaml.safe_dump(pair))
    nearest = min(RECIPES, key=lambda size: abs(size - rows))
    recipe = load_recipe(str(nearest), ROOT / "recipes")
    settings = {"task": task, "pair": "minilm", "seeds": options.seeds, "arms": ["kd"], "prepare.max_train": rows}
    if options.max_test:
        settings["prepare.max_test"] = options.max_test
    changes = [f"{key}={json.dumps(value)}" for key, value in (recipe | settings).items()]
    workspace.make(folder, [*changes, *options.changes])
    with chdir(folder):
        stages.run("prepare", {})


def cell(seed: int) -> Iterator[tuple[str, str, float]]:
    """Network, method and value on test of all that is compared, in the current folder."""
    for name in STAGES[1:]:
        item = {"seed": seed} | ({"arm": "kd"} if name in ("teacher_tailored", "distill", "evaluate") else {})
        stages.run(name, item)
    for network, place in (("teacher", evaluation(seed, WARMUP)), ("student", evaluation(seed, "kd"))):
        results = pd.read_parquet(place / "results.parquet").set_index(["model", "metric"])["value"]
        yield network, "ours", float(results[("teacher" if network == "teacher" else "student", "accuracy")])
    task = read_task()
    roles = Roles(*map(read_role, ("train", "selection", "test")), task["metrics"], task["max_length"])
    for network in ("teacher", "student"):
        folder = INIT / network
        yield (
            network,
            "probe",
            roles.score(probe(lambda texts, at=folder: mean_states(at, texts, task["max_length"]), roles)),
        )
        yield network, "Trainer", roles.score(trainer(folder, roles, seed))
    if not missing("sentence_transformers"):
        states = distilled_states(INIT / "teacher", INIT / "student", roles, seed)
        yield "student", "sentence-transformers", roles.score(probe(states, roles))


def table(found: pd.DataFrame) -> str:
    """Means over seeds, a line per task, rows and network, and ours minus the best of the others."""
    means = found.pivot_table(index=["task", "rows", "network"], columns="method", values="value", sort=False)
    means["ours - best"] = means["ours"] - means.drop(columns="ours").max(axis=1)
    return means.round(1).to_string()


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
