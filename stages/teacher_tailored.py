"""Make an arm's teacher: the warm one, or one trained further, tailored to this student."""

from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from lgtm.arms.shared.lesson import Targets
from lgtm.params import ARMS, Params, load_params
from stages.artifacts import INIT, cell, read_cost, read_matrix, read_role, timed, write_cost, write_json, write_table

# torch and transformers are imported where they are used: an arm that passes the warm teacher on needs neither, and
# their import would be most of its time.


class Lesson:
    """What an arm may use (see lgtm.arms.shared.lesson).

    teacher: the folder of the teacher that the arm starts from, with its targets; scores: what influence found; out:
    where a new teacher goes.
    """

    def __init__(self, seed: int, params: Params, teacher: Path, scores: Path, out: Path):
        self.seed, self.params, self.teacher, self.scores, self.out = seed, params, teacher, scores, out
        self.hard_label_weight = params.scored_loss.hard_label_weight
        self.asked_influence = False  # whether the arm has to bear the cost of scoring

    @cached_property
    def warm_logits(self) -> np.ndarray:
        """The warm teacher's logits on train."""
        return read_matrix(self.teacher / "targets.parquet", "logits")

    @cached_property
    def tangents(self) -> np.ndarray:
        """The student's tangents on train, in units of their own scale."""
        import torch

        from lgtm.influence.identity import unit_scale

        self.asked_influence = True
        return unit_scale(torch.tensor(read_matrix(self.scores, "tangents"))).numpy()

    @cached_property
    def influence(self) -> np.ndarray:
        """Influence of the train samples under the warm teacher."""
        return self._column("influence")

    @cached_property
    def influence_label(self) -> np.ndarray:
        """Influence of the train samples under their labels."""
        return self._column("influence_label")

    def _column(self, name: str) -> np.ndarray:
        self.asked_influence = True
        return pd.read_parquet(self.scores, columns=[name])[name].to_numpy()

    def retrain(
        self, influence_weight: float, tangents: np.ndarray | None = None, weights: np.ndarray | None = None
    ) -> Targets:
        """Train the warm teacher further, or anew, and predict train with it."""
        import torch

        from lgtm.networks.determinism import make_deterministic
        from lgtm.networks.losses import TailoringLoss
        from lgtm.networks.pairs import load_pair
        from stages.network import Network

        make_deterministic(self.seed)
        settings, scored = self.params.teacher_tailored.retrain, self.params.scored_loss
        if tangents is None:
            tangents = self.tangents if influence_weight else np.zeros_like(self.warm_logits)
        loss = TailoringLoss(
            torch.tensor(self.warm_logits),
            torch.tensor(read_matrix(self.scores, "student_logits")),
            torch.tensor(tangents),
            anchor=settings.anchor,
            student_weight=settings.student_weight,
            influence_weight=influence_weight,
            temperature=scored.temperature,
            hard_label_weight=scored.hard_label_weight,
            weights=None if weights is None else torch.tensor(weights, dtype=torch.float32),
        )
        rate = load_pair(self.params.pair).teacher.learning_rate * settings.learning_rate_factor
        teacher = Network(INIT / "teacher" if settings.start == "initial" else self.teacher)
        teacher.fit(loss, settings, self.params, learning_rate=rate, seed=self.seed, out=self.out)
        return Targets(teacher.predict("train", settings.batch_size), teacher)


def main(seed: int, arm: str) -> None:
    """Write the teacher's outputs on train, and the teacher where it is new, to work/runs/<seed>/<arm>/teacher."""
    params = load_params()
    scores, out = cell(seed, "influence") / "influence.parquet", cell(seed, arm, "teacher")
    with timed(out / "targets.parquet"):
        teach(arm, Lesson(seed, params, cell(seed, "teacher"), scores, out))


def teach(arm: str, lesson: Lesson) -> None:
    """Let an arm make its targets and write them."""
    params = lesson.params
    targets = ARMS[arm].teach(getattr(params.teacher_tailored, arm), lesson)
    columns = {}
    if targets is not None:
        columns["logits"] = targets.logits
        if targets.weights is not None:
            columns["weight"] = targets.weights.astype(np.float32)
        if params.distill.hidden_weight:
            columns["hidden"] = hidden_states(lesson, targets)
    write_table(lesson.out / "targets.parquet", read_role("train")["sample_id"], **columns)
    cost = read_cost(lesson.scores.parent) if lesson.asked_influence else {}
    if targets is not None and targets.teacher:
        cost["teacher"] = targets.teacher.passes.total()
    write_cost(lesson.out, **cost)
    write_json(lesson.out / "summary.json", {"epochs_factor": targets.epochs_factor if targets else 1.0})


def hidden_states(lesson: Lesson, targets: Targets) -> np.ndarray:
    """The teacher's last layer at the first position, for every train row."""
    from stages.network import Network

    teacher = targets.teacher or Network(lesson.teacher)
    return teacher.predict("train", lesson.params.distill.batch_size, hidden=True)[1]
