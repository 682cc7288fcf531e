"""The schema of params.yaml: one model per section, one section per stage.

No field has a default: a key that is not in the file is an error, so the file alone says what a run does.
"""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SerializeAsAny,
    WrapValidator,
    create_model,
    field_validator,
    model_validator,
)

import lgtm.arms
from lgtm import values
from lgtm.config import Strict, parse, read_yaml

DISTILL = "distill"


def known_scope(value: Any) -> Any:
    """A named scope, or numbers of the encoder's layers."""
    layers = isinstance(value, list) and value and all(type(layer) is int and layer >= 0 for layer in value)
    if not layers and value not in ("head", "encoder", "all"):
        raise ValueError("should be head, encoder, all, or a list of layer numbers such as [0, 1]")
    return value


def number_or_distill(value: Any, number: Callable[[Any], float]) -> float | str:
    """A number within its limits, or the word `distill`: the value of that section."""
    if isinstance(value, str) and value != DISTILL:
        raise ValueError("should be a number, or distill, the word: as that section has it")
    return value if value == DISTILL else number(value)


class Prepare(Strict):
    """Roles of the splits: what is cut from train where the task ships no such split, and subsampling."""

    test: values.OpenFraction
    selection: values.OpenFraction
    feedback: Annotated[float, Field(ge=0.0, lt=1.0)]
    max_train: values.Rows | None
    max_transfer: values.Rows | None
    max_selection: values.Rows | None
    max_test: values.Rows | None
    seed: values.Seed


class Optimisation(Strict):
    """The steps of a training run: so many epochs, and at least min_steps. The learning rate is the pair's."""

    epochs: values.Epochs
    min_steps: values.Steps
    batch_size: values.BatchSize
    warmup_ratio: values.Fraction
    weight_decay: values.Weight
    max_grad_norm: Annotated[float, Field(ge=1e-6, le=1e6)]


class Training(Optimisation):
    """One run of the training loop: its steps, how often it is evaluated and what it keeps."""

    evaluations: values.Times
    keep: Literal["best", "last"]


class TeacherWarmup(Training):
    """The teacher's warm-up; with epochs 0 none at all, for a pair's classifier that is good as it is.

    `calibrated` keeps what has the lowest NLL on selection, before labels are memorised.
    """

    epochs: values.NoneOrEpochs
    keep: Literal["best", "calibrated", "last"]


class StudentWarmup(Training):
    """The student's warm-up, epochs 0 as of the teacher's, and how many earlier checkpoints are scored besides it."""

    epochs: values.NoneOrEpochs
    earlier_checkpoints: Annotated[int, Field(ge=0, le=1000)]


class Influence(Strict):
    """How the training samples are scored. For the loss that is scored, ask Params.scored_loss."""

    method: Literal["finite_difference", "forward"]
    folds: Annotated[int, Field(ge=0, le=1000), AfterValidator(values.none_or_several)]
    scope: Annotated[str | list[int], BeforeValidator(known_scope)]
    feedback_loss: Literal["cross_entropy", "calibrated", "margin"]
    preconditioner: Literal["none", "adamw"]
    temperature: SerializeAsAny[Annotated[values.Temperature, WrapValidator(number_or_distill)]]
    hard_label_weight: SerializeAsAny[Annotated[values.Fraction, WrapValidator(number_or_distill)]]
    step_size: Annotated[float, Field(ge=1e-8, le=1.0)]
    batch_size: values.BatchSize


class SubsetRetraining(Optimisation):
    """The training of a student on a part of train, from the warm one."""

    learning_rate_factor: values.Factor


class Validation(Strict):
    """How the influence is held against students that are retrained."""

    subsets: Annotated[int, Field(ge=0, le=10_000), AfterValidator(values.enough_or_none)]
    fraction: values.OpenFraction
    removals: Annotated[list[Annotated[float, Field(gt=0.0, le=0.9)]], AfterValidator(values.no_repeats)]
    repeats: values.Times
    retrain: SubsetRetraining


class Retraining(Training):
    """The extra training of a teacher, shared by every arm that retrains one."""

    start: Literal["warm_teacher", "initial"]
    learning_rate_factor: values.Factor
    anchor: Literal["labels", "warm_teacher"]
    student_weight: values.Weight


class Distill(Training):
    """The student's training from cached teacher outputs."""

    temperature: values.Temperature
    hard_label_weight: values.Fraction
    hidden_weight: values.Weight


class Rounds(Strict):
    """Which arms go on after the first round, and for how many rounds in all."""

    arms: Annotated[list[str], AfterValidator(values.no_repeats)]
    count: Annotated[int, Field(ge=2, le=1000)]


class Evaluate(Strict):
    """Prediction on the test role and for the task's leaderboard."""

    batch_size: values.BatchSize
    leaderboard: bool


