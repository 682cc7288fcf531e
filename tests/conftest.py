import os

# Before torch is imported, here and in stages: on tiny models a second thread only waits, as busily as the first works.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items):
    """The longest file first: one process of `make test` has it while the other does the rest."""
    items.sort(key=lambda item: item.path.name != "test_pipeline.py")
