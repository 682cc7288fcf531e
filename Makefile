# make repro: the environment, then the default run.  make test: the tests.
PYTHON ?= python3
VENV := .venv
ACTIVATE := . $(VENV)/bin/activate

.PHONY: repro test lint compare

repro: $(VENV)/.installed
	$(ACTIVATE) && dvc repro
	@cat reports/results.md

test: $(VENV)/.installed
	$(ACTIVATE) && ruff check . && ruff format --check . && pytest

compare: $(VENV)/.installed
	$(ACTIVATE) && dvc exp show --only-changed

# requirements.lock is exact; torch comes from it in the build that fits the machine.
$(VENV)/.installed: requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@touch $@
