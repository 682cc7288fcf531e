"""Print runs with the arms kd, control and tailored as one markdown table: name=reports folder, for docs/results.md.

python benchmarks/table.py 'SST-2, 20 % flips=../sst2/reports' 'TREC, clean=../trec/reports'
"""

import json
import sys
from pathlib import Path

DIFFERENCES = ("tailored-kd", "tailored-control", "shuffled-kd")


def interval(value: dict[str, float], sign: str = "") -> str:
    """A mean with its interval in %, bold where the interval is clear of zero and it is a difference."""
    if value["low"] is None:  # one seed
        return f"{100 * value['mean']:{sign}.1f}".replace("-", "−")
    text = f"{100 * value['mean']:{sign}.1f} [{100 * value['low']:{sign}.1f}, {100 * value['high']:{sign}.1f}]"
    return (f"**{text}**" if sign and value["low"] * value["high"] > 0 else text).replace("-", "−")


def row(name: str, metrics: dict) -> list[str]:
    """The first metric of a run's teacher, arms and differences; the corrected p of the test over seeds and rows."""
    official = next(iter(metrics["arms"]["kd"]))
    arms = [interval(metrics["arms"][arm][official]) for arm in ("kd", "control", "tailored")]
    cells = [name, str(metrics["arms"]["kd"][official]["n"]), interval(metrics["teachers"]["warmup"][official]), *arms]
    for pair in DIFFERENCES:
        found = metrics["differences"].get(pair)
        p = metrics["tests"].get(pair, {}).get("p_holm")
        tested = "" if p is None else f", p {p:.2g}"
        cells.append(interval(found[official], "+") + tested if found else "–")
    return cells


def main() -> None:
    """Read the metrics.json of every folder on the command line."""
    differences = [pair.replace("-", " − ") for pair in DIFFERENCES]
    heads = ["setting", "seeds", "teacher", "kd", "control", "tailored", *differences]
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for argument in sys.argv[1:]:
        name, folder = argument.rsplit("=", 1)
        print("| " + " | ".join(row(name, json.loads((Path(folder) / "metrics.json").read_text()))) + " |")


if __name__ == "__main__":
    main()
