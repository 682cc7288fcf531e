"""A workspace whose report recommends a student: random networks, and figures that were written by hand."""

import json
from pathlib import Path

import pandas as pd
import workspace

from lgtm.config import read_yaml, settings_of
from lgtm.networks.models import classes
from stages import ship as stage
from stages.artifacts import DATA, cell, evaluation, read_role, write_json, write_rows

ABOVE = {"mean": 0.91, "low": 0.873, "high": 0.944, "n": 3}
SELECTION = {1: [0.4, 0.7, 0.6], 2: [0.4, 0.9, 0.5], 3: [0.4, 0.6, 0.8]}  # by seed, as it was trained


def write(ship: str = "kd") -> None:
    """Write it into the working directory: seeds 1 to 3 of the warm student and of kd."""
    workspace.write()
    workspace.settings(seeds=[1, 2, 3], arms=["kd"], distill__keep="best", student_warmup__keep="last")
    for seed, values in SELECTION.items():
        for number, parts in enumerate([("kd", "student"), ("student",)]):
            folder = cell(seed, *parts)
            workspace.write_network(folder, 10 * seed + number)
            name_classes(folder, workspace.LABELS)
            write_curve(folder, values)
        figures = {"accuracy": 0.9 + seed / 100, "nll": 0.25, "ece": 0.0625, "agreement": 0.95}
        rows = [{"model": "student", "part": "test", "metric": name, "value": value} for name, value in figures.items()]
        for arm in ("kd", "warmup"):
            write_rows(evaluation(seed, arm) / "results.parquet", pd.DataFrame(rows))
    write_reports(ship)
    stage.main()
    roles = {
        role: {"rows": len(rows := read_role(role)), "classes": {name: int((rows["label"] == index).sum())
               for index, name in enumerate(workspace.LABELS)}}
        for role in ("train", "feedback", "selection", "test")
    }  # fmt: skip
    noise = {"fraction": 0.1, "clean_roles": ["feedback"]}
    crossing = {"groups": 0, "near_duplicates": {"test": 2}}
    summary = {"roles": roles, "transfer": {"rows": 18}, "crossing": crossing, "label_noise": noise}
    write_json(DATA / "summary.json", summary)


def name_classes(folder: Path, labels: list[str]) -> None:
    """Name the classes in a network's configuration, as every stage does."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | classes(labels)))


def write_curve(folder: Path, values: list[float]) -> None:
    """Write an accuracy on selection as DVCLive does."""
    path = folder / "live/plots/metrics/selection/accuracy.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("step\taccuracy\n" + "".join(f"{step}\t{value}\n" for step, value in enumerate(values)))


def write_reports(ship: str) -> None:
    """Write what the stage report says of the present settings."""
    params = read_yaml("params.yaml")
    of = settings_of(params, read_yaml("pairs/tiny.yaml"), read_yaml("tasks/tiny/task.yaml"))
    write_json(Path("reports/summary.json"), {"of": of, "metric": "accuracy", "ship": ship})
    student = {"accuracy": ABOVE, "nll": ABOVE, "parameters": ABOVE}
    metrics = {"arms": {"kd": student}, "warm_student": student, "teachers": {"warmup": student}}
    write_json(Path("reports/metrics.json"), metrics | {"majority": {"accuracy": 0.5}})
