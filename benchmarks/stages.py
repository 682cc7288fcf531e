"""Run all cells of params.yaml in one process, as `dvc repro` does in many: the same artifacts, without the imports.

    PYTHONPATH=src python -m benchmarks.workspace ../trec -S task=trec
    cd ../trec && PYTHONPATH=$REPO/src:$REPO python -m benchmarks.stages

In the current folder, which benchmarks.workspace makes; REPO is the clone's full path. For tables over many tasks and
seeds on a small machine, where importing torch in every stage is a third of the time. Nothing is cached or locked, and
what an earlier run wrote is removed, or with --go-on kept where its cell was done: `dvc repro` is how a result that
matters is made; docs/results.md says what came from here. Ends in an error where a stage does not write what dvc.yaml
says.
"""

import argparse
import importlib
import itertools
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from lgtm.config import read_yaml
from lgtm.errors import UserError
from lgtm.inputs import digest
from lgtm.params import load_params

DONE = Path("work/done.txt")  # the settings' digest, then a line for every cell that is done
STAGES = read_yaml(Path(__file__).parents[1] / "dvc.yaml")["stages"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--go-on", action="store_true", help="leave the cells that an earlier run has done")
    run_all(parser.parse_args().go_on)


def run_all(go_on: bool = False) -> None:
    """Run the stages in the graph's order, in the current folder; go_on: but for what an earlier run has done."""
    load_params()
    params = read_yaml("params.yaml")
    done = begin(digest(Path("params.yaml")), go_on)
    for name, stage in STAGES.items():
        for item in cells(stage, params):
            cell = " ".join([name, *map(str, item.values())])
            if cell not in done:
                run(name, item)
                with DONE.open("a") as file:
                    print(cell, file=file)


def begin(settings: str, go_on: bool) -> set[str]:
    """The cells that an earlier run of these settings has done; none of a run anew.

    Raises UserError where the earlier run had other settings.
    """
    done = DONE.read_text().splitlines() if go_on and DONE.is_file() else [settings]
    if done[0] != settings:
        raise UserError("params.yaml: changed since the run that --go-on would go on with; run without it")
    DONE.parent.mkdir(exist_ok=True)
    DONE.write_text("\n".join(done) + "\n")
    return set(done[1:])


def run(name: str, item: dict) -> None:
    """Run a stage's cell as DVC does: its outputs are removed before. Raises UserError where one is not there after."""
    main, written = importlib.import_module(f"stages.{name}").main, outputs(STAGES[name], item)
    for path in written:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    main(**item)
    for path in written:
        if not path.exists():
            raise UserError(f"{' '.join([name, *map(str, item.values())])}: did not write {path}, which dvc.yaml lists")


def cells(stage: dict, params: dict) -> Iterator[dict]:
    """What the stage's main is called with: the items of its matrix, in order; nothing, once, where it has none."""
    lists = {key: _setting(values, params) for key, values in stage.get("matrix", {}).items()}
    for values in itertools.product(*lists.values()):
        yield dict(zip(lists, values, strict=True))


def outputs(stage: dict, item: dict) -> list[Path]:
    """Files and folders that the stage writes."""
    listed = [out for kind in ("outs", "metrics", "plots") for out in stage.get(kind, [])]
    found = []
    for out in listed:
        path = next(iter(out)) if isinstance(out, dict) else out
        for key, value in item.items():
            path = path.replace(f"${{item.{key}}}", str(value))
        found.append(Path(path))
    return found


def _setting(reference: str, params: dict) -> list:
    """What a reference such as ${rounds.arms} names."""
    for key in reference.removeprefix("${").removesuffix("}").split("."):
        params = params[key]
    return params


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
