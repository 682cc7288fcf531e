"""What a file of predictions has: how its rows are found, and what kind of answer it gives."""

import re
from typing import Any

import numpy as np
import pandas as pd

from lgtm.errors import UserError
from lgtm.newtask.columns import text_like

SAMPLE = re.compile(r"[\w.-]+-\d+")
SMOOTHING = 0.1
CLOSE = 0.02  # to 1, of a sum of probabilities


def describe(table: pd.DataFrame, source: str, texts: dict[str, str], classes: list[str]) -> dict[str, Any]:
    """The keys of `teacher.predictions` that say how to read the file, but for the file. Raises UserError.

    texts: our name -> the task's column of texts.
    """
    names = [str(name) for name in table.columns]
    found_by = _found_by(table, names, source, texts)
    rest = [name for name in names if name not in found_by.values()]
    by_class = _match(rest, classes)
    if len(by_class) > 1:
        columns = table[list(by_class)]
        values = columns.apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
        renamed = {theirs: ours for theirs, ours in by_class.items() if theirs != ours}
        return found_by | _scores(values, source, classes, len(by_class) < len(classes)) | _labels(renamed)
    nested = [name for name in rest if table[name].map(lambda value: isinstance(value, (dict, list, np.ndarray))).all()]
    if nested:
        return found_by | _nested(table[nested[0]].tolist(), nested[0], source, classes)
    for name in rest:
        written = table[name].dropna().map(str).unique().tolist()
        matched = _match(written, classes)
        if written and len(matched) == len(written):
            renamed = {theirs: ours for theirs, ours in matched.items() if theirs != ours}
            return found_by | {"kind": "label", "label": name, "smoothing": SMOOTHING} | _labels(renamed)
    raise UserError(
        f"{source}: no answers in the task's classes, {', '.join(classes)}: neither columns of their names, nor one of"
        f" {{class: value}}, nor one of class names; found {', '.join(rest) or 'nothing more'}"
    )


def _found_by(table: pd.DataFrame, names: list[str], source: str, texts: dict[str, str]) -> dict[str, str]:
    if set(texts.values()) <= set(names):
        return dict(texts)
    for name in names:
        values = table[name].dropna()
        if len(values) and values.map(lambda value: isinstance(value, str) and bool(SAMPLE.fullmatch(value))).all():
            return {"id": name}
    like = text_like(table, names)
    if len(texts) == 1 and len(like) == 1:
        return {"text": like[0]}
    raise UserError(
        f"{source}: by what is a row found? no column {' and '.join(texts.values())}, as in the task, and none of ids"
        f" such as train-17; found {', '.join(names)}"
    )


def _match(written: list[str], classes: list[str]) -> dict[str, str]:
    """theirs -> ours, of names that are the same but for case and white space."""
    plain = {name.strip().casefold(): name for name in classes}
    return {name: plain[name.strip().casefold()] for name in written if name.strip().casefold() in plain}


def _labels(renamed: dict[str, str]) -> dict[str, Any]:
    return {"labels": renamed} if renamed else {}


def _nested(cells: list[Any], column: str, source: str, classes: list[str]) -> dict[str, Any]:
    values = np.full((len(cells), len(classes)), np.nan)
    renamed: dict[str, str] = {}
    for index, cell in enumerate(cells):
        if isinstance(cell, dict):
            given = {name: value for name, value in cell.items() if value is not None}  # parquet has all keys
            matched = _match(list(given), classes)
            if unknown := [name for name in given if name not in matched]:
                raise UserError(
                    f"{source}: row {index + 1}: {column} has {unknown[0]!r}, which is no class of the task; it has"
                    f" {', '.join(classes)}"
                )
            renamed |= {theirs: ours for theirs, ours in matched.items() if theirs != ours}
            for name, value in given.items():
                values[index, classes.index(matched[name])] = value
        elif len(cell) == len(classes):
            values[index] = np.asarray(cell, np.float64)
        else:
            raise UserError(
                f"{source}: row {index + 1}: {column} has {len(cell)} values, the task {len(classes)} classes"
            )
    return _scores(values, source, classes, False) | {"scores": column} | _labels(renamed)


def _scores(values: np.ndarray, source: str, classes: list[str], lacks_columns: bool) -> dict[str, Any]:
    """Which kind of numbers these are, by their range and their sums; values: N × C, NaN for what is not given."""
    if np.isnan(values).all(axis=1).any():
        raise UserError(f"{source}: row {int(np.isnan(values).all(axis=1).argmax()) + 1}: no number for any class")
    top = lacks_columns or bool(np.isnan(values).any())
    with np.errstate(over="ignore"):
        for kind, shares in (("probabilities", values), ("log_probabilities", np.exp(values))):
            sums = np.nansum(shares, axis=1)
            in_range = np.nanmin(values) >= 0 if kind == "probabilities" else np.nanmax(values) <= 0
            if in_range and (sums <= 1 + CLOSE).all() and (top or (sums >= 1 - CLOSE).all()):
                return {"kind": kind} | ({"top": True} if top else {})
    if top:
        raise UserError(
            f"{source}: some classes have no number, and the others are no probabilities; give one of every class"
        )
    return {"kind": "logits"}
