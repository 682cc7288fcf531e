"""Read the task, give every sample its role, plant label noise, and bring in the networks to start from."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from lgtm.config import parse
from lgtm.data.answers import Answers, AnswerTable, read_answers
from lgtm.data.roles import assign_roles, plant_noise
from lgtm.data.sources import read_leaderboard, read_splits
from lgtm.data.tasks import CARD, Leaderboard, TaskCard
from lgtm.data.transfer import TransferRows, chosen_rows
from lgtm.demands import load_settings
from lgtm.errors import UserError
from lgtm.networks.pairs import Network, PairCard
from lgtm.params import Params, Prepare
from stages.artifacts import (
    ANSWERED,
    DATA,
    INIT,
    LEADERBOARD,
    WEIGHTS,
    TableWriter,
    at,
    member_folders,
    read_chunks,
    role_path,
    save_model,
    write_json,
    write_rows,
)

PREDICTIONS = "teacher.predictions"  # where a pair's card names answers


class Rows(NamedTuple):
    """A task's rows with their roles, noise planted, and what was done; transfer's are on disk already.

    leaderboard: the rows whose labels are hidden; classes: how that wants them written.
    """

    labels: list[str]
    roles: dict[str, pd.DataFrame]
    summary: dict[str, Any]
    leaderboard: pd.DataFrame
    classes: list[str]


def main() -> None:
    """Write the roles' tables to work/data and the starting networks to work/init."""
    params, card, pair = load_settings()
    labels, roles, summary, leaderboard, classes = read_rows(params, card, pair)

    # Not before, because this takes half a minute on a busy machine: a mistake in a card is told at once.
    from lgtm.networks.determinism import make_deterministic
    from lgtm.networks.encoding import count_truncated
    from lgtm.networks.models import starting_network
    from lgtm.networks.trial import try_out

    # A pretrained encoder may lack a pooler; what transformers makes in its place has to be the same each time.
    make_deterministic(params.prepare.seed)
    tokenizer = own_tokenizer(pair, roles["train"], card.max_length)
    networks = {
        place: starting_network(network, tokenizer, labels, card.max_length, field)
        for place, network, field in starts(pair, params.pair)
    }

    own = next(iter(networks.values()))[1]
    summary["truncated"] = {role: count_truncated(frame, own, card.max_length) for role, frame in roles.items()}
    summary["truncated"]["transfer"] = sum(
        count_truncated(rows, own, card.max_length) for rows in read_chunks(role_path("transfer"))
    )
    for role, frame in roles.items():
        write_rows(role_path(role), frame)
    write_json(DATA / "summary.json", summary)
    # Apart from the counts, which tell of the test: what trains depends on this, and not on them.
    majority = int(roles["train"]["label"].mode()[0])
    task = {"labels": labels, "metrics": card.metrics, "max_length": card.max_length, "majority": majority}
    write_json(DATA / "task.json", task)
    write_rows(LEADERBOARD / "texts.parquet", leaderboard)
    write_json(LEADERBOARD / "classes.json", classes)
    rows = some_rows(roles)
    for place, _, field in starts(pair, params.pair):
        save_model(place, *networks[place])
        try_out(place, labels, rows, card.max_length, field)
    if pair.teacher.mean:
        write_json(INIT / "teacher" / WEIGHTS, pair.teacher.weights)
    # A dependency of what trains teachers: there even where a file of answers stands in their place.
    (INIT / "teacher").mkdir(exist_ok=True)


def read_rows(params: Params, card: TaskCard, pair: PairCard) -> Rows:
    """Read the task and the teacher's answers, where it is a file of such, and give every row its role.

    Transfer's rows, which may be many, are written as they come.
    """
    folder, pair_path = Path("tasks") / params.task, Path("pairs") / f"{params.pair}.yaml"
    asked = answers_asked(pair, pair_path)
    raw, leaderboard = read_splits(card, folder), read_leaderboard(card, folder)
    classes = written_classes(raw.labels, card.leaderboard)
    answers = answers_given(asked, card, folder, raw.labels, pair_path)
    roles, summary = assign_roles(raw, params.prepare)
    # Before transfer, which may be long: a row without an answer is told at once.
    roles = {role: answered(frame, role, answers) for role, frame in roles.items()}
    transfer = write_transfer(
        TransferRows(card, folder, raw, roles), params.prepare, list(card.columns.texts()), answers
    )
    if transfer["read"] and not transfer["rows"]:
        raise UserError(f"{folder / CARD}: transfer: every row is empty or stands in another role")
    roles = plant_noise(roles, card.label_noise, card.clean_roles, len(raw.labels), params.prepare.seed)
    summary |= {"transfer": transfer, "files": raw.files}
    summary["label_noise"] = {"fraction": card.label_noise, "clean_roles": card.clean_roles}
    return Rows(raw.labels, roles, summary, leaderboard, classes)


