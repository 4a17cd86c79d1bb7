# Two commands do all the set-up: `make demo` runs the main job, `make test` passes the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2

.PHONY: demo test lint bench attack faults conformance exhaustive groups docs pictures lock clean

demo: $(VENV)/.runtime
	$(BIN)/python docs/demo.py

test: lint
	$(BIN)/pytest -q -n $(JOBS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

bench: $(VENV)/.dev
	$(BIN)/python -m bench

# The attacks on the promises at length; ARGS="kills --seconds 3600 --seed 7" for one kind, ARGS=--help for more: docs/reference/attacks.md
attack: $(VENV)/.dev
	PYTHONPATH=tests $(BIN)/python -m attack $(ARGS)

# make conformance CORPUS=DIR OUT=FILE [ROWS=pattern] [JOBS=4]: runs a corpus of manifests, see docs/reference/conformance.md
conformance: JOBS = 4
conformance: $(VENV)/.runtime
	@[ -n "$(CORPUS)" ] && [ -n "$(OUT)" ] || { echo "usage: make conformance CORPUS=DIR OUT=FILE [ROWS=PATTERN] [JOBS=4]" >&2; exit 2; }
	$(BIN)/python -m conformance --corpus "$(CORPUS)" --out "$(OUT)" --rows "$(or $(ROWS),*)" --jobs $(JOBS)

# A queue of 100 runs through five minutes without descriptors, and another through five minutes without inodes (as root).
faults: $(VENV)/.dev
	LINECLEAR_FAULT_RUNS=100 LINECLEAR_FAULT_S=300 $(BIN)/pytest -q -n 2 tests/e2e/test_host_faults.py

# Every order of events over a few runs and two locks, in larger spaces than the tests search: an hour; ARGS=--help for less.
exhaustive: ARGS = --runs 3 --limit 1
exhaustive: $(VENV)/.dev
	PYTHONPATH=tests/loop $(BIN)/python tests/loop/lock_space.py $(ARGS)

# The tests of control groups wherever this machine has some: as this account, and in scopes of systemd; says what could not be tried.
groups: $(VENV)/.dev
	$(BIN)/python tests/runtime/layouts.py

# The pages that are made from the code.
docs: $(VENV)/.dev
	$(BIN)/python docs/generate.py

# The pictures of the screen in README and docs, drawn by the real app.
pictures: $(VENV)/.dev
	$(BIN)/python docs/pictures.py

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "lineclear needs Python 3.11 or later")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: $(VENV)/bin/python requirements-dev.lock pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/python -m compileall -q reconciler tui
	touch $@

$(VENV)/.dev: $(VENV)/.runtime
	touch $@

# Needs pip-tools; writes the two lock files, hashes and nothing of the registry they came from.
lock:
	pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-emit-index-url --no-emit-find-links \
	  --no-emit-trusted-host --output-file requirements.lock pyproject.toml
	pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-emit-index-url --no-emit-find-links \
	  --no-emit-trusted-host --extra dev --output-file requirements-dev.lock pyproject.toml

clean:
	rm -rf $(VENV) .demo build dist
