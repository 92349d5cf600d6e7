# `make quickstart` and `make test` set up what they need in .venv; nothing outside it changes.
PYTHON ?= python3
BIN := .venv/bin
PLUGINS := $(wildcard plugins/kdsearch-*)
SOURCES := pyproject.toml constraints.txt $(PLUGINS:%=%/pyproject.toml)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# An importable torch is reused: it may be a build for this machine's GPU.
REUSE = $(shell $(PYTHON) -c "import torch" 2>/dev/null && echo --system-site-packages)

.PHONY: help quickstart install smollm2 test slow format

help:
	@echo "make quickstart   search for the smallest student on the arithmetic domain"
	@echo "make smollm2      write SmolLM2-135M to models/, for specs/news-smollm2.yaml"
	@echo "make test         lint, types, layers and tests"
	@echo "make slow         what takes too long for make test"
	@echo "make format       format the code"

quickstart: .venv/installed
	$(BIN)/kdsearch run specs/quickstart.yaml $(ARGS)

install: .venv/installed

smollm2: .venv/installed
	@$(PIP) -c .venv/constraints.txt -e ".[gguf]"
	$(BIN)/python benchmarks/smollm2.py models/smollm2-135m

test: .venv/installed-dev
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest -q -n auto --dist loadfile -m "not slow" $(ARGS)

slow: .venv/installed-dev
	$(BIN)/python -m pytest -q -m slow $(ARGS)
	$(BIN)/python -m benchmarks.level
	$(BIN)/python -m benchmarks.simulate_search
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.chaos

format: .venv/installed-dev
	$(BIN)/ruff check --quiet --fix .
	$(BIN)/ruff format --quiet .

.venv/installed: $(SOURCES)
	@echo "Setting up .venv (a few minutes the first time) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(REUSE) .venv
	@grep -v $(if $(REUSE),'^torch==','^$$') constraints.txt > .venv/constraints.txt
	@$(PIP) -c .venv/constraints.txt -e . $(PLUGINS:%=-e ./%)
	@touch $@

.venv/installed-dev: .venv/installed
	@$(PIP) -c .venv/constraints.txt -e ".[dev]"
	@touch $@
