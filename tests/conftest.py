import os
import sys
from pathlib import Path

# Before torch is imported, here and in stages: on tiny models a second thread only waits, as busily as the first works.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Stage scripts import their neighbours, as they do when they are run.
sys.path.insert(0, str(Path(__file__).parents[1] / "stages"))
