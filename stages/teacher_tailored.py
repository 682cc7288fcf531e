"""Make an arm's teacher: the warm one, or one trained further, tailored to this student, or several."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from lgtm.arms.shared.lesson import WARM, Targets
from lgtm.arms.shared.settings import ArmSettings
from lgtm.demands import require_what_is_asked
from lgtm.inputs import digest
from lgtm.networks.pairs import load_pair
from lgtm.params import ARMS, load_params
from lgtm.seconds import timed
from stages.artifacts import (
    TAUGHT,
    TEXTS,
    TableWriter,
    at,
    cell,
    count_rows,
    require_rows_of,
    role_chunks,
    role_path,
    trial_folder,
    write_cost,
    write_json,
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
    """Write what a student is taught to lesson.out: targets.parquet, a row per sample, and how in summary.json.

    Logits that are the warm teacher's own are not copied: summary.json says in which table they stand, as `warm`.
    """
    targets = ARMS[arm].teach(settings, lesson)
    roles, warm = targets.roles or TAUGHT, targets.logits is WARM
    every = sum(count_rows(role_path(role)) for role in roles)
    kept = np.arange(every) if targets.kept is None else targets.kept
    if (np.diff(kept) <= 0).any():  # they are looked up in tables that are read once, from their beginning on
        raise ValueError(f"{arm}: the places of the rows that are kept have to rise")
    columns = {} if warm or targets.logits is None else {"logits": targets.logits}
    if targets.weights is not None:
        columns["weight"] = targets.weights.astype(np.float32)
    matched = lesson.params.distill.hidden_weight and targets.hidden and targets.logits is not None
    states = hidden_states(lesson, targets) if matched else None
    with TableWriter(lesson.out / "targets.parquet") as table:
        for rows, places in at(kept, role_chunks(roles, ["sample_id", *TEXTS] if matched else ["sample_id"])):
            part = {name: values[places] for name, values in columns.items()}
            hidden = {"hidden": states(rows)} if matched else {}
            table.write(rows["sample_id"], row=places, **part, **hidden)
    how = {"roles": roles, "rows": targets.rows, "longer": targets.longer, "steps": targets.steps}
    write_json(lesson.out / "summary.json", how | {"warm": str(lesson.teacher / "targets.parquet") if warm else None})


def hidden_states(lesson: Lesson, targets: Targets) -> Callable[[pd.DataFrame], np.ndarray]:
    """What gives the teacher's last layer at the first position for rows with texts; the arm bears the cost."""
    from lgtm.networks.prediction import predict
    from stages.teachers import Teacher

    (network,) = (targets.teacher or Teacher(lesson.teacher)).networks

    def states(rows: pd.DataFrame) -> np.ndarray:
        hidden = predict(network.model, network.encode_frame(rows), lesson.params.distill.batch_size, hidden=True)[1]
        lesson.bear({"teacher": network.passes.total() | {"forward": len(rows), "backward": 0}})
        return hidden

    return states
