# setup: everything into .venv. demo: the whole way on the sample. test, slow, check, bench: for those who change it.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test slow check bench gate clean

setup: .venv/made

.venv/made: setup.py constraints.txt $(wildcard pipeline/*.[ch] tokenizer/*.c trainer/*.c)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[train,dev,export,content]'
	touch .venv/made

demo: setup
	PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh

test: setup
	$(BIN)/python -m pytest

slow: setup
	$(BIN)/python -m pytest -m slow

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_imports.py

bench: setup
	$(BIN)/python -m benchmarks.end_to_end

gate: setup
	$(BIN)/python -m benchmarks.gate

clean:
	rm -rf demo build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache
