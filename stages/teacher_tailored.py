"""Make an arm's teacher: the warm one, or one trained further, tailored to this student, or several."""

import numpy as np

from lgtm.arms.shared.lesson import Targets
from lgtm.arms.shared.settings import ArmSettings
from lgtm.demands import require_what_is_asked
from lgtm.inputs import digest
from lgtm.networks.pairs import load_pair
from lgtm.params import ARMS, load_params
from lgtm.seconds import timed
from stages.artifacts import (
    TAUGHT,
    cell,
    read_roles,
    require_rows_of,
    trial_folder,
    write_cost,
    write_json,
    write_table,
)
from stages.lesson import Lesson


def main(seed: int, arm: str) -> None:
    """Write the teacher's outputs, and the teacher where it is new, to work/runs/<seed>/<arm>/teacher.

    Where the arm has several settings to choose from, theirs stand in its folder trials; trials.json has their names.
    """
    params = load_params()
    require_what_is_asked(load_pair(params.pair), params)
    scores, out = cell(seed, "influence") / "influence.parquet", cell(seed, arm, "teacher")
    require_rows_of(TAUGHT, cell(seed, "teacher") / "targets.parquet", scores)
    with timed(out / "trials.json"):
        teach(arm, Lesson(seed, params, cell(seed, "teacher"), scores, out))


def teach(arm: str, lesson: Lesson) -> None:
    """Let an arm make its targets and write them."""
    settings, out = getattr(lesson.params.teacher_tailored, arm), lesson.out
    trials = dict(settings.trials()) or {"": settings}
    for name, tried in trials.items():
        lesson.out = trial_folder(out, name)
        write_targets(arm, tried, lesson)
    write_json(out / "trials.json", {name: digest(trial_folder(out, name) / "targets.parquet") for name in trials})
    write_cost(out, **lesson.costs)
    if lesson.environment:
        write_json(out / "environment.json", lesson.environment)


def write_targets(arm: str, settings: ArmSettings, lesson: Lesson) -> None:
    """Write what a student is taught to lesson.out: targets.parquet, a row per sample, and how in summary.json."""
    targets = ARMS[arm].teach(settings, lesson)
    roles = targets.roles or TAUGHT
    sample_id = read_roles(roles, ["sample_id", "label"])["sample_id"]
    rows = np.arange(len(sample_id)) if targets.kept is None else targets.kept
    columns = {}
    if targets.logits is not None:
        columns["logits"] = targets.logits[rows]
        if targets.weights is not None:
            columns["weight"] = targets.weights.astype(np.float32)[rows]
        if lesson.params.distill.hidden_weight and targets.hidden:
            columns["hidden"] = hidden_states(lesson, targets, roles)[rows]
    write_table(lesson.out / "targets.parquet", sample_id.iloc[rows].reset_index(drop=True), row=rows, **columns)
    write_json(
        lesson.out / "summary.json",
        {"roles": roles, "rows": targets.rows, "longer": targets.longer, "steps": targets.steps},
    )


def hidden_states(lesson: Lesson, targets: Targets, roles: tuple[str, ...]) -> np.ndarray:
    """The teacher's last layer at the first position, for every row of these roles."""
    from stages.teachers import Teacher

    (network,) = (targets.teacher or Teacher(lesson.teacher)).networks
    before = network.passes.total()["forward"]
    hidden = network.predict(roles, lesson.params.distill.batch_size, hidden=True)[1]
    after = network.passes.total()
    lesson.bear({"teacher": after | {"forward": after["forward"] - before, "backward": 0}})
    return hidden
