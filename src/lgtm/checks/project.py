"""Everything that can be known of a run before anything trains."""

from pathlib import Path

from lgtm.checks.findings import Findings
from lgtm.checks.room import SUMMARY, look_at_room, read_project
from lgtm.checks.settings import look_at_settings
from lgtm.config import read_yaml
from lgtm.handover import GRAPH, existing
from lgtm.params import Params


def look(found: Findings, path: Path, *, jobs: int, gpu: bool) -> None:
    """Look at the project in the current folder with the settings of a params.yaml, and train and write nothing.

    jobs: cells at a time; gpu: whether networks will lie on a GPU.
    """
    from lgtm.checks.preparation import look_at_preparation, thrown_away  # imports the report's statistics

    params, card, pair = look_at_settings(found, path)
    if params:
        found.seen.append(f"settings: task {params.task}, pair {params.pair}, {_cells(params)}")
    if not (params and card and pair):
        return
    with thrown_away() as project:
        before = len(found.problems)
        look_at_preparation(found, params, card, pair)
        if len(found.problems) == before:
            look_at_room(found, read_project(card.max_length), params, jobs=jobs, folder=project, gpu=gpu)


def require_settings() -> None:
    """Raise UserError for any mistake in params.yaml and its cards: a second's work, for the start of a run."""
    found = Findings()
    look_at_settings(found)
    found.require_none()


def look_at_prepared(found: Findings, *, jobs: int, here: bool, gpu: bool, folder: Path) -> None:
    """Whether there is room for what comes after prepare, whose outputs are there."""
    params, card, _ = look_at_settings(found)
    if not (params and card):
        return
    with found.collecting():
        existing(SUMMARY, "roles", "transfer")
        project = read_project(card.max_length)
        look_at_room(found, project, params, jobs=jobs, folder=folder, here=here, gpu=gpu)


def _cells(params: Params) -> str:
    """How many cells a run has, by dvc.yaml's matrices."""
    lengths = {"seeds": len(params.seeds), "arms": len(params.arms), "rounds.arms": len(params.rounds.arms)}
    stages, total = read_yaml(GRAPH)["stages"], 0
    for stage in stages.values():
        cells = 1
        for values in stage.get("matrix", {}).values():
            cells *= lengths[values.strip("${}")]
        total += cells
    return f"{len(params.seeds)} seeds, {len(params.arms)} arms: {total} cells"
