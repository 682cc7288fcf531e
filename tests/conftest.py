import sys
from pathlib import Path

# Stage scripts import their neighbours, as they do when they are run.
sys.path.insert(0, str(Path(__file__).parents[1] / "stages"))