class Report(Strict):
    """What the report shows."""

    samples: values.Times


def arm_modules() -> dict[str, ModuleType]:
    """The arms: the modules of the package lgtm.arms by name."""
    names = [module.name for module in pkgutil.iter_modules(lgtm.arms.__path__) if not module.ispkg]
    return {name: importlib.import_module(f"lgtm.arms.{name}") for name in names}


ARMS = arm_modules()
ARM_SETTINGS = {name: module.Settings for name, module in ARMS.items()}
CO_TRAINED = {name for name, module in ARMS.items() if hasattr(module, "co_training")}

TeacherTailored = create_model(
    "TeacherTailored",
    __base__=Strict,
    __doc__="The retraining that arms share, and a section per arm.",
    retrain=(Retraining, ...),
    **{name: (settings, ...) for name, settings in ARM_SETTINGS.items()},
)


@dataclass(frozen=True)
class ScoredLoss:
    """A distillation loss: its temperature T and the labels' share α (see lgtm.influence.identity)."""

    temperature: float
    hard_label_weight: float


class Params(Strict):
    """params.yaml as a whole."""

    task: Annotated[str, AfterValidator(values.a_name("a folder of tasks/"))]
    pair: Annotated[str, AfterValidator(values.a_name("a card of pairs/"))]
    seeds: Annotated[list[values.Seed], Field(min_length=1), AfterValidator(values.no_repeats)]
    arms: Annotated[list[str], Field(min_length=1), AfterValidator(values.no_repeats)]
    precision: Literal["fp32", "bf16", "fp16"]
    tokens_at_once: values.Tokens | None
    prepare: Prepare
    teacher_warmup: TeacherWarmup
    student_warmup: StudentWarmup
    influence: Influence
    validation: Validation
    teacher_tailored: TeacherTailored
    distill: Distill
    rounds: Rounds
    evaluate: Evaluate
    report: Report

    @field_validator("arms")
    @classmethod
    def _known_arms(cls, arms: list[str]) -> list[str]:
        unknown = [arm for arm in arms if arm not in ARM_SETTINGS]
        if unknown:
            raise ValueError(f"unknown arm {unknown[0]!r}; known are {', '.join(sorted(ARM_SETTINGS))}")
        return arms

    @model_validator(mode="after")
    def _arms_suit_the_other_settings(self) -> "Params":
        if self.tokens_at_once and (beside := sorted(CO_TRAINED.intersection(self.arms))):
            raise ValueError(f"tokens_at_once: the teacher of {beside[0]!r} looks at whole batches; set null")
        for arm in self.rounds.arms:
            if arm not in self.arms:
                raise ValueError(f"rounds.arms: {arm!r} is not in arms")
            if arm in CO_TRAINED:
                raise ValueError(f"rounds.arms: {arm!r} scores its student at every step; it has no rounds")
        return self

    @model_validator(mode="after")
    def _warm_student_has_what_is_scored(self) -> "Params":
        if self.student_warmup.epochs == 0 and self.influence.preconditioner == "adamw":
            raise ValueError(
                "influence.preconditioner: adamw needs second moments, and student_warmup.epochs 0 has none"
            )
        if self.student_warmup.epochs == 0 and self.student_warmup.earlier_checkpoints:
            raise ValueError("student_warmup.earlier_checkpoints: there are none before a warm-up of epochs 0; set 0")
        return self

    @model_validator(mode="after")
    def _cuts_leave_a_train_split(self) -> "Params":
        cut = self.prepare.test + self.prepare.selection + self.prepare.feedback
        if cut >= 0.9:
            raise ValueError(f"prepare: test + selection + feedback is {cut:g}; leave 0.1 of the rows to train")
        return self

    @model_validator(mode="after")
    def _feedback_where_it_is_read(self) -> "Params":
        if self.prepare.feedback == 0:
            if not self.influence.folds:
                raise ValueError("prepare.feedback: 0 leaves no feedback rows; set influence.folds to take train's")
            for arm in self.arms:
                if arm in CO_TRAINED or arm == "pooled":
                    raise ValueError(
                        f"prepare.feedback: 0 leaves no feedback rows, and the arm {arm!r} learns from them"
                    )
        return self

    @property
    def scored_loss(self) -> ScoredLoss:
        """The loss that is scored, tailored for and validated: that of distill, but for what influence names itself."""

        def resolved(name: str) -> float:
            own = getattr(self.influence, name)
            return getattr(self.distill, name) if own == DISTILL else own

        return ScoredLoss(resolved("temperature"), resolved("hard_label_weight"))


def load_params(path: Path | str = "params.yaml") -> Params:
    """Read and validate params.yaml as a whole. Raises UserError with one line at the first problem."""
    return parse(Params, read_yaml(path), path)
