"""What commands share: the student that is meant, and the task of the project here, if any."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lgtm.environment import set_defaults

if TYPE_CHECKING:  # a command imports what it needs when it runs
    from lgtm.shipping.recommended import Shipped
    from lgtm.shipping.student import Student
    from lgtm.shipping.texts import Columns

WORK = Path("work")


@dataclass(frozen=True)
class OfTask:
    """What the task says of its texts: nothing for a student from elsewhere, whose tokenizer knows max_length."""

    card: Path | None = None
    text: str = "text"
    text_pair: str | None = None
    separator: str | None = None
    quoted: bool = True
    max_length: int | None = None

    @property
    def pairs(self) -> bool:
        """Whether its texts are pairs."""
        return self.text_pair is not None

    def columns(self, text: str | None, text_pair: str | None, said_by: str, pairs: bool) -> "Columns":
        """The columns of a file: those that are asked for, else the task's."""
        from lgtm.shipping.texts import Columns

        return Columns(text or self.text, text_pair or self.text_pair or ("text_pair" if pairs else None), said_by)


def shipped() -> "Shipped":
    """The student that the report of the project in this folder recommends."""
    from lgtm.handover import require_project

    require_project()
    set_defaults()
    from lgtm.shipping.recommended import recommended

    return recommended()


def student_of(folder: Path, max_length: int | None) -> "Student":
    """The student of a folder."""
    set_defaults()
    from lgtm.shipping.student import Student

    return Student(folder, max_length)


def task_of(folder: Path) -> OfTask:
    """The task of the project in this folder, where a student is one of its own, in work/."""
    if not folder.resolve().is_relative_to(WORK.resolve()):
        return OfTask()
    set_defaults()
    import importlib

    from lgtm.config import read_yaml
    from lgtm.data.tasks import CARD, load_card

    place = Path("tasks") / str(read_yaml("params.yaml").get("task"))
    card = load_card(place)
    length = importlib.import_module("stages.artifacts").read_task()["max_length"]
    texts = card.columns.texts()
    return OfTask(
        place / CARD, texts["text"], texts.get("text_pair"), card.separator, card.quoting is None, max_length=length
    )
