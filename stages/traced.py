"""Which files of each stage the report reads, of the seeds and arms that are listed."""

from itertools import product
from pathlib import Path

from lgtm.params import Params
from stages.artifacts import DATA, TAUGHT, VALIDATION, WARMUP, cell, evaluation, later_rounds, role_path
from stages.opinions import own_targets, warm_targets


def files_read(params: Params) -> dict[str, list[Path]]:
    """By stage, those of these files that are there; evaluate_warmup's and evaluate_rounds' are with evaluate's."""
    seeds, arms = params.seeds, params.arms
    cells, rounds = list(product(seeds, arms)), list(product(seeds, params.rounds.arms))
    later = [str(number) for number in range(2, params.rounds.count + 1)]
    wanted = {
        "prepare": [DATA / "summary.json", DATA / "task.json", *map(role_path, TAUGHT)],
        "teacher_warmup": [path for seed in seeds for path in (warm_targets(seed), *_logs(cell(seed, "teacher")))],
        "student_warmup": [path for seed in seeds for path in _logs(cell(seed, "student"))],
        "influence": [
            cell(seed, "influence") / name for seed in seeds for name in ("influence.parquet", "summary.json")
        ],
        "teacher_tailored": [
            path for where in cells for path in (own_targets(*where), *_logs(cell(*where, "teacher")))
        ],
        "validation": [VALIDATION / str(seed) / "validation.json" for seed in seeds],
        "distill": [path for where in cells for path in _logs(cell(*where, "student"))],
        "rounds": [
            cell(*where, "rounds", number, network) / "environment.json"
            for where, number, network in product(rounds, later, ("teacher", "student"))
        ],
        "evaluate": [
            folder / f"{name}.parquet"
            for folder in (
                *(evaluation(seed, arm) for seed in seeds for arm in (WARMUP, *arms)),
                *(later_rounds(*where) for where in rounds),
            )
            for name in ("results", "student")
        ],
    }
    return {stage: [path for path in paths if path.is_file()] for stage, paths in wanted.items()}


def _logs(folder: Path) -> list[Path]:
    """What a network's cell says of its training."""
    curves = sorted((folder / "live/plots/metrics/selection").glob("*.tsv"))
    return [folder / "cost.json", folder / "choice.json", folder / "environment.json", *curves]
