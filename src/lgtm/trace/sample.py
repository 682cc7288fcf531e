"""One row of a task: where it was read, its role and label, its influence by seed, and what is said of it."""

import importlib
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from lgtm.errors import UserError
from lgtm.trace.origin import Origin, origin

ROLES = ("train", "transfer", "feedback", "selection", "test")
TAUGHT = ("train", "transfer")  # the roles that are scored and taught
WARM_TEACHER, WARM_STUDENT = "warm teacher", "warm student"


@dataclass(frozen=True)
class Said:
    """The class that somebody says of a sample in a seed, and its probability; label None: nothing, and `why`."""

    who: str
    seed: int
    label: str | None
    probability: float = 0.0
    why: str = ""


@dataclass
class Sample:
    """All that is known of a row; influence: seed -> (under the teacher, under the label, rank from 1, of how many)."""

    id: str
    role: str
    texts: dict[str, str]
    label: str | None
    truth: str | None
    origin: Origin
    influence: dict[int, tuple[float, float, int, int]] = field(default_factory=dict)
    teachers: list[Said] = field(default_factory=list)
    students: list[Said] = field(default_factory=list)


def find_sample(sample_id: str, seeds: list[int], arms: list[str], task: str, run: bool) -> Sample:
    """Look a row up in the tables of the run. run: let students say what no table has. Raises UserError for none."""
    artifacts = importlib.import_module("stages.artifacts")
    labels = artifacts.read_task()["labels"]
    role, row = _row(artifacts, sample_id, task)
    texts = {name: row[name] for name in ("text", "text_pair") if name in row}
    named = [labels[int(row[name])] if name in row else None for name in ("label", "true_label")]
    sample = Sample(sample_id, role, texts, *named, origin(sample_id, task))
    if role in TAUGHT:
        _score(sample, artifacts, seeds)
        sample.teachers = [said for seed in seeds for said in _taught(artifacts, sample, seed, arms, labels)]
    if role == "test":
        _predicted(sample, artifacts, seeds, arms, labels)
    elif run:
        _let_students_speak(sample, artifacts, seeds, arms, row, labels)
    return sample


def _row(artifacts, sample_id: str, task: str) -> tuple[str, dict[str, Any]]:
    for role in ROLES:
        path = artifacts.existing(artifacts.role_path(role), "sample_id", "text")
        rows = pd.read_parquet(path, filters=[("sample_id", "==", sample_id)])
        if len(rows):
            return role, rows.iloc[0].to_dict()
    where = origin(sample_id, task)
    why = "empty, its text or group stands in another role, or it is beyond a limit of params.yaml: prepare"
    if where.read:
        raise UserError(f"{sample_id}: in no role: prepare dropped {where.place} ({why})")
    if where.unseen:
        raise UserError(f"{sample_id}: in no role: there is no {where.place}, or prepare dropped it ({why})")
    raise UserError(f"{sample_id}: no such sample; {where.place}")


# --- what tables have ---


def _place(path: Path, sample_id: str) -> int | None:
    """The place of a sample in a table."""
    ids = pq.read_table(path, columns=["sample_id"]).column(0).to_numpy(zero_copy_only=False)
    found = np.flatnonzero(ids == sample_id)
    return int(found[0]) if len(found) else None


def _score(sample: Sample, artifacts, seeds: list[int]) -> None:
    for seed in seeds:
        path = artifacts.existing(artifacts.cell(seed, "influence") / "influence.parquet", "influence")
        scores = pd.read_parquet(path, columns=["sample_id", "influence", "influence_label"]).set_index("sample_id")
        same = scores.index.str.startswith("transfer-") == (sample.role == "transfer")
        if sample.id in scores.index:
            own = scores.loc[sample.id]
            rank = int((scores.loc[same, "influence"] > own["influence"]).sum()) + 1
            sample.influence[seed] = (float(own["influence"]), float(own["influence_label"]), rank, int(same.sum()))


def _taught(artifacts, sample: Sample, seed: int, arms: list[str], labels: list[str]) -> list[Said]:
    """What the warm teacher and the teacher of every arm say of a row that is taught."""
    warm = artifacts.cell(seed, "teacher") / "targets.parquet"
    found = [_said(WARM_TEACHER, seed, _logits(artifacts, warm, sample.id), labels)]
    for arm in arms:
        folder = artifacts.chosen_teacher(artifacts.cell(seed, arm, "teacher"), artifacts.cell(seed, arm, "student"))
        path, summary = folder / "targets.parquet", artifacts.read_json(folder / "summary.json")
        who = f"teacher of {arm}"
        if _place(artifacts.existing(path, "sample_id"), sample.id) is None:
            found.append(Said(who, seed, None, why="not taught by it"))
        elif "logits" in pq.read_schema(path).names:
            found.append(_said(who, seed, _logits(artifacts, path, sample.id), labels))
        elif summary["warm"]:
            found.append(_said(who, seed, _logits(artifacts, warm, sample.id), labels))
        else:
            found.append(Said(who, seed, None, why="no fixed answers: the labels alone, or a teacher that learns too"))
    return found


def _logits(artifacts, path: Path, sample_id: str) -> np.ndarray | None:
    artifacts.existing(path, "sample_id", "logits")
    rows = pd.read_parquet(path, columns=["logits"], filters=[("sample_id", "==", sample_id)])
    return np.asarray(rows["logits"].iloc[0], np.float64) if len(rows) else None


def _said(who: str, seed: int, logits: np.ndarray | None, labels: list[str]) -> Said:
    if logits is None:
        return Said(who, seed, None, why="has not spoken of it")
    probabilities = np.exp(logits - logits.max())
    probabilities /= probabilities.sum()
    best = int(probabilities.argmax())
    return Said(who, seed, labels[best], float(probabilities[best]))


def _predicted(sample: Sample, artifacts, seeds: list[int], arms: list[str], labels: list[str]) -> None:
    """What evaluate wrote of a row of the test."""
    for seed, arm in product(seeds, (artifacts.WARMUP, *arms)):
        folder = artifacts.evaluation(seed, arm)
        names = (WARM_TEACHER, WARM_STUDENT) if arm == artifacts.WARMUP else (f"teacher of {arm}", arm)
        for model, who, said in zip(("teacher", "student"), names, (sample.teachers, sample.students), strict=True):
            path = folder / f"{model}.parquet"
            if model == "student" or path.is_file():  # an arm that makes no teacher has none
                said.append(_said(who, seed, _logits(artifacts, path, sample.id), labels))


# --- what has to be run ---


def _let_students_speak(
    sample: Sample, artifacts, seeds: list[int], arms: list[str], row: dict[str, Any], labels: list[str]
) -> None:
    """What the students say of a row that evaluate does not read: each is loaded, and reads the one text."""
    network = importlib.import_module("stages.network")
    from lgtm.networks.training import predict

    frame = pd.DataFrame([{"label": artifacts.UNLABELLED, **row}])
    for seed, arm in product(seeds, ("", *arms)):
        student = network.Network(artifacts.cell(seed, *filter(None, [arm]), "student"))
        logits = predict(student.model, student.encode_frame(frame), 1)
        sample.students.append(_said(arm or WARM_STUDENT, seed, np.asarray(logits[0], np.float64), labels))