def own_tokenizer(pair: PairCard, train: pd.DataFrame, max_length: int):
    """The tokenizer of a pair from scratch, trained on train and transfer; None where the networks have their own."""
    from lgtm.networks.models import train_wordpiece

    return train_wordpiece(TaughtTexts(train), pair.tokenizer.vocab_size, max_length) if pair.tokenizer else None


def some_rows(roles: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Rows to try a network on: those of all roles, of transfer the first."""
    return pd.concat([*roles.values(), next(read_chunks(role_path("transfer")), None)])


def starts(pair: PairCard, name: str) -> list[tuple[Path, Network, str]]:
    """The pair's networks: the folder that each is written to, its part of the card, and what messages call it."""
    teachers, card = pair.teacher.networks, f"pairs/{name}.yaml"
    fields = [f"{card}: teacher.mean.{n}" for n in range(len(teachers))] if pair.teacher.mean else [f"{card}: teacher"]
    places = member_folders(INIT / "teacher", len(teachers)) if teachers else []
    return [*zip(places, teachers, fields, strict=False), (INIT / "student", pair.student, f"{card}: student")]


def answers_asked(pair: PairCard, path: Path) -> Answers | None:
    """Which answers the pair's card names, where its teacher is a file of them; path: of the card."""
    said = pair.teacher.predictions
    return None if said is None else parse(Answers, said, path, PREDICTIONS)


def answers_given(
    asked: Answers | None, card: TaskCard, folder: Path, labels: list[str], path: Path
) -> AnswerTable | None:
    """The answers that the pair's card names, read."""
    paired = card.columns.text_pair is not None
    return None if asked is None else read_answers(asked, folder, labels, paired, path, PREDICTIONS)


def answered(rows: pd.DataFrame, role: str, answers: AnswerTable | None) -> pd.DataFrame:
    """The rows with what the teacher said of them, where it is a file of answers; of feedback it may say nothing."""
    logits = None if answers is None else answers.logits_for(rows, role, required=role != "feedback")
    return rows if logits is None else rows.assign(**{ANSWERED: list(logits)})


def write_transfer(
    rows: TransferRows, settings: Prepare, texts: list[str], answers: AnswerTable | None
) -> dict[str, Any]:
    """Write the rows without labels, or as many random ones as are asked for; returns their counts.

    texts: our names of the columns of texts. Piece by piece: a million rows take time, not memory.
    """
    path, every = role_path("transfer"), DATA / "transfer-all.parquet"
    write_rows(path, pd.DataFrame(columns=["sample_id", *texts], dtype="str"))
    _write_pieces(every, iter(rows))
    counts = dict(rows.counts) | {"left_out": 0}
    if counts["rows"]:
        places = chosen_rows(counts["rows"], settings.max_transfer, settings.seed)
        pieces = (rows for rows, _ in at(places, read_chunks(every)))
        _write_pieces(path, (answered(piece, "transfer", answers) for piece in pieces))
        counts |= {"rows": len(places), "left_out": counts["rows"] - len(places)}
    every.unlink(missing_ok=True)
    return counts


def _write_pieces(path: Path, pieces: Iterator[pd.DataFrame]) -> None:
    with TableWriter(path) as table:
        for rows in pieces:
            table.write(rows["sample_id"], **{name: rows[name] for name in rows if name != "sample_id"})


class TaughtTexts:
    """All texts that are learnt from, to be gone through again and again: train's, then transfer's as it is on disk."""

    def __init__(self, train: pd.DataFrame):
        self.train = train

    def __iter__(self) -> Iterator[str]:
        """Second texts after the first, in every piece."""
        yield from texts_of(self.train)
        for rows in read_chunks(role_path("transfer")):
            yield from texts_of(rows)


def written_classes(labels: list[str], leaderboard: Leaderboard | None) -> list[str]:
    """How the leaderboard wants each class written, in the order of their ids.

    Raises UserError for a name that a spreadsheet would take for a formula: the format allows no escape.
    """
    if leaderboard is None:
        return labels
    if leaderboard.write == "ids":
        return [str(index) for index in range(len(labels))]
    if formulas := [name for name in labels if name.startswith(("=", "+", "-", "@")) and not is_number(name)]:
        raise UserError(
            f"{CARD}: leaderboard.write: the class {formulas[0]!r} is a formula to a spreadsheet; write ids"
        )
    return labels


def is_number(text: str) -> bool:
    """Whether a text is read as a number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def texts_of(frame: pd.DataFrame) -> list[str]:
    """All texts of a table, second texts after the first."""
    return [text for column in ("text", "text_pair") if column in frame for text in frame[column]]
