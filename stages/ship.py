"""Set aside the student that the report recommends, of the seed that does best on selection, and its teacher."""

import shutil
from pathlib import Path

from lgtm.params import Params, load_params
from lgtm.report.recommendation import NOTHING, WARM_STUDENT
from stages.artifacts import REPORTS, cell, is_network, member_folders, read_json, read_task, write_json
from stages.selection import kept_score

SHIP = Path("work/ship")
# What lies in a network's folder besides the network: how it was made and what it said.
BESIDES = ("cost.json", "choice.json", "summary.json", "trials.json", "second_moments.safetensors", "targets.parquet")


def main() -> None:
    """Write the networks and which they are to work/ship; only the latter where the report recommends no student.

    The test has chosen the arm, as the report says; it has no say in which seed's student.
    """
    params, what = load_params(), read_json(REPORTS / "summary.json", "ship")["ship"]
    if what == NOTHING:
        write_json(SHIP / "choice.json", {"ship": what})
        return
    arm = None if what == WARM_STUDENT else what
    scores = {seed: kept_score(folder_of(seed, arm), *rule(params, arm)) for seed in params.seeds}
    seed = max(scores, key=scores.get)  # the first listed of equals
    copy(folder_of(seed, arm), SHIP / "student")
    if teacher := teacher_of(seed, arm):
        for place in member_folders(teacher):
            copy(place, SHIP / "teacher" / place.relative_to(teacher))
    write_json(SHIP / "choice.json", {"ship": what, "seed": seed, "selection": scores})


def folder_of(seed: int, arm: str | None) -> Path:
    """The folder of an arm's student, or without an arm of the warm one."""
    return cell(seed, *([arm] if arm else []), "student")


def rule(params: Params, arm: str | None) -> tuple[str, str]:
    """The official metric, and which of a training's students was kept."""
    return read_task()["metrics"][0], (params.distill if arm else params.student_warmup).keep


def teacher_of(seed: int, arm: str | None) -> Path | None:
    """The arm's own teacher, else the warm one; None where that is a file of answers."""
    places = [cell(seed, arm, "teacher")] if arm else []
    return next((place for place in [*places, cell(seed, "teacher")] if is_network(place)), None)


def copy(network: Path, place: Path) -> None:
    """Copy a network: the files that it is loaded from, and where it was trained."""
    place.mkdir(parents=True)
    for path in network.iterdir():
        if path.is_file() and path.name not in BESIDES:
            shutil.copy(path, place / path.name)
