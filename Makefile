# `make demo` and `make test` do everything, from a fresh clone, with Python and a package index.
VENV ?= .venv
EXTRAS ?= spark,graphframes,report,dev
PYTHON ?= $(shell for p in python3.12 python3.11 python3.13 python3.10 python3; do command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
BIN = $(VENV)/bin
# GiB of disk that an installation takes while it is made; on Linux torch brings CUDA's libraries.
ROOM = $(if $(findstring train,$(EXTRAS)),$(if $(filter Linux,$(shell uname)),12,5),4)
# Two at a time, each with a Spark of its own; the tests of a file share what they set up.
PYTEST ?= -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: help setup demo docs notebooks test lint types tests wheel clean

help:
	@echo "make demo   set up, and cluster the data that comes with the project"
	@echo "make test   set up, lint, type check, run the tests"
	@echo "make docs   set up, build docs/_build/index.html"
	@echo "make notebooks  set up, run all notebooks, keep what they print"
	@echo "make setup  make $(VENV) with cdp-spark in it"
	@echo "make wheel  leave the wheel in dist/, for spark-submit and images"
	@echo "make clean  remove $(VENV) and runs/"

setup: $(VENV)/.ready

$(VENV)/.ready: setup.py
	@test -n "$(PYTHON)" || { echo "cdp-spark needs Python 3.10 to 3.13: install one, or run make PYTHON=/path/to/python3"; exit 3; }
	@test -x $(BIN)/python || { mkdir -p $(dir $(VENV)); \
	    free=$$(df -Pk $(dir $(VENV)) | awk 'NR == 2 {print int($$4 / 1048576)}'); \
	    test "$$free" -ge $(ROOM) || { echo "$(VENV) needs $(ROOM) GiB of disk and $$free are free: make room, or run make VENV=/another/disk/venv"; exit 3; }; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e '.[$(EXTRAS)]'
	@touch $@
	@$(BIN)/python -c "from cdp_spark.runtime.session import java_home; print(java_home())"

demo: setup
	$(BIN)/python -m cdp_spark.datasets.demo --output runs/demo

docs: setup
	$(BIN)/python -m pip install --quiet -e '.[docs]'
	$(BIN)/python -m sphinx -W --keep-going -q docs docs/_build
	@echo "docs/_build/index.html"

notebooks: setup
	$(BIN)/python -m pip install --quiet -e '.[notebooks,train]'
	mkdir -p runs/notebooks
	$(BIN)/jupytext --to ipynb --execute --run-path $(CURDIR)/runs/notebooks notebooks/*.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

tests: setup
	$(BIN)/python -m pytest $(PYTEST)

test: lint types tests

wheel: setup
	rm -rf build dist
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	@ls dist/*.whl

clean:
	rm -rf $(VENV) runs
