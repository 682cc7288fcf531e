"""Run one cell, in a process of its own that DVC's locks know.

python -m lgtm.runner.cell distill@1-kd entry.json
"""

import json
import sys
from pathlib import Path

from lgtm.errors import UserError
from lgtm.runner.graph import loaded


def main(name: str, result: Path) -> None:
    """Run the cell and write its entry of dvc.lock into the file, null where it was up to date."""
    result.write_text(json.dumps(loaded().reproduce(name)))


if __name__ == "__main__":
    try:
        main(sys.argv[1], Path(sys.argv[2]))
    except UserError as error:
        sys.exit(f"error: {error}")
