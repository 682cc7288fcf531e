"""What an arm may use, as the stages have it: see lgtm.arms.shared.lesson."""

from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from lgtm.arms.shared.lesson import Targets
from lgtm.params import Params
from lgtm.resume import once
from lgtm.states import Tree
from stages.artifacts import INIT, TAUGHT, read_columns, read_cost, read_matrix, read_roles

# torch and transformers are imported where they are used: an arm that passes the warm teacher on needs neither, and
# their import would be most of its time.

POOLED = ("train", "transfer", "feedback")


class Lesson:
    """The lesson of one cell.

    teacher: the folder of the teacher that the arm starts from, with its targets; scores: what influence found; out:
    where a new teacher goes. costs: what the arm has used, by network.
    """

    def __init__(self, seed: int, params: Params, teacher: Path, scores: Path, out: Path):
        self.seed, self.params, self.teacher, self.scores, self.out = seed, params, teacher, scores, out
        self.hard_label_weight = params.scored_loss.hard_label_weight
        self.costs: dict[str, dict[str, int]] = {}
        self.fresh: dict[str, np.ndarray] = {}
        self.environment: dict[str, str | int] | None = None  # of teachers of which only the logits stay

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The rows that are taught, without their texts: train's, then transfer's, whose label is below 0."""
        return read_roles(TAUGHT, ["sample_id", "label", "group"])

    @cached_property
    def labelled(self) -> np.ndarray:
        """Which rows have a label (N booleans)."""
        return (self.rows["label"] >= 0).to_numpy()

    @cached_property
    def warm_logits(self) -> np.ndarray:
        """The warm teacher's logits."""
        return read_matrix(self.teacher / "targets.parquet", "logits")

    @cached_property
    def student_logits(self) -> np.ndarray:
        """The student's logits, as it was scored; who asks for these alone bears one pass of the student."""
        logits = read_matrix(self.scores, "student_logits")
        scored = read_cost(self.scores.parent)["student_scored"]
        if "student_scored" not in self.costs:
            self.costs["student_asked"] = scored | {"forward": len(logits), "backward": 0}
        return logits

    @cached_property
    def tangents(self) -> np.ndarray:
        """The student's tangents, in units of their own scale."""
        import torch

        from lgtm.influence.identity import unit_scale

        return self._scored(unit_scale(torch.from_numpy(read_matrix(self.scores, "tangents"))).numpy())

    @cached_property
    def influence(self) -> np.ndarray:
        """Influence of the rows under the warm teacher."""
        return self._scored(read_columns(self.scores, "influence")["influence"].to_numpy())

    @cached_property
    def influence_label(self) -> np.ndarray:
        """Influence of the rows under their labels, 0 where there is none."""
        return self._scored(read_columns(self.scores, "influence_label")["influence_label"].to_numpy())

    def _scored(self, values: np.ndarray) -> np.ndarray:
        """The values, whose cost the arm has to bear, the student's logits included."""
        self.costs |= read_cost(self.scores.parent)
        self.costs.pop("student_asked", None)
        return values

    def retrain(
        self,
        influence_weight: float,
        *,
        towards: np.ndarray | None = None,
        tangents: np.ndarray | None = None,
        weights: np.ndarray | None = None,
    ) -> Targets:
        """Train the warm teacher further, or anew, on all rows, and let it speak on them."""
        import torch

        from lgtm.networks.losses import TailoringLoss

        settings, scored = self.params.teacher_tailored.retrain, self.params.scored_loss
        towards = self.warm_logits if towards is None else towards
        if tangents is None:
            tangents = self.tangents if influence_weight else np.zeros_like(towards)
        loss = TailoringLoss(
            torch.from_numpy(towards),
            torch.from_numpy(self.student_logits if settings.student_weight else np.zeros_like(towards)),
            torch.from_numpy(tangents),
            anchor=settings.anchor,
            student_weight=settings.student_weight,
            influence_weight=influence_weight,
            temperature=scored.temperature,
            hard_label_weight=scored.hard_label_weight,
            weights=None if weights is None else torch.tensor(weights, dtype=torch.float32),
        )
        teacher = self._teacher(INIT / "teacher" if settings.start == "initial" else self.teacher, self.seed)
        teacher.fit(
            loss,
            lambda network: network.encode(*TAUGHT),
            settings,
            self.params,
            factor=settings.learning_rate_factor,
            seed=self.seed,
            out=self.out,
        )
        return self._spoken(teacher, TAUGHT)

    def fresh_teacher(
        self, name: str, *, only: np.ndarray | None = None, order: int = 0, keep: str | None = None
    ) -> np.ndarray:
        """Warm a teacher up, on a part of train where `only` is given, and return its logits; once for each name."""
        if name not in self.fresh:
            made = once(lambda: self._made_fresh(name, only, order, keep))
            self.environment, self.fresh[name] = made["environment"], made["logits"].numpy()
            self.bear(made["costs"])
        return self.fresh[name]

    def _made_fresh(self, name: str, only: np.ndarray | None, order: int, keep: str | None) -> Tree:
        """Train a teacher of which only the logits stay, and what is told of how they were made."""
        import torch

        from lgtm.networks.determinism import environment

        teacher = self._warmed_up(("train",), only, order, keep, description=f"{self.out}: {name}")
        logits = teacher.predict(TAUGHT, self.params.teacher_warmup.batch_size)
        where = environment(teacher.networks[0].model.device)
        return {"logits": torch.from_numpy(logits), "environment": where, "costs": teacher.costs()}

    def pooled_teacher(self) -> Targets:
        """Warm a teacher up on train and feedback, and let it speak on them and on transfer."""
        return self._spoken(self._warmed_up(("train", "feedback"), out=self.out), POOLED)

    def _warmed_up(self, roles, only=None, order=0, keep=None, **where):
        """A teacher from its start after what teacher_warmup does, on the rows of these roles, or of a part of them."""
        from lgtm.networks.losses import LabelLoss

        def rows(network):
            data = network.encode(*roles)
            return data if only is None else data.take(np.flatnonzero(only).tolist())

        settings = self.params.teacher_warmup
        if keep is not None:
            settings = settings.model_copy(update={"keep": keep})
        seed = self.seed + 1_000_000 * order
        teacher = self._teacher(INIT / "teacher", seed)
        teacher.fit(LabelLoss(), rows, settings, self.params, seed=seed, **where)
        return teacher

    def _teacher(self, folder: Path, seed: int):
        from lgtm.networks.determinism import make_deterministic
        from stages.teachers import Teacher

        make_deterministic(seed)
        return Teacher(folder)

    def _spoken(self, teacher, roles: tuple[str, ...]) -> Targets:
        logits = teacher.predict(roles, self.params.teacher_tailored.retrain.batch_size)
        self.bear(teacher.costs())
        return Targets(logits, teacher, roles)

    def bear(self, costs: dict[str, dict[str, int]]) -> None:
        """Add to what the arm has used."""
        from lgtm.networks.cost import added

        for name, cost in costs.items():
            self.costs[name] = added([self.costs[name], cost]) if name in self.costs else cost
