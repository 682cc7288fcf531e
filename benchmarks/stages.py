"""Run all cells of params.yaml in one process, as `dvc repro` does in many: the same artifacts, without the imports.

    PYTHONPATH=src python -m benchmarks.stages

For tables over many tasks and seeds on a small machine, where importing torch in every stage is a third of the time.
Nothing is cached or locked: `dvc repro` is how a result that matters is made; docs/results.md says what came from here.
"""

import importlib
from pathlib import Path

from lgtm.config import read_yaml
from lgtm.params import load_params

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Run the stages in the graph's order, in the current folder."""
    params = load_params()
    stage = {name: importlib.import_module(f"stages.{name}") for name in read_yaml(ROOT / "dvc.yaml")["stages"]}
    stage["prepare"].main()
    for seed in params.seeds:
        for name in ("teacher_warmup", "student_warmup", "influence", "validation"):
            stage[name].main(seed)
        for arm in params.arms:
            stage["teacher_tailored"].main(seed, arm)
            stage["distill"].main(seed, arm)
        for arm in params.rounds.arms:
            stage["rounds"].main(seed, arm)
    for name in ("selection", "evaluate", "report"):
        stage[name].main()


if __name__ == "__main__":
    main()
