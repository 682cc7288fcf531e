"""Memory and disk that a run will need, estimated from its settings and its starting networks.

Two figures for each. The least counts only what cannot be avoided, and where it is not there the run will fail. The
other is what is to be expected, and where that is not there the run is warned of. Both are of weights in fp32, whatever
the precision: so they are kept.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from lgtm.checks.findings import Findings
from lgtm.params import CO_TRAINED, Params

STARTING = Path("work/init")  # networks, as prepare leaves them
SUMMARY = Path("work/data/summary.json")
# Of a network's weights, while it is trained: theirs, their gradients, AdamW's two moments, and a copy of the best.
COPIES = 5
LEAST_COPIES = 4
FP32 = 4  # bytes of a number
PROCESS = 700e6  # bytes of a cell's own: Python, torch, transformers
PER_LAYER = 34  # numbers that a layer keeps for the backward pass, in hidden sizes per token (Korthikanti et al., 2022)
PER_HEAD = 5 / 2  # numbers that it keeps per head and pair of tokens, of the same
# What different architectures call the same.
HIDDEN = ("hidden_size", "dim", "d_model", "emb_dim")
LAYERS = ("num_hidden_layers", "n_layers", "num_layers")
HEADS = ("num_attention_heads", "n_heads", "num_heads")
INNER = ("intermediate_size", "hidden_dim", "d_inner")


@dataclass(frozen=True)
class Network:
    """A starting network: its weights in bytes, hidden size, layers and heads."""

    weights: float
    hidden: int
    layers: int
    heads: int

    def activations(self, rows: int, tokens: int) -> float:
        """Bytes of what a batch of so many rows of so many tokens each leaves for the backward pass."""
        per_token = PER_LAYER / 2 * self.hidden + PER_HEAD * self.heads * tokens
        return FP32 * rows * tokens * self.layers * per_token


@dataclass(frozen=True)
class Project:
    """What the estimates are made of: the networks, rows of train and transfer, of test, classes, tokens of a text."""

    teachers: list[Network]
    student: Network
    taught: int
    test: int
    classes: int
    tokens: int

    @property
    def teacher_weights(self) -> float:
        """Bytes of all networks of the teacher."""
        return sum(network.weights for network in self.teachers)


def read_project(max_length: int) -> Project:
    """The project whose starting networks and summary prepare has written under the current folder."""
    summary = json.loads(SUMMARY.read_text(encoding="utf-8"))
    roles = summary["roles"]
    members = sorted((STARTING / "teacher/members").glob("*")) or [STARTING / "teacher"]
    return Project(
        teachers=[read_network(folder) for folder in members if (folder / "config.json").is_file()],
        student=read_network(STARTING / "student"),
        taught=roles["train"]["rows"] + summary["transfer"]["rows"],
        test=roles["test"]["rows"],
        classes=len(roles["train"]["classes"]),
        tokens=max_length,
    )


def read_network(folder: Path) -> Network:
    """A network from its folder; where its weights are not drawn yet, as many as its configuration asks for."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    hidden, layers, heads = (_first(config, names) for names in (HIDDEN, LAYERS, HEADS))
    saved = folder / "model.safetensors"
    drawn = config.get("vocab_size", 0) * hidden + layers * (4 * hidden**2 + 2 * hidden * _first(config, INNER))
    return Network(saved.stat().st_size if saved.is_file() else FP32 * drawn, hidden, layers, heads)


def _first(config: dict[str, Any], names: tuple[str, ...]) -> int:
    return next((config[name] for name in names if isinstance(config.get(name), int)), 1)


