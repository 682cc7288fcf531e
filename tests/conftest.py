import os

# Before torch is imported, here and in stages: on tiny models a second thread only waits, as busily as the first works.
os.environ.setdefault("OMP_NUM_THREADS", "1")
