# `make demo` and `make test` need Python >= 3.11, make and a package index; nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What drives this machine's ksmd, has a terminal or measures runs by itself; and first,
# so that most of the engine is compiled once before several processes need it.
ALONE := tests/bench tests/kernel tests/tui/live tests/tui/terminal
# The others: a worker for each core, which is given file after file in their order.
BESIDE := --numprocesses auto --dist loadfile --no-loadscope-reorder

.PHONY: demo test check bench pictures clean

demo: $(VENV)/installed
	$(BIN)/ksm-analyze replay

test: $(VENV)/installed-dev check
	$(BIN)/python -m pytest $(ALONE)
	$(BIN)/python -m pytest $(ALONE:%=--ignore=%) $(BESIDE)

check: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/installed-dev
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	$(BIN)/python -m pytest tests/bench --benchmark-enable -s

pictures: $(VENV)/installed
	$(BIN)/python docs/pictures.py

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ksm-analyze needs Python 3.11 or newer: make PYTHON=/path/to/python3")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/installed-dev: pyproject.toml $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $(VENV)/installed $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache
