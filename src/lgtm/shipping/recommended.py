"""Which student to ship: the one that the report recommends, as the stage ship has set it aside."""

import json
from pathlib import Path
from typing import NamedTuple

from lgtm.config import cards, read_yaml, settings_of
from lgtm.errors import UserError
from lgtm.handover import existing
from lgtm.report.recommendation import NOTHING, WARM_STUDENT

SUMMARY = Path("reports/summary.json")
RUNS = Path("work/runs")
SHIP = Path("work/ship")
OR_NAME = "or name a student's folder, such as work/runs/1/kd/student"


class Shipped(NamedTuple):
    """The folder of the student that is set aside; the cell that trained it; every seed's score on selection.

    The score is the official metric; the student's own seed comes first, then from high to low.
    """

    folder: Path
    cell: Path
    selection: dict[int, float]


def recommended() -> Shipped:
    """The student that the report of this project recommends, of the seed that does best on selection (stage ship).

    Raises UserError where there is no report, it is of other settings or recommends nothing, or another was set aside.
    """
    if not SUMMARY.is_file():
        raise UserError(f"{SUMMARY}: not there, so no student is recommended; run make repro, {OR_NAME}")
    summary = json.loads(existing(SUMMARY, "of", "ship").read_text(encoding="utf-8"))
    if summary["of"] != present_settings():
        raise UserError(
            f"{SUMMARY}: is of other settings than params.yaml and its cards are now; run make repro, {OR_NAME}"
        )
    what = summary["ship"]
    if what == NOTHING:
        raise UserError(f"{SUMMARY}: the report recommends no student, reports/results.md says why; {OR_NAME}")
    path = existing(SHIP / "choice.json", "ship")
    choice = json.loads(path.read_text(encoding="utf-8"))
    if choice["ship"] != what:
        raise UserError(f"{path}: is of {choice['ship']}, and the report recommends {what}; run dvc repro ship")
    seed, scores = choice["seed"], {int(seed): score for seed, score in choice["selection"].items()}
    ranked = dict(sorted(scores.items(), key=lambda item: (item[0] != seed, -item[1])))
    arm = [] if what == WARM_STUDENT else [what]
    return Shipped(SHIP / "student", RUNS.joinpath(str(seed), *arm, "student"), ranked)


def present_settings() -> str:
    """The digest of params.yaml and the cards it names, as the report's summary has it (`of`)."""
    params = read_yaml("params.yaml")
    return settings_of(params, *map(read_yaml, cards(params)))


def seed_and_arm(folder: Path) -> tuple[int, str | None] | None:
    """The seed and the arm (None: the warm student) of a student's folder in work/runs; None for any other folder."""
    try:
        seed, *arm, last = folder.resolve().relative_to(RUNS.resolve()).parts
    except ValueError:
        return None
    if last != "student" or len(arm) > 1 or not seed.isdigit():
        return None
    return int(seed), arm[0] if arm else None
