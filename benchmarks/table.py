"""Print runs with the arms kd, control and tailored as one markdown table: name=reports folder, for docs/results.md.

PYTHONPATH=src python -m benchmarks.table 'SST-2, 20 % flips=../sst2/reports' 'TREC, clean=../trec/reports'
"""

import json
import sys
from pathlib import Path

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


def main() -> None:
    """Read the metrics.json of every folder on the command line."""
    header = ["setting", "seeds", "teacher", *ARMS, *(pair.replace("-", " − ") for pair in DIFFERENCES)]
    runs = (argument.rsplit("=", 1) for argument in sys.argv[1:])
    rows = [row(name, json.loads((Path(folder) / "metrics.json").read_text())) for name, folder in runs]
    print(markdown_table(header, rows))


if __name__ == "__main__":
    main()
