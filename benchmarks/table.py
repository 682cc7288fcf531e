"""Print runs as two markdown tables for docs/results.md, of what was reached and of differences: name=reports folder.

PYTHONPATH=src python -m benchmarks.table 'SST-2, 20 % flips=../sst2/reports' 'TREC, clean=../trec/reports'
"""

import argparse
import json
import sys
from pathlib import Path

from lgtm.errors import UserError
from lgtm.report.text import markdown_table, show, show_p
from lgtm.report.verdicts import BASELINES


def reached(name: str, metrics: dict, arms: list[str]) -> list[str]:
    """The first metric of the majority class, the teacher, the warm student and the arms; a dash for one not listed."""
    official = next(iter(metrics["arms"]["kd"]))
    models = [metrics["teachers"]["warmup"], metrics["warm_student"], *(metrics["arms"].get(arm) for arm in arms)]
    seeds = str(metrics["arms"]["kd"][official]["n"])
    majority = f"{100 * metrics['majority'][official]:.1f}"
    return [name, seeds, majority, *(show(model[official]) if model else "–" for model in models)]


def differences(name: str, metrics: dict) -> list[list[str]]:
    """A row per arm: its differences to the baselines, with the corrected p."""
    official = next(iter(metrics["arms"]["kd"]))
    arms = [arm for arm in metrics["arms"] if arm != "kd"]
    return [
        [name, f"`{arm}`", *(difference(metrics, f"{arm}-{baseline}", official) for baseline in BASELINES)]
        for arm in arms
    ]


def difference(metrics: dict, pair: str, official: str) -> str:
    """A difference, bold where its interval is clear of zero, with the corrected p of the test over seeds and rows."""
    if pair not in metrics["differences"]:
        return "–"
    value = metrics["differences"][pair][official]
    text = show(value, signed=True)
    if value["low"] is None:  # one seed has neither interval nor test
        return text
    text = f"**{text}**" if value["low"] * value["high"] > 0 else text
    return f"{text}, p {show_p(metrics['tests'][pair]['p_holm'])}"


def read_metrics(folder: Path) -> dict:
    """A run's metrics.json. Raises UserError where there is none, or one without `kd`."""
    path = folder / "metrics.json"
    if not path.is_file():
        raise UserError(f"{path}: no such file; name the reports folder of a run that ended")
    metrics = json.loads(path.read_text())
    if "kd" not in metrics.get("arms", {}):
        raise UserError(f"{path}: has no arm kd; the tables are of runs with it")
    return metrics


def main() -> None:
    """Read the metrics.json of every folder on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="NAME=FOLDER")
    runs = {}
    for run in parser.parse_args().runs:
        name, found, folder = run.rpartition("=")
        if not found:
            raise UserError(
                f"{run}: should be a name and the run's reports folder, such as 'TREC, clean=../trec/reports'"
            )
        runs[name] = read_metrics(Path(folder))
    arms = list(dict.fromkeys(arm for metrics in runs.values() for arm in metrics["arms"]))
    header = ["setting", "seeds", "majority class", "teacher", "warm student", *(f"`{arm}`" for arm in arms)]
    print(markdown_table(header, [reached(name, metrics, arms) for name, metrics in runs.items()]), end="\n\n")
    header = ["setting", "arm", *(f"− `{baseline}`" for baseline in BASELINES)]
    print(markdown_table(header, [row for name, metrics in runs.items() for row in differences(name, metrics)]))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
