"""Predict the test role, once, with an arm's student and the teacher that it made, and measure them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from lgtm.networks.determinism import make_deterministic
from lgtm.networks.metrics import METRICS, agreement, evaluate_logits
from lgtm.networks.prediction import predict
from lgtm.params import load_params
from lgtm.processes import by_main
from stages.artifacts import (
    LEADERBOARD,
    WARMUP,
    cell,
    chosen_teacher,
    evaluation,
    existing,
    is_network,
    read_columns,
    read_json,
    read_matrix,
    read_role,
    require_rows_of,
    role_path,
    write_rows,
    write_table,
    write_tsv,
)
from stages.network import Network
from stages.teachers import Teacher


def main(seed: int, arm: str) -> None:
    """Write results (a long table), predictions and logits to work/evaluation/<seed>/<arm>.

    Where the task has a leaderboard and params.yaml asks for it, also its files of predictions, in leaderboard/.
    """
    settings = load_params().evaluate
    make_deterministic(0)
    out = evaluation(seed, arm)
    measured = Measured(settings.batch_size)
    made = made_teacher(seed, arm)
    if made:
        teacher_logits = measured.add("teacher", Teacher(made))
    else:
        require_rows_of(["test"], path := evaluation(seed, WARMUP) / "teacher.parquet")
        teacher_logits = read_matrix(path, "logits")
    student = Network(cell(seed, arm, "student"))
    measured.add("student", student, teacher_logits)
    measured.write(out)
    if settings.leaderboard:
        write_leaderboard(out / "leaderboard", student, settings.batch_size)


class Measured:
    """What networks predict of the test role, and how well."""

    def __init__(self, batch_size: int):
        existing(role_path("test"), "sample_id", "part", "label")
        self.batch_size, self.test = batch_size, read_role("test")
        self.results: list[dict] = []
        self.logits: dict[str, np.ndarray] = {}

    def add(self, model: str, network: Network | Teacher, teacher_logits: np.ndarray | None = None) -> np.ndarray:
        """Predict and measure a network or a teacher, a student also by its agreement with its teacher; its logits.

        model: what the results call it.
        """
        logits = network.predict("test", self.batch_size)
        for part, rows, labels in self._parts():
            values = evaluate_logits(logits[rows], labels, network.task["metrics"])
            if teacher_logits is not None:
                values["agreement"] = agreement(logits[rows], teacher_logits[rows])
            self._note(model, part, values | size(network))
        self.logits[model] = logits
        return logits

    def add_constant(self, model: str, label: int, metrics: list[str]) -> None:
        """Measure who says one class of every row, whatever the text."""
        for part, _, labels in self._parts():
            self._note(model, part, {name: METRICS[name](labels, np.full_like(labels, label)) for name in metrics})

    def _parts(self) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Every part of the test: its name, which rows it has, and their labels."""
        for part in self.test["part"].unique():
            rows = (self.test["part"] == part).to_numpy()
            yield part, rows, self.test["label"].to_numpy()[rows]

    def _note(self, model: str, part: str, values: dict[str, float]) -> None:
        self.results += [
            {"model": model, "part": part, "metric": name, "value": value} for name, value in values.items()
        ]

    @by_main
    def write(self, folder: Path) -> None:
        """Write results.parquet, and a table of predictions per model."""
        write_rows(folder / "results.parquet", pd.DataFrame(self.results))
        for model, logits in self.logits.items():
            columns = {name: self.test[name] for name in ("part", "label")}
            columns |= {"predicted": logits.argmax(-1), "logits": logits}
            write_table(folder / f"{model.replace(' ', '-')}.parquet", self.test["sample_id"], **columns)


def made_teacher(seed: int, arm: str) -> Path | None:
    """The folder of the teacher that an arm made, before its student or beside it; None where it made none."""
    places = [
        chosen_teacher(cell(seed, arm, "teacher"), cell(seed, arm, "student")),
        cell(seed, arm, "student", "teacher"),
    ]
    return next((place for place in places if is_network(place)), None)


def size(measured: Network | Teacher) -> dict[str, float]:
    """Number of parameters, and their size as stored in fp32; nothing of a file of answers."""
    networks = [measured] if isinstance(measured, Network) else measured.networks
    if not networks:
        return {}
    parameters = sum(parameter.numel() for network in networks for parameter in network.model.parameters())
    return {"parameters": parameters, "megabytes": parameters * 4 / 1e6}


def write_leaderboard(folder: Path, student: Network, batch_size: int) -> None:
    """Predict the rows whose labels are hidden: a file for each that the card names, with the columns GLUE asks for."""
    rows, classes = read_columns(LEADERBOARD / "texts.parquet"), read_json(LEADERBOARD / "classes.json")
    for name, own in rows.groupby("file"):
        logits = predict(student.model, student.encode_frame(own), batch_size)
        predicted = [classes[index] for index in logits.argmax(-1)]
        write_tsv(folder / name, own[["index"]].assign(prediction=predicted))
