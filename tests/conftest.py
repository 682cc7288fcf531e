import os
from contextlib import chdir

import pytest

# Before torch is imported, here and in stages: on tiny models a second thread only waits, as busily as the first works.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A fork has not the threads of a tokenizer that its parent has used, and would wait for them for ever. Said here, since
# a command that a test calls says otherwise for the whole process.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def pytest_collection_modifyitems(items):
    """The longest file first: one process of `make test` has it while the other does the rest."""
    items.sort(key=lambda item: item.path.name != "test_pipeline.py")


@pytest.fixture(scope="session")
def hostile(tmp_path_factory):
    """A workspace with hostile texts and its whole report, figures with it: written once, to be left as it is."""
    from stages import report
    from tests.reported import poison, write_workspace

    root = tmp_path_factory.mktemp("hostile")
    with chdir(root):
        write_workspace(root, arms=["kd", "tailored"], transfer=40)
        poison()
        report.main()
    return root


@pytest.fixture(scope="session")
def recommending(tmp_path_factory):
    """A workspace whose report recommends a student: written once, to be copied."""
    from tests import shipped

    root = tmp_path_factory.mktemp("recommending")
    with chdir(root):
        shipped.write()
    return root
