"""Print the results of several runs as one markdown table: name=reports folder, as docs/results.md has them.

    python benchmarks/table.py 'SST-2, 20 % flips=../sst2/reports' 'TREC, clean=../trec/reports'
"""

import json
import sys
from pathlib import Path

DIFFERENCES = ("tailored-kd", "tailored-control", "shuffled-kd")


def interval(value: dict[str, float], sign: str = "") -> str:
    """A mean with its interval in %, bold where the interval is clear of zero and it is a difference."""
    text = f"{100 * value['mean']:{sign}.1f} [{100 * value['low']:{sign}.1f}, {100 * value['high']:{sign}.1f}]"
    return f"**{text}**" if sign and value["low"] * value["high"] > 0 else text


def row(name: str, metrics: dict) -> list[str]:
    """The first metric of a run's teacher, arms and differences; the corrected p of the test over seeds and rows."""
    official = next(iter(metrics["arms"]["kd"]))
    arms = [interval(metrics["arms"][arm][official]) for arm in ("kd", "control", "tailored")]
    cells = [name, str(metrics["arms"]["kd"][official]["n"]), interval(metrics["teachers"]["warmup"][official]), *arms]
    for pair in DIFFERENCES:
        found = metrics["differences"].get(pair)
        p = metrics["tests"].get(pair, {}).get("p_holm")
        cells.append(f"{interval(found[official], '+')}, p {p:.3f}" if found else "–")
    return cells


def main() -> None:
    """Read the metrics.json of every folder on the command line."""
    heads = ["setting", "seeds", "teacher", "kd", "control", "tailored", *(d.replace("-", " − ") for d in DIFFERENCES)]
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for argument in sys.argv[1:]:
        name, folder = argument.rsplit("=", 1)
        print("| " + " | ".join(row(name, json.loads((Path(folder) / "metrics.json").read_text()))) + " |")


if __name__ == "__main__":
    main()
