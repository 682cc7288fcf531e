"""The library and the stages on the import path, from whatever folder a benchmark is started: import it first."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "stages"), str(ROOT / "src")]
