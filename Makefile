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
	@PYTHONPATH=src python -m lgtm.compare

# Whoever chooses does not see the test's figures.
tune: $(VENV)/.installed
	@PYTHONPATH=src python -m lgtm.compare --on selection

# requirements.lock is exact; torch comes from it in the build that fits the machine.
$(VENV)/.installed: requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@touch $@
