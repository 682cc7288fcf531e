"""Print runs with the arms kd, control and tailored as one markdown table: name=reports folder, for docs/results.md.

PYTHONPATH=src python -m benchmarks.table 'SST-2, 20 % flips=../sst2/reports' 'TREC, clean=../trec/reports'
"""

import argparse
import json
import sys
from pathlib import Path

from lgtm.errors import UserError
from lgtm.report.text import markdown_table, show, show_p

ARMS = ("kd", "control", "tailored")
DIFFERENCES = ("tailored-kd", "tailored-control", "shuffled-kd")


def row(name: str, metrics: dict) -> list[str]:
    """The first metric of a run's teacher, arms and differences."""
    official = next(iter(metrics["arms"]["kd"]))
    models = [metrics["teachers"]["warmup"], *(metrics["arms"][arm] for arm in ARMS)]
    return [
        name,
        str(metrics["arms"]["kd"][official]["n"]),
        *(show(model[official]) for model in models),
        *(difference(metrics, pair, official) for pair in DIFFERENCES),
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
    """A run's metrics.json. Raises UserError where there is none, or one without the arms of the table."""
    path = folder / "metrics.json"
    if not path.is_file():
        raise UserError(f"{path}: no such file; name the reports folder of a run that ended")
    metrics = json.loads(path.read_text())
    if absent := [arm for arm in ARMS if arm not in metrics.get("arms", {})]:
        raise UserError(f"{path}: has no arm {', '.join(absent)}; the table is of runs with {', '.join(ARMS)}")
    return metrics


def main() -> None:
    """Read the metrics.json of every folder on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="NAME=FOLDER")
    header = ["setting", "seeds", "teacher", *ARMS, *(pair.replace("-", " − ") for pair in DIFFERENCES)]
    rows = []
    for run in parser.parse_args().runs:
        name, found, folder = run.rpartition("=")
        if not found:
            raise UserError(
                f"{run}: should be a name and the run's reports folder, such as 'TREC, clean=../trec/reports'"
            )
        rows.append(row(name, read_metrics(Path(folder))))
    print(markdown_table(header, rows))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