def cell_memory(project: Project, params: Params) -> tuple[float, float]:
    """The least and the expected bytes of memory of the cell that takes most."""
    trained = [*project.teachers, project.student]
    largest = max(trained, key=lambda network: network.weights)
    beside = project.teacher_weights + project.student.weights if CO_TRAINED.intersection(params.arms) else 0
    weights = max(largest.weights, beside)
    batches = [params.teacher_warmup.batch_size, params.distill.batch_size, params.teacher_tailored.retrain.batch_size]
    rows = max(batches)
    if params.tokens_at_once:
        rows = max(1, min(rows, params.tokens_at_once // project.tokens))
    activations = max(network.activations(rows, project.tokens) for network in trained)
    tables = 4.0 * FP32 * project.taught * project.classes
    return PROCESS / 2 + LEAST_COPIES * weights, PROCESS + COPIES * weights + activations + tables


def disk(project: Project, params: Params) -> tuple[float, float]:
    """The least and the expected bytes on disk of all that the listed cells keep.

    The least is one copy of students and warm teachers; the expected has the arms' teachers and targets too, and all of
    it once more in DVC's cache.
    """
    student, teacher = project.student.weights, project.teacher_weights
    earlier = 1 + params.student_warmup.earlier_checkpoints
    cells, least, expected = len(params.seeds) * len(params.arms), 0.0, 0.0
    targets = 1.0 * FP32 * project.taught * project.classes
    least += len(params.seeds) * (teacher + earlier * student) + cells * student
    # Warm networks, with the students' second moments; targets; the influence's two matrices.
    expected += teacher + student + len(params.seeds) * (teacher + 2 * earlier * student + 3 * targets)
    for arm in params.arms:
        own = getattr(params.teacher_tailored, arm)
        trials = 1 + len(list(own.trials()))
        rounds = params.rounds.count if arm in params.rounds.arms else 1
        kept = (teacher if own.trains_teacher else 0) + targets + student
        expected += len(params.seeds) * trials * rounds * kept
    expected += cells * 4.0 * FP32 * project.test * project.classes
    return least, 2 * expected


def look_at_room(
    found: Findings, project: Project, params: Params, *, jobs: int, folder: Path, here: bool = True, gpu: bool = False
) -> None:
    """Hold the estimates against this machine.

    jobs: cells at a time; folder: of the project, whose disk is meant and what is there already; here: whether cells
    run on this machine; gpu: whether networks lie on a GPU, whose memory the runner asks for itself.
    """
    least, expected = cell_memory(project, params)
    if here and not gpu:
        memory = psutil.virtual_memory()
        found.seen.append(
            f"memory: a cell about {_shown(expected)}, {jobs} at a time; of {_shown(memory.total)}"
            f" {_shown(memory.available)} are free"
        )
        if least > memory.total:
            found.problems.append(
                f"memory: to train the largest network takes {_shown(least)} at least (its weights, gradients and"
                f" AdamW's moments), and this machine has {_shown(memory.total)}; take a smaller one in"
                f" pairs/{params.pair}.yaml"
            )
        elif expected * jobs > memory.available:
            fits = max(1, int(memory.available / expected))
            found.cautions.append(
                f"memory: {jobs} cells at a time take about {_shown(expected * jobs)}, and {_shown(memory.available)}"
                f" are free; set JOBS={fits}" + (" or tokens_at_once in params.yaml" if fits == 1 else "")
            )
    least, expected = disk(project, params)
    there, free = sum(_sizes(folder)), shutil.disk_usage(folder).free
    found.seen.append(f"disk: about {_shown(expected)}, earlier runs have {_shown(there)}; {_shown(free)} are free")
    if least - there > free:
        found.problems.append(
            f"disk: the networks of the listed cells take {_shown(least)} at least, earlier runs have"
            f" {_shown(there)}, and {_shown(free)} are free; list fewer seeds or arms in params.yaml, or make room"
        )
    elif expected - there > free:
        found.cautions.append(
            f"disk: with the arms' teachers and DVC's cache about {_shown(expected)}, earlier runs have"
            f" {_shown(there)}, and {_shown(free)} are free"
        )


def _sizes(folder: Path) -> Iterator[int]:
    """Bytes of the files of earlier runs: results, and DVC's cache."""
    for part in ("work", ".dvc/cache"):
        for path in (folder / part).rglob("*"):
            if path.is_file() and not path.is_symlink():
                yield path.stat().st_size


def _shown(size: float) -> str:
    for unit in ("kB", "MB"):
        size /= 1000
        if size < 1000:
            return f"{size:.0f} {unit}"
    return f"{size / 1000:.1f} GB"
