"""Two runs: settings that differ, figures paired by seed, and the test rows of which they say another class."""

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lgtm.compare.revisions import Revision
from lgtm.compare.runs import DONE, shown
from lgtm.errors import UserError
from lgtm.report.names import SIZES, WARMUP, range_of
from lgtm.report.statistics import Interval, interval, paired_difference

STUDENT = "student"
ABSENT = "–"


@dataclass(frozen=True)
class Comparison:
    """What two runs have in common and what not; where figures or samples are missing, `notes` says why.

    settings: key, A's value, B's; inputs: code and data with other bytes; figures: name, A's, B's, of
    reports/summary.json, where no arm's seeds are at hand in both. metrics: (arm, metric, A, B, B − A over the
    seeds of both, or None). changed: by arm, over seeds: rows, seeds, changed, mended, broken (means over seeds).
    samples: sample_id, arm, seeds in which the prediction changed, of, label, a, b (the classes most seeds say), text.
    """

    a: str
    b: str
    settings: list[tuple[str, str, str]]
    inputs: list[str]
    seeds: list[int]
    figures: list[tuple[str, str, str]]
    metrics: list[tuple[str, str, Interval, Interval, Interval | None]]
    changed: pd.DataFrame
    samples: pd.DataFrame
    notes: list[str]


def compare_two(a: Revision, b: Revision) -> Comparison:
    """Hold one run against another. What is not at hand is noted and left out."""
    notes: list[str] = []
    cells = {run.name: _cells(run, notes) for run in (a, b)}
    both = [arm for arm in cells[a.name] if arm in cells[b.name]]
    for run, other in ((a, b), (b, a)):
        if alone := [arm for arm in cells[run.name] if arm not in cells[other.name]]:
            notes.append(f"{run.name} alone has {', '.join(alone)}")
    seeds = _common_seeds(a, b)
    same_test = _same_test(a, b)
    if both and not same_test:
        notes.append("the test rows differ, or are not known: differences are not of the settings alone")
    if both and not seeds:
        notes.append("no seed is in both: nothing is paired")
    changed, samples = pd.DataFrame(), pd.DataFrame()
    if same_test and seeds:
        changed, samples = _predictions(a, b, both, seeds, notes)
    return Comparison(
        a.name, b.name, _settings(a, b), _inputs(a, b), seeds, [] if both else _figures(a, b),
        _metrics(cells[a.name], cells[b.name], both, seeds), changed, samples, notes,
    )  # fmt: skip


def _settings(a: Revision, b: Revision) -> list[tuple[str, str, str]]:
    keys = dict.fromkeys([*a.settings, *b.settings])

    def value(run: Revision, key: str) -> str:
        return shown(run.settings[key]) if key in run.settings else ABSENT

    return [(key, value(a, key), value(b, key)) for key in keys if a.settings.get(key) != b.settings.get(key)]


def _inputs(a: Revision, b: Revision) -> list[str]:
    both = sorted(set(a.inputs) & set(b.inputs))
    return [path for path in both if a.inputs[path] != b.inputs[path]]


def _common_seeds(a: Revision, b: Revision) -> list[int]:
    return [seed for seed in a.run.settings["seeds"] if seed in b.run.settings["seeds"]]


def _same_test(a: Revision, b: Revision) -> bool:
    hashes = [run.hash_of("work/data/test.parquet") for run in (a, b)]
    return None not in hashes and hashes[0] == hashes[1]


# --- figures ---


def _figures(a: Revision, b: Revision) -> list[tuple[str, str, str]]:
    """The few figures that git has of two runs, where both have ended."""
    ours, theirs = a.run.figures, b.run.figures
    if not (ours and theirs):
        return []
    return [(name, shown(ours.get(name, ABSENT)), shown(theirs.get(name, ABSENT))) for name in {**ours, **theirs}]


def _cells(run: Revision, notes: list[str]) -> dict[str, pd.DataFrame]:
    """The students' metrics by arm, a row per seed; nothing of a run that has not ended, or that the cache lacks."""
    if run.run.state != DONE:
        notes.append(f"{run.name} is {run.run.state}: it has no figures of its own settings")
        return {}
    found, lacking = {}, []
    for arm in (WARMUP, *run.run.settings["arms"]):
        rows = {seed: _results(run, seed, arm) for seed in run.run.settings["seeds"]}
        if any(values is None for values in rows.values()):
            lacking.append(arm)
        else:
            found[arm] = pd.DataFrame(rows).T
    if lacking:
        notes.append(f"{run.name}: not all of {', '.join(lacking)} is in DVC's cache; dvc pull may bring it")
    return found


