# `make demo` and `make test` do everything, from a fresh clone, with Python and a package index. Neither needs Java.
VENV ?= .venv
SPARK_VENV ?= .venv-spark
EXTRAS ?= local,report
PYTHON ?= $(shell for p in python3.12 python3.11 python3.13 python3.10 python3; do command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 15))' 2>/dev/null && echo $$p && break; done)
BIN = $(VENV)/bin
# GiB of disk that an installation takes while it is made; on Linux torch brings CUDA's libraries.
ROOM = $(if $(findstring train,$(EXTRAS)),$(if $(filter Linux,$(shell uname)),12,5),4)
# Two at a time; the tests of a file share what they set up.
PYTEST ?= -n 2 --dist loadfile --no-loadscope-reorder -rs
# Files that pip builds go beside what it installs, on the disk that was looked at; warnings of build tools are not ours.
PIP = TMPDIR=$(abspath $(VENV))/tmp PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet $(addprefix --constraint ,$(LOCK))
# File of exact versions; CI gives one, users take what setup.py's ranges allow.
LOCK ?=
# The extras of CI's two environments: what the two lock files are made from.
CI_EXTRAS = local,report,train,mlflow,docs,notebooks,dev
CI_SPARK_EXTRAS = spark,graphframes,report,dev-spark
UV ?= uv
COMPILE = UV_CUSTOM_COMPILE_COMMAND="make lock" $(UV) pip compile --quiet --upgrade --universal
comma = ,
extras = $(addprefix --extra ,$(subst $(comma), ,$(1)))

.PHONY: help setup dev spark demo docs notebooks test lint types tests test-spark fuzz faults soak lock wheel clean

help:
	@echo "make demo        set up, and cluster the data that comes with the project"
	@echo "make test        set up, lint, type check, run the tests on the embedded engine"
	@echo "make test-spark  set up a second environment, run the tests that need Spark"
	@echo "make docs        set up, build docs/_build/index.html"
	@echo "make notebooks   set up, run all notebooks, keep what they print"
	@echo "make fuzz        give every reader of outside data CDP_FUZZ_SECONDS (60) of made-up input"
	@echo "make faults      strike every stage of every command, and write docs/reference/faults.md"
	@echo "make soak        200 nightly runs on changing input, some of them killed"
	@echo "make lock        make the lock files of CI again (needs uv)"
	@echo "make setup       make $(VENV) with cdp-spark in it"
	@echo "make wheel       leave the wheel in dist/, for spark-submit and images"
	@echo "make clean       remove $(VENV), $(SPARK_VENV) and runs/"

setup: $(VENV)/.ready

$(VENV)/.ready: setup.py
	@test -n "$(PYTHON)" || { echo "cdp-spark needs Python 3.10 to 3.14: install one, or run make PYTHON=/path/to/python3"; exit 3; }
	@test -w . || { echo "the checkout must be writable, for pip install -e: copy it, or run pip install 'cdp-spark[$(EXTRAS)]'"; exit 3; }
	@test -x $(BIN)/python || { mkdir -p $(dir $(VENV)); \
	    free=$$(df -Pk $(dir $(VENV)) | awk 'NR == 2 {print int($$4 / 1048576)}'); \
	    test "$$free" -ge $(ROOM) || { echo "$(VENV) needs $(ROOM) GiB of disk and $$free are free: make room, or run make VENV=/another/disk/venv"; exit 3; }; }
	@echo "installing cdp-spark[$(EXTRAS)] into $(VENV): a minute or more, silent unless something fails"
	@$(PYTHON) -m venv $(VENV) && mkdir -p $(VENV)/tmp
	@$(PIP) --upgrade pip
	@$(PIP) -e '.[$(EXTRAS)]'
	@rm -rf $(VENV)/tmp
	@echo "compiling kernels, once: some ten seconds"
	@$(BIN)/python -m cdp_spark.warm
	@touch $@

dev: $(VENV)/.dev

$(VENV)/.dev: $(VENV)/.ready
	@echo "installing what the tests need"
	@mkdir -p $(VENV)/tmp
	@$(PIP) -e '.[dev]'
	@rm -rf $(VENV)/tmp
	@touch $@

spark:
	@$(MAKE) --no-print-directory dev VENV=$(SPARK_VENV) EXTRAS=$(CI_SPARK_EXTRAS) $(if $(LOCK),LOCK=requirements/ci-spark.txt)
	@$(SPARK_VENV)/bin/python -c "from cdp_spark.spark.java import java_home; print(java_home())"

demo: setup
	$(BIN)/python -m cdp_spark.datasets.demo --output runs/demo

docs: dev
	@$(PIP) -e '.[docs]'
	$(BIN)/python -m sphinx -W --keep-going -q docs docs/_build
	@echo "docs/_build/index.html"

notebooks: dev
	@$(PIP) -e '.[notebooks,train]'
	mkdir -p runs/notebooks
	$(BIN)/jupytext --to ipynb --execute --run-path $(CURDIR)/runs/notebooks notebooks/*.py

lint: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: dev
	$(BIN)/mypy

tests: dev
	CDP_TEST_ENGINE=sail $(BIN)/python -m pytest $(PYTEST)

test: lint types tests

test-spark: spark
	CDP_TEST_ENGINE=spark $(SPARK_VENV)/bin/python -m pytest $(PYTEST)

fuzz: dev
	CDP_FUZZ_SECONDS=$${CDP_FUZZ_SECONDS:-60} CDP_TEST_ENGINE=sail $(BIN)/python -m pytest tests/fuzz -n 0 -s --timeout 0

faults: dev
	@$(PIP) -e '.[train]'
	CDP_TEST_FAULTS=1 CDP_TEST_ENGINE=sail $(BIN)/python -m pytest tests/faults -n 0

soak: dev
	CDP_SOAK_NIGHTS=$${CDP_SOAK_NIGHTS:-200} CDP_TEST_ENGINE=sail $(BIN)/python -m pytest tests/soak -n 0 -s

lock:
	$(COMPILE) setup.py --python-version 3.10 $(call extras,$(CI_EXTRAS)) --output-file requirements/ci-local.txt
	$(COMPILE) setup.py --python-version 3.10 $(call extras,$(CI_SPARK_EXTRAS)$(comma)dev) --output-file requirements/ci-spark.txt
	$(COMPILE) requirements/release.in --python-version 3.12 --generate-hashes --output-file requirements/release.txt

wheel: setup
	rm -rf build dist
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	@ls dist/*.whl

clean:
	rm -rf $(VENV) $(SPARK_VENV) runs
