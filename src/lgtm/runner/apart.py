"""A cell in another clone: what it needs comes from a DVC remote, what it makes goes there.

python -m lgtm.runner.apart distill@1-kd request.json entry.json
"""

import json
import sys
from pathlib import Path

from lgtm.errors import UserError
from lgtm.runner.graph import loaded


def main(name: str, request: Path, result: Path) -> None:
    """Run the cell in the current folder. The request has the entries of what it needs, and the remote's name."""
    graph, asked = loaded(), json.loads(request.read_text())
    if name not in graph.stages:
        raise UserError(f"{Path.cwd()}: no cell {name}; the clone is of another commit or has other settings")
    for needed, entry in asked["needs"].items():
        graph.fetch(needed, entry, asked["remote"])
    entry = graph.reproduce(name) or graph.entry(name)
    graph.push(name, asked["remote"])
    result.write_text(json.dumps(entry))


if __name__ == "__main__":
    try:
        main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
    except UserError as error:
        sys.exit(f"error: {error}")
