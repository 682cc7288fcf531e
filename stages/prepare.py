"""Read the task, give every sample its role, plant label noise, and bring in the networks to start from."""

from pathlib import Path

import pandas as pd

from lgtm.data.roles import assign_roles, plant_noise
from lgtm.data.sources import read_leaderboard, read_splits
from lgtm.data.tasks import Leaderboard, load_card
from lgtm.networks.pairs import load_pair, require_trainable
from lgtm.params import load_params
from stages.artifacts import DATA, INIT, LEADERBOARD, write_json


def main() -> None:
    """Write the roles' tables to work/data and the starting networks to work/init."""
    params = load_params()
    folder = Path("tasks") / params.task
    card, pair = load_card(folder), load_pair(params.pair)
    require_trainable(pair.teacher, params.teacher_warmup.epochs, "teacher_warmup")
    require_trainable(pair.student, params.student_warmup.epochs, "student_warmup")

    raw, leaderboard = read_splits(card, folder), read_leaderboard(card, folder)
    roles, summary = assign_roles(raw, params.prepare)
    roles = plant_noise(roles, card.label_noise, card.clean_roles, len(raw.labels), params.prepare.seed)
    summary["files"] = raw.files
    summary["label_noise"] = {"fraction": card.label_noise, "clean_roles": card.clean_roles}

    # Not before, because this takes half a minute on a busy machine: a mistake in a card is told at once.
    from lgtm.networks.determinism import make_deterministic
    from lgtm.networks.models import starting_network, train_wordpiece
    from lgtm.networks.trial import try_out

    # A pretrained encoder may lack a pooler; what transformers makes in its place has to be the same each time.
    make_deterministic(params.prepare.seed)
    tokenizer = (
        train_wordpiece(texts_of(roles["train"]), pair.tokenizer.vocab_size, card.max_length)
        if pair.tokenizer
        else None
    )
    networks = {
        name: starting_network(network, tokenizer, raw.labels, card.max_length, f"pairs/{params.pair}.yaml: {name}")
        for name, network in (("teacher", pair.teacher), ("student", pair.student))
    }

    summary["truncated"] = {
        role: truncated(frame, networks["teacher"][1], card.max_length) for role, frame in roles.items()
    }
    DATA.mkdir(parents=True, exist_ok=True)
    for role, frame in roles.items():
        frame.to_parquet(DATA / f"{role}.parquet", index=False)
    write_json(DATA / "summary.json", summary)
    # Apart from the counts, which tell of the test: what trains depends on this, and not on them.
    write_json(DATA / "task.json", {"labels": raw.labels, "metrics": card.metrics, "max_length": card.max_length})
    LEADERBOARD.mkdir(exist_ok=True)
    leaderboard.to_parquet(LEADERBOARD / "texts.parquet", index=False)
    write_json(LEADERBOARD / "classes.json", written_classes(raw.labels, card.leaderboard))
    rows = pd.concat(roles.values())
    for name, (network, tokenizer) in networks.items():
        network.save_pretrained(INIT / name)
        tokenizer.save_pretrained(INIT / name)
        try_out(INIT / name, raw.labels, rows, card.max_length, f"pairs/{params.pair}.yaml: {name}")


def written_classes(labels: list[str], leaderboard: Leaderboard | None) -> list[str]:
    """How the leaderboard wants each class written, in the order of their ids."""
    by_id = leaderboard is not None and leaderboard.write == "ids"
    return [str(index) for index in range(len(labels))] if by_id else labels


def texts_of(frame: pd.DataFrame) -> list[str]:
    """All texts of a table, second texts after the first."""
    return [text for column in ("text", "text_pair") if column in frame for text in frame[column]]


def truncated(frame: pd.DataFrame, tokenizer, max_length: int) -> int:
    """How many rows are longer than max_length tokens, and so will be cut."""
    pairs = frame["text_pair"].tolist() if "text_pair" in frame else None
    encoding = tokenizer(frame["text"].tolist(), pairs, return_length=True, verbose=False)
    return sum(length > max_length for length in encoding["length"])
