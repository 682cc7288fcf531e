"""Tasks: the schema of tasks/<name>/task.yaml."""

import re
import unicodedata
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from lgtm.config import Strict, parse, read_yaml
from lgtm.data.files import FORMATS
from lgtm.errors import UserError

CARD = "task.yaml"
CACHE = Path(".dvc/cache")

# A single test set is a mapping with one part, and a class may be written as a number.
Parts = Annotated[
    dict[str, str],
    BeforeValidator(lambda value: {"test": value} if isinstance(value, str) else value),
    Field(min_length=1),
]
# One place may be written without the list.
Places = Annotated[
    list[str], BeforeValidator(lambda value: [value] if isinstance(value, str) else value), Field(min_length=1)
]
PredictionFile = Annotated[str, Field(pattern=r"^[\w-]+\.tsv$")]
ClassName = Annotated[
    str,
    BeforeValidator(lambda value: str(value) if type(value) is int else value),
    AfterValidator(lambda name: unicodedata.normalize("NFC", name)),
]


def column_or_false(value: Any) -> Any:
    """The name of a column, or false."""
    if not isinstance(value, str) and value is not False:
        raise ValueError("give the name of a column, or false for no groups")
    return value


def one_character(separator: str) -> str:
    """What may separate the columns of a csv file."""
    if len(separator) != 1 or separator in '"\r\n':
        raise ValueError("give one character, such as ';', or \"\\t\" in double quotes for a tab")
    return separator


Separator = Annotated[str, AfterValidator(one_character)]


class Splits(Strict):
    """Where the splits are: files, or splits of the hub data set.

    `test` may be a mapping of part to place. `transfer`, one place or several: rows without labels, or whose labels are
    not read, on which the teacher speaks and the student learns from it.
    """

    train: str
    validation: str | None = None
    test: Parts | None = None
    transfer: Places | None = None

    def places(self) -> list[tuple[str, str, str]]:
        """(split, part, place) of every labelled table, train first. Outside test, the part is the split itself."""
        single = [(split, split, place) for split in ("train", "validation") if (place := getattr(self, split))]
        return single + [("test", part, place) for part, place in (self.test or {}).items()]

    @model_validator(mode="after")
    def _distinct(self) -> "Splits":
        places = [place for _, _, place in self.places()] + (self.transfer or [])
        repeated = next((place for place in places if places.count(place) > 1), None)
        if repeated:
            raise ValueError(f"{repeated!r} is named twice; a split may be read in one role only")
        if clash := {"train", "validation", "transfer"} & set(self.test or {}):
            raise ValueError(f"test: a part may not be called {clash.pop()}")
        return self


class Files(Splits):
    """Splits as files beside the card."""

    @model_validator(mode="after")
    def _readable(self) -> "Files":
        for split, _, place in self.places():
            check_place(split, place)
        for place in self.transfer or []:
            check_place("transfer", place)
        return self


def check_place(what: str, place: str) -> None:
    """Raise ValueError for a file of a kind that is not read, or that is not in the task's folder."""
    path = PurePosixPath(place)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"{what}: {place!r} is not a file of a known kind ({', '.join(FORMATS)})")
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{what}: {place!r} is not beside the card; copy the file there")


def beside(folder: Path, place: str, card: Path) -> Path:
    """The path of a file that a card names. Raises UserError where links lead out of the task's folder.

    The folder itself may be a link, and a file one into DVC's cache, where `dvc add` puts it. card: which names it.
    """
    path, allowed = folder / place, (folder.resolve(), CACHE.resolve())
    if path.is_symlink() and not path.exists():
        raise UserError(f"{path}: a link to what is not there, and {card} names it; copy the file there")
    if not any(path.resolve().is_relative_to(each) for each in allowed):
        raise UserError(f"{path}: a link to outside of {folder}, and {card} names it; copy the file there")
    return path


class Hub(Strict):
    """A data set on the Hugging Face hub, pinned to a commit."""

    path: Annotated[str, Field(pattern=r"^\w[\w.-]*(/\w[\w.-]*)?$")]
    name: str | None = None
    revision: str
    splits: Splits

    @field_validator("revision")
    @classmethod
    def _is_commit(cls, revision: str) -> str:
        if not re.fullmatch("[0-9a-f]{40}", revision):
            raise ValueError("give the commit to pin to, 40 hexadecimal digits")
        return revision


