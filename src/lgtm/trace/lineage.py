"""The stages behind a result, with the hashes of what they read and wrote, as dvc.lock has them."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvc.dependency.param import ParamsDependency
from dvc.stage import PipelineStage

from lgtm.git import git
from lgtm.runner.graph import Graph, dvc_errors
from lgtm.runner.integrity import Verified, stages_of, verify_stages

CODE = ("src/", "stages/")
ENVIRONMENT = "environment.json"
LOCK = "dvc.lock"
SETTINGS = (LOCK, "dvc.yaml", "params.yaml", "pairs", "tasks")


@dataclass(frozen=True)
class Item:
    """Something that cells of a stage read or wrote; hash: of dvc.lock, "" where there is none; size: in bytes."""

    path: str
    hash: str
    size: int | None


@dataclass(frozen=True)
class Step:
    """A stage with those of its cells that are behind the result.

    params: key -> value, of the first cell. code, data: what all cells read; own: what single cells read; outs: what
    they wrote; each in the order of the cells.
    """

    stage: str
    cells: list[str]
    params: dict[str, Any]
    params_hash: str
    code: list[Item]
    data: list[Item]
    own: list[Item]
    outs: list[Item]


@dataclass(frozen=True)
class Lineage:
    """What is behind a result.

    environments: the content of environment.json -> the cells it stands in. commit: the one that brought dvc.lock as it
    is; head: the one that git is at; uncommitted: files that neither has.
    """

    steps: list[Step]
    environments: dict[str, list[str]]
    commit: str
    head: str
    uncommitted: list[str]
    verified: Verified


def lineage(paths: list[str], arm: str | None = None) -> Lineage:
    """The stages behind files or folders that stages write, and whether their bytes still are what dvc.lock says.

    arm: leave out the cells of other arms. Raises UserError for a path that no stage writes.
    """
    graph = Graph()
    wanted = stages_of(graph, paths)
    if arm is not None:
        wanted = {name: stage for name, stage in wanted.items() if _is_of(name, stage, arm)}
    verified = verify_stages(graph, wanted)
    grouped: dict[str, dict[str, PipelineStage]] = {}
    for name, stage in wanted.items():
        grouped.setdefault(name.partition("@")[0], {})[name] = stage
    with dvc_errors():
        steps = [_step(name, cells) for name, cells in grouped.items()]
    read = {item.path for step in steps for item in (*step.code, *step.data)}
    return Lineage(steps, _environments(wanted), *_commits(read), verified)


def _is_of(name: str, stage: PipelineStage, arm: str) -> bool:
    """Whether a cell is no arm's, or this arm's: its command says."""
    found = re.search(r"--arm (\S+)", str(stage.cmd))
    return found is None or found[1] == arm


def _step(name: str, cells: dict[str, PipelineStage]) -> Step:
    deps = [[_item(dep) for dep in stage.deps if not isinstance(dep, ParamsDependency)] for stage in cells.values()]
    shared = [item for item in deps[0] if all(item in others for others in deps)]
    own = [item for items in deps for item in items if item not in shared]
    params = [_params(stage) for stage in cells.values()]
    return Step(
        stage=name,
        cells=list(cells),
        params=params[0],
        params_hash=hashlib.md5(json.dumps(params, sort_keys=True, default=str).encode()).hexdigest(),
        code=[item for item in shared if item.path.startswith(CODE)],
        data=[item for item in shared if not item.path.startswith(CODE)],
        own=list(dict.fromkeys(own)),
        outs=[_item(out) for stage in cells.values() for out in stage.outs],
    )


def _item(entry: Any) -> Item:
    info, meta = entry.hash_info, entry.meta
    return Item(str(entry), info.value if info else "", meta.size if meta else None)


def _params(stage: PipelineStage) -> dict[str, Any]:
    """The settings that a cell was run with, by file and key."""
    found = {}
    for dep in stage.deps:
        if isinstance(dep, ParamsDependency):
            recorded = dep.hash_info.value if dep.hash_info else {}
            found |= {f"{dep}: {key}": value for key, value in (recorded or {}).items()}
    return found


def _environments(stages: dict[str, PipelineStage]) -> dict[str, list[str]]:
    """What the cells' networks were made with, by what is written beside them."""
    found: dict[str, list[str]] = {}
    for name, stage in stages.items():
        for path in sorted({path for out in stage.outs for path in Path(out.fs_path).rglob(ENVIRONMENT)}):
            try:
                content = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue  # what is wrong with the file is told by its hash
            shown = ", ".join(f"{key} {value}" for key, value in content.items())
            cells = found.setdefault(shown, [])
            if name not in cells:
                cells.append(name)
    return found


def _commits(read: set[str]) -> tuple[str, str, list[str]]:
    """The commits of dvc.lock and of now, and what of it, of the settings and of what was read is in none."""
    commit, head = (git("log", "-1", "--format=%h of %cs, %s", *path) or "" for path in (("--", LOCK), ()))
    changed = git("status", "--porcelain", "--", *SETTINGS, *sorted(read)) or ""
    return commit.rstrip("\n"), head.rstrip("\n"), [line[3:] for line in changed.splitlines()]