def _results(run: Revision, seed: int, arm: str) -> pd.Series | None:
    """The metrics of a student: the first part of the test by their names, others with the part behind it."""
    file = run.cached(f"work/evaluation/{seed}/{arm}/results.parquet")
    if file is None:
        return None
    rows = pd.read_parquet(file)
    rows = rows[(rows["model"] == STUDENT) & ~rows["metric"].isin(SIZES)]
    first = rows["part"].iloc[0]
    names = rows["metric"].where(rows["part"] == first, rows["metric"] + "_" + rows["part"])
    return pd.Series(rows["value"].to_numpy(), index=names)


def _metrics(a: dict, b: dict, arms: list[str], seeds: list[int]) -> list[tuple]:
    rows = []
    for arm in arms:
        for metric in (name for name in a[arm] if name in b[arm]):
            ours, theirs = a[arm][metric], b[arm][metric]
            paired = paired_difference(theirs.loc[seeds], ours.loc[seeds]) if seeds else None
            rows.append((arm, metric, interval(ours, range_of(metric)), interval(theirs, range_of(metric)), paired))
    return rows


# --- predictions ---


def _predictions(
    a: Revision, b: Revision, arms: list[str], seeds: list[int], notes: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Over arms: how many predictions changed, and a table of the samples."""
    counts, tables = [], []
    for arm in arms:
        joined = [_joined(a, b, seed, arm) for seed in seeds]
        if any(rows is None for rows in joined):
            notes.append(f"{arm}: not all predictions are in DVC's cache; which samples changed is not known")
            continue
        rows = pd.concat(joined, ignore_index=True)
        other = rows["predicted_a"] != rows["predicted_b"]
        right_a, right_b = (rows[f"predicted_{run}"] == rows["label"] for run in "ab")
        flags = {"changed": other, "mended": right_b & ~right_a, "broken": right_a & ~right_b}
        means = {name: flag.sum() / len(seeds) for name, flag in flags.items()}
        counts.append({"arm": arm, "rows": len(joined[0]), "seeds": len(seeds)} | means)
        tables.append(_samples(rows, other, len(seeds)).assign(arm=arm))
    samples = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    return pd.DataFrame(counts), _named(a, samples)


def _joined(a: Revision, b: Revision, seed: int, arm: str) -> pd.DataFrame | None:
    files = [run.cached(f"work/evaluation/{seed}/{arm}/{STUDENT}.parquet") for run in (a, b)]
    if None in files:
        return None
    ours, theirs = (pd.read_parquet(file, columns=["sample_id", "label", "predicted"]) for file in files)
    return ours.merge(theirs.drop(columns="label"), on="sample_id", suffixes=("_a", "_b"), validate="one_to_one")


def _samples(rows: pd.DataFrame, other: pd.Series, seeds: int) -> pd.DataFrame:
    """The samples whose prediction changed in a seed, those of most seeds first."""
    by_sample = rows.assign(other=other).groupby("sample_id", sort=False)
    found = by_sample.agg(
        label=("label", "first"), a=("predicted_a", _most), b=("predicted_b", _most), changed=("other", "sum")
    )
    found = found[found["changed"] > 0].sort_values("changed", ascending=False, kind="stable")
    return found.assign(of=seeds).reset_index()


def _most(predicted: pd.Series) -> int:
    return int(np.bincount(predicted).argmax())


def _named(run: Revision, samples: pd.DataFrame) -> pd.DataFrame:
    """The samples with class names and texts, where the run's data is at hand."""
    if samples.empty:
        return samples
    task, test = run.cached("work/data/task.json"), run.cached("work/data/test.parquet")
    if task:
        names = json.loads(task.read_text(encoding="utf-8"))["labels"]
        samples = samples.assign(**{name: samples[name].map(dict(enumerate(names))) for name in ("label", "a", "b")})
    texts = pd.read_parquet(test).set_index("sample_id") if test else None
    if texts is None:
        return samples.assign(text="")
    columns = [column for column in ("text", "text_pair") if column in texts]
    return samples.assign(text=texts.loc[samples["sample_id"], columns].agg(" | ".join, axis=1).to_numpy())


def require_arm(comparison: Comparison, arm: str | None) -> str | None:
    """The arm whose samples are listed: the one that is asked for, else the last with samples. Raises UserError."""
    there = [] if comparison.samples.empty else list(dict.fromkeys(comparison.samples["arm"]))
    known = there if comparison.changed.empty else list(comparison.changed["arm"])
    if arm is not None and arm not in known:
        raise UserError(f"--arm {arm}: no predictions of it in both; there are {', '.join(known) or 'none'}")
    return arm or (there[-1] if there else None)