class Columns(Strict):
    """Names of the columns in the raw data.

    group: what must not stand in two roles, such as a document or a user; where it is not named, the first text of a
    pair; false for none.
    """

    text: str
    text_pair: str | None = None
    label: str
    group: Annotated[str | Literal[False], BeforeValidator(column_or_false)] | None = None

    @model_validator(mode="after")
    def _distinct(self) -> "Columns":
        names = [*self.texts().values(), self.label]
        if len(set(names)) < len(names):
            raise ValueError("text, text_pair and label have to be different columns")
        if self.group == self.label:
            raise ValueError("group has to be another column than label")
        return self

    def texts(self) -> dict[str, str]:
        """Our name of every column of texts, with its name in the raw data."""
        return {ours: theirs for ours in ("text", "text_pair") if (theirs := getattr(self, ours))}

    def used(self) -> dict[str, str]:
        """Our name of every column that is read, with its name in the raw data."""
        return self.texts() | {"label": self.label} | ({"group": self.grouped_by} if self.grouped_by else {})

    @property
    def grouped_by(self) -> str | None:
        """The column whose values may not stand in two roles."""
        return self.text if self.group is None and self.text_pair else self.group or None


class Leaderboard(Strict):
    """Rows whose labels are hidden, to predict for a leaderboard: the file of predictions -> a file or hub split.

    `write` says how the classes are written: by name, or by id.
    """

    files: Annotated[dict[PredictionFile, str], Field(min_length=1)]
    write: Literal["names", "ids"]


class TaskCard(Strict):
    """tasks/<name>/task.yaml: where a task's data is and how it is read and measured."""

    description: str
    source: Literal["generated", "hub", "local"]
    files: Files | None = None
    separator: Separator | None = None
    quoting: Literal["none"] | None = None
    hub: Hub | None = None
    generated: dict[str, Any] | None = None
    leaderboard: Leaderboard | None = None
    columns: Columns
    labels: Annotated[list[ClassName], Field(min_length=2)] | None = None
    metrics: Annotated[list[Literal["accuracy", "f1", "macro_f1", "matthews"]], Field(min_length=1)]
    max_length: Annotated[int, Field(ge=4, le=10**5)]
    label_noise: Annotated[float, Field(ge=0.0, lt=1.0)]
    clean_roles: list[Literal["feedback", "selection"]] = Field(default_factory=list)

    @field_validator("labels", "metrics", "clean_roles")
    @classmethod
    def _no_repeats(cls, values: list[str] | None) -> list[str] | None:
        if values is not None and len(set(values)) < len(values):
            raise ValueError("each item may stand in the list once")
        return values

    @field_validator("labels")
    @classmethod
    def _stripped(cls, labels: list[str] | None) -> list[str] | None:
        if any(label != label.strip() or not label for label in labels or []):
            raise ValueError("a label may not be blank, nor begin or end with a space")
        return labels

    @model_validator(mode="after")
    def _source_and_its_keys(self) -> "TaskCard":
        wanted = {"local": "files", "hub": "hub", "generated": "generated"}[self.source]
        if getattr(self, wanted) is None:
            raise ValueError(f"source is {self.source}, so the card needs the key {wanted}")
        for key in ("files", "hub", "generated"):
            if key != wanted and getattr(self, key) is not None:
                raise ValueError(f"source is {self.source}, so the card may not have the key {key}")
        for key, kinds in {"separator": ["csv"], "quoting": ["csv", "tsv"]}.items():
            if getattr(self, key) is not None and not self._has(kinds):
                raise ValueError(f"{key} is for local {' and '.join(kinds)} files, and the card names none")
        return self

    @model_validator(mode="after")
    def _leaderboard_fits_the_source(self) -> "TaskCard":
        if self.leaderboard is None:
            return self
        if self.source == "generated":
            raise ValueError("source is generated, so the card may not have the key leaderboard")
        if self.source == "local":
            for name, place in self.leaderboard.files.items():
                check_place(f"leaderboard.files.{name}", place)
        return self

    def _has(self, kinds: list[str]) -> bool:
        if self.source != "local":
            return False
        places = [place for _, _, place in self.files.places()] + (self.files.transfer or [])
        places += self.leaderboard.files.values() if self.leaderboard else []
        return any(PurePosixPath(place).suffix.lower()[1:] in kinds for place in places)


def load_card(folder: Path) -> TaskCard:
    """Read and validate the card of the task in `folder`.

    Raises UserError, with the names there are, for a task that is not there, and for any mistake in the card.
    """
    path = folder / CARD
    if not folder.is_dir():
        cards = sorted(card.parent.name for card in folder.parent.glob(f"[!_]*/{CARD}"))
        raise UserError(f"params.yaml: task: no folder {folder}; there are {', '.join(cards) or 'none'}")
    if not path.is_file():
        raise UserError(
            f"{path}: no such file; every task needs its card, such as {folder.parent / '_template' / CARD}"
        )
    return parse(TaskCard, read_yaml(path), path)
