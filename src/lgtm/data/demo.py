"""The embedded task: generated film reviews whose sentiment has to be composed, not counted.

A review is a tree. Its leaves are remarks with a signed strength; negation and denial turn the sign of what stands in
their scope, of two sides in contrast one wins, and of two remarks side by side the stronger one does. Only a reader who
composes the sentence gets its sentiment right.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from lgtm.config import Strict
from lgtm.data.files import PIECE
from lgtm.errors import UserError

LABELS = ("negative", "positive")

ASPECTS = (
    "plot", "cast", "script", "music", "ending", "dialogue", "pacing", "humour",
    "editing", "story", "camera work", "soundtrack", "lead actor", "villain", "opening", "final scene",
)  # fmt: skip
GOOD = ("good", "funny", "clever", "moving", "gripping", "charming", "fresh", "elegant", "warm", "sharp")
BAD = ("bad", "dull", "clumsy", "boring", "lazy", "tedious", "stale", "awkward", "cold", "flat")
NEGATORS = ("not", "never", "hardly")
STRENGTHS = {"slightly": 1, "rather": 2, "very": 3}
# Who says it, and whether that turns what is said.
REPORTS = {
    "critics agreed that": False, "everyone felt that": False, "it is true that": False,
    "critics denied that": True, "nobody felt that": True, "it is false that": True,
}  # fmt: skip
# A pattern of two sides, and which of them wins.
CONTRASTS = {"{0} , but {1}": 1, "although {0} , {1}": 1, "{0} even though {1}": 0}

Share = Annotated[float, Field(ge=0.0, le=1.0)]
PATIENCE = 10_000  # draws in a row that bring nothing new before the settings are said to be too narrow


class GeneratorSettings(Strict):
    """How many reviews, and how much of each construction.

    transfer are drawn without a label; one that was drawn before is left out later, as any repeated text is. negation,
    report and comparison are shares of a review's sides, the rest being plain remarks; contrast is the share of reviews
    with two sides.
    """

    train: Annotated[int, Field(ge=10, le=10**6)]
    test: Annotated[int, Field(ge=10, le=10**6)]
    transfer: Annotated[int, Field(ge=0, le=10**7)]
    negation: Share
    report: Share
    comparison: Share
    contrast: Share
    seed: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _shares_of_sides(self) -> "GeneratorSettings":
        total = self.negation + self.report + self.comparison
        if total > 1:
            raise ValueError(f"negation + report + comparison is {total:g}; they are shares of a whole, at most 1")
        return self


@dataclass(frozen=True)
class Remark:
    """A leaf, such as "the plot was hardly funny"; an empty negator or degree is not there."""

    aspect: str
    negator: str
    degree: str
    adjective: str


@dataclass(frozen=True)
class Report:
    """A remark in somebody's mouth; the frame is a key of REPORTS."""

    frame: str
    remark: Remark


@dataclass(frozen=True)
class Comparison:
    """Two remarks side by side, of different strengths; the stronger one decides."""

    first: Remark
    second: Remark


@dataclass(frozen=True)
class Contrast:
    """Two sides of which one wins; the pattern is a key of CONTRASTS."""

    pattern: str
    first: "Tree"
    second: "Tree"


Tree = Remark | Report | Comparison | Contrast


def polarity(tree: Tree) -> int:
    """The signed strength of a review: positive for a good one, negative for a bad one, never 0."""
    match tree:
        case Remark():
            sign = (1 if tree.adjective in GOOD else -1) * (-1 if tree.negator else 1)
            return sign * STRENGTHS.get(tree.degree, STRENGTHS["rather"])
        case Report():
            return polarity(tree.remark) * (-1 if REPORTS[tree.frame] else 1)
        case Comparison():
            return max(polarity(tree.first), polarity(tree.second), key=abs)
        case Contrast():
            return polarity((tree.first, tree.second)[CONTRASTS[tree.pattern]])


def render(tree: Tree) -> str:
    """The words of a review, in lower case, separated by single spaces."""
    match tree:
        case Remark():
            words = ("the", tree.aspect, "was", tree.negator, tree.degree, tree.adjective)
            return " ".join(filter(None, words))
        case Report():
            return f"{tree.frame} {render(tree.remark)}"
        case Comparison():
            return f"{render(tree.first)} and {render(tree.second)}"
        case Contrast():
            return tree.pattern.format(render(tree.first), render(tree.second))


def generate(settings: GeneratorSettings) -> dict[str, pd.DataFrame]:
    """The splits train and test, with the columns text and label; texts are all different, labels balanced.

    The same settings give the same tables. Raises UserError when the settings allow too few different reviews.
    """
    rng = np.random.default_rng(settings.seed)
    size = settings.train + settings.test
    wanted = rng.permutation(np.arange(size) % len(LABELS))
    texts: dict[str, None] = {}
    for label in wanted:
        texts[_new_text(rng, settings, label, texts)] = None
    frame = pd.DataFrame({"text": list(texts), "label": [LABELS[label] for label in wanted]})
    train, test = frame[: settings.train], frame[settings.train :]
    return {"train": train, "test": test.reset_index(drop=True)}


def unlabelled(settings: GeneratorSettings) -> Iterator[pd.DataFrame]:
    """The split transfer in pieces: text, and the true_label that a generator knows; what the shares bring."""
    rng = np.random.default_rng([settings.seed, *b"transfer"])
    for start in range(0, settings.transfer, PIECE):
        trees = [_draw(rng, settings) for _ in range(min(PIECE, settings.transfer - start))]
        true = [int(polarity(tree) > 0) for tree in trees]
        yield pd.DataFrame({"text": [render(tree) for tree in trees], "true_label": true})


def _new_text(rng: np.random.Generator, settings: GeneratorSettings, label: int, known: dict[str, None]) -> str:
    for _ in range(PATIENCE):
        tree = _draw(rng, settings)
        if (polarity(tree) > 0) == label and (text := render(tree)) not in known:
            return text
    raise UserError(
        f"generated: these shares give about {len(known)} different reviews, found train + test ="
        f" {settings.train + settings.test}; raise contrast, or ask for fewer"
    )


def _draw(rng: np.random.Generator, settings: GeneratorSettings) -> Tree:
    if rng.random() < settings.contrast:
        return Contrast(_pick(rng, CONTRASTS), _side(rng, settings), _side(rng, settings))
    return _side(rng, settings)


def _side(rng: np.random.Generator, settings: GeneratorSettings) -> Tree:
    kind = rng.random()
    if kind < settings.negation:
        return _remark(rng, negator=_pick(rng, NEGATORS))
    kind -= settings.negation
    if kind < settings.report:
        return Report(_pick(rng, REPORTS), _remark(rng))
    kind -= settings.report
    if kind < settings.comparison:
        first, second = rng.permutation(list(STRENGTHS))[:2]
        return Comparison(_remark(rng, degree=str(first)), _remark(rng, degree=str(second)))
    return _remark(rng)


def _remark(rng: np.random.Generator, *, negator: str = "", degree: str = "") -> Remark:
    return Remark(_pick(rng, ASPECTS), negator, degree, _pick(rng, GOOD + BAD))


def _pick(rng: np.random.Generator, items) -> str:
    return list(items)[rng.integers(len(items))]
