# make repro: the environment, then the default run.  make test: the tests.
# make timings: seconds per arm and latencies, of this machine.
# make compare: runs side by side, on the test.  make tune: trials side by side, on selection (docs/tuning.md).
PYTHON ?= python3
VENV := .venv
# DVC's stages call python, and its queue worker calls dvc: both have to be those of the environment.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: repro test timings compare tune

repro: $(VENV)/.installed
	dvc repro
	@cat reports/results.md

test: $(VENV)/.installed
	ruff check .
	ruff format --check .
	pytest

timings: $(VENV)/.installed
	PYTHONPATH=src python -m benchmarks.timings

compare: $(VENV)/.installed
	dvc exp show --only-changed --drop '.*/|Created|State|Executor|checkpoints|selection\.|seconds\.|.*ms_per'

# The test's figures are the columns without a dot: whoever chooses does not see them.
tune: $(VENV)/.installed
	dvc exp show --only-changed --drop '(?!(Experiment|task|pair)$$)[^.]*$$|.*/|.*ms_per|seconds\.|selection.metric'

# requirements.lock is exact; torch comes from it in the build that fits the machine.
$(VENV)/.installed: requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@touch $@
