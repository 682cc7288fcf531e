# make repro: the environment, then the default run, JOBS=4 cells at a time; without JOBS as many as there are cores.
# make test: the tests.
# make docs: the pages of docs/ as a site, in site/.
# make timings: seconds per arm and latencies, of this machine.
# make compare: runs side by side, on the test.  make tune: trials side by side, on selection (docs/tuning.md).
# make recipe ROWS=350: lengths of training for so many rows (recipes/), written into params.yaml.
PYTHON ?= python3
VENV := .venv
# DVC's stages call python, and its queue worker calls dvc: both have to be those of the environment.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: repro test docs timings compare tune recipe

repro: $(VENV)/.installed
	@PYTHONPATH=src python -m lgtm.runner $(if $(JOBS),--jobs $(JOBS))

test: $(VENV)/.installed
	ruff check .
	ruff format --check .
	pytest -n 2 --dist loadfile --no-loadscope-reorder

docs: $(VENV)/.installed
	mkdocs build --quiet

timings: $(VENV)/.installed
	PYTHONPATH=src python -m benchmarks.timings

compare: $(VENV)/.installed
	@PYTHONPATH=src python -m lgtm.cli compare

recipe: $(VENV)/.installed
	@PYTHONPATH=src python -m lgtm.recipe $(ROWS)

# Whoever chooses does not see the test's figures.
tune: $(VENV)/.installed
	@PYTHONPATH=src python -m lgtm.cli compare --on selection

# requirements.lock is exact; torch comes from it in the build that fits the machine. What would fail afterwards is told
# before gigabytes are fetched.
$(VENV)/.installed: requirements.lock pyproject.toml
	@git rev-parse --git-dir > /dev/null 2>&1 || { echo "error: this folder is not a git repository, which DVC needs:\
	 git clone the project, or git init && git add . && git commit -m start" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $(PYTHON) is older than 3.11;\
	 name a newer one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@# The command lgtm; what it runs is this folder's code.
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@
