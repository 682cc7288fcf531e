"""The task's data and the pair's networks, tried as the stage prepare reads them, in a folder that is thrown away."""

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from lgtm.checks.findings import Findings
from lgtm.data.tasks import TaskCard
from lgtm.errors import UserError
from lgtm.networks.pairs import Network, PairCard
from lgtm.params import Params
from lgtm.report.cautions import few_rows

LINKED = ("tasks", "pairs", "checkpoints", ".dvc")  # what prepare reads
SOME = 10_000  # rows whose lengths are counted


@contextmanager
def thrown_away() -> Iterator[Path]:
    """Work in an empty folder in which the project's inputs are links: nothing is written into the project."""
    project = Path.cwd()
    sys.path.insert(0, str(project))  # its stages
    with TemporaryDirectory(prefix="lgtm-check-") as folder:
        for name in LINKED:
            if (project / name).exists():
                (Path(folder) / name).symlink_to(project / name)
        os.chdir(folder)
        try:
            yield project
        finally:
            os.chdir(project)
            sys.path.remove(str(project))


def look_at_preparation(found: Findings, params: Params, card: TaskCard, pair: PairCard) -> None:
    """Do what prepare does, inside thrown_away: all problems of the data, and of every network.

    Checkpoints and data sets of the hub are fetched into its cache, as prepare would. Nothing is trained but the
    tokenizer of a pair from scratch. work/init and work/data/summary.json are there afterwards, if all is well.
    """
    prepare = importlib.import_module("stages.prepare")
    rows = look_at_rows(found, params, card, pair)
    if rows is not None:
        _look_at_folds(found, params, rows.roles["train"])
    _look_at_networks(found, prepare, params, card, pair, rows)
    if rows is not None:
        importlib.import_module("stages.artifacts").write_json(prepare.DATA / "summary.json", rows.summary)


def look_at_rows(found: Findings, params: Params, card: TaskCard, pair: PairCard):
    """Read the data, and a teacher's answers, as prepare does, inside thrown_away; None where they have mistakes."""
    rows = None
    with found.collecting():
        rows = importlib.import_module("stages.prepare").read_rows(params, card, pair)
        found.seen += _of_rows(rows)
        found.cautions += few_rows(rows.summary["roles"])
    return rows


def _of_rows(rows) -> list[str]:
    counted = ", ".join(f"{role} {len(frame):,}" for role, frame in rows.roles.items())
    transfer = rows.summary["transfer"]["rows"]
    shown = ", ".join(rows.labels[:4]) + (", …" if len(rows.labels) > 4 else "")
    return [
        f"rows: {counted}, transfer {transfer:,} without labels",
        f"classes: {len(rows.labels)} ({shown})",
    ]


def _look_at_folds(found: Findings, params: Params, train: pd.DataFrame) -> None:
    """Whether train can be cut into as many folds as are asked for."""
    from lgtm.influence.folds import assign_folds

    for folds in sorted(folds_asked(params)):
        with found.collecting():
            assign_folds(train, folds, params.seeds[0])


def folds_asked(params: Params) -> set[int]:
    """The numbers of folds that the influence and the arms cut train into."""
    asked = {params.influence.folds} - {0}
    for arm in params.arms:
        own = getattr(params.teacher_tailored, arm)
        if getattr(own, "base", None) == "crossfit":
            asked.add(own.teachers)
        if hasattr(own, "folds"):
            asked.add(own.folds)
    return asked


def _look_at_networks(found: Findings, prepare, params: Params, card: TaskCard, pair: PairCard, rows) -> None:
    """Start every network and let it read the longest and the shortest text; rows: None where the data has mistakes."""
    from lgtm.networks.determinism import make_deterministic

    make_deterministic(params.prepare.seed)
    tokenizer, read = None, None
    if rows is not None:
        with found.collecting():
            tokenizer = prepare.own_tokenizer(pair, rows.roles["train"], card.max_length)
    for place, network, field in prepare.starts(pair, params.pair):
        if rows is None and network.kind != "checkpoint":
            needs = "its tokenizer is trained on the texts" if network.config else "its classes are matched to theirs"
            found.seen.append(f"{field}: not looked at before the data can be read: {needs}")
            continue
        with found.collecting():
            own = _started(prepare, place, network, field, params, card, rows, tokenizer)
            found.seen.append(f"{field}: {network.files or 'from scratch'}")
            read = read or own
    if rows is not None and read is not None:
        found.seen.append(_lengths(rows.roles["train"], read, card.max_length))


def _started(prepare, place: Path, network: Network, field: str, params: Params, card: TaskCard, rows, tokenizer):
    """Start a network as prepare does, and try it out; returns its tokenizer. Raises UserError."""
    from lgtm.influence.direction import scope_parameters
    from lgtm.networks.models import classifier, starting_network
    from lgtm.networks.trial import try_out

    labels = ["0", "1"] if rows is None else rows.labels  # an encoder has no classes
    start, own = starting_network(network, tokenizer, labels, card.max_length, field)
    if rows is not None:
        prepare.save_model(place, start, own)
        try_out(place, labels, prepare.some_rows(rows.roles), card.max_length, field)
        if field.endswith(": student"):
            try:
                scope_parameters(classifier(place, labels), params.influence.scope)
            except ValueError as error:
                raise UserError(f"params.yaml: influence.scope: {error}") from error
    return own


def _lengths(train: pd.DataFrame, tokenizer, max_length: int) -> str:
    """How long the texts are in tokens, of some rows, and how many will be cut."""
    from lgtm.networks.encoding import tokenised

    some = train.iloc[:SOME]
    encodings = tokenised(some, tokenizer, return_length=True, return_attention_mask=False, verbose=False)
    lengths = np.concatenate([encoding["length"] for encoding in encodings])
    cut = (lengths > max_length).mean()
    of = "train" if len(some) == len(train) else f"the first {SOME:,} rows of train"
    return (
        f"lengths: of {of}, median {np.median(lengths):.0f} tokens, longest {lengths.max()}; {100 * cut:.1f} % will be"
        f" cut at {max_length}"
    )
