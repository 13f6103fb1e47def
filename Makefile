# Needs python3 (3.11 or newer), git and make. Everything else goes into .venv, from files with hashes.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
DEMO_SECONDS ?= 60
PYTEST_ARGS ?=
TEST_JOBS ?= 2
BENCH_ARGS ?=

VENV := .venv
RIVALS := .venv-rivals
SB3 := .venv-sb3
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LOCKS := requirements-dev.lock tests/requirements-data.txt

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(STAMP) ## run broker, market, worker and catalog for a minute (DEMO_SECONDS=60) and watch
	@$(BIN)/repricer demo --seconds $(DEMO_SECONDS)

.PHONY: test
test: $(STAMP) ## run all tests; those on a real Kafka where Java 17 and Maven are, or KAFKA_BOOTSTRAP_SERVERS is set
	@$(BIN)/python -m pytest -n $(TEST_JOBS) --dist loadfile $(PYTEST_ARGS)

.PHONY: faults
faults: $(STAMP) ## run the long tests: faults under load, and as many seeds of the simulation as fit some minutes
	@$(BIN)/python -m pytest -m long $(PYTEST_ARGS)

.PHONY: check
check: $(STAMP) ## lint, format, types, import rules, generated documents
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/repricer schemas --check

.PHONY: bench
bench: $(STAMP) rivals sb3 ## run all benchmarks, an hour, on a Kafka (that of REPRICER_BOOTSTRAP_SERVERS, else one of its own)
	@bench="$(BIN)/repricer bench all --rivals $(RIVALS)/bin/python --sb3 $(SB3)/bin/python $(BENCH_ARGS)"; \
	if [ -n "$${REPRICER_BOOTSTRAP_SERVERS:-}" ]; then $$bench; \
	else $(BIN)/python tests/integration/kafka_server.py --run $$bench; fi

.PHONY: rivals
rivals: $(RIVALS)/.installed ## make the Python of what is measured beside the worker: Faust, Quix Streams, Bytewax

$(RIVALS)/.installed: streams/bench/rivals/requirements.lock $(STAMP)
	@$(BIN)/python -m venv --clear $(RIVALS)
	@uv=$$(command -v uv || echo $(BIN)/uv); \
	$$uv pip install --quiet --python $(RIVALS)/bin/python --require-hashes -r $<
	@touch $@

# Apart from the other rivals: PyTorch and what it brings are gigabytes, which who compares throughput does not need.
.PHONY: sb3
sb3: $(SB3)/.installed ## make the Python of what is measured beside our learner: Stable-Baselines3

$(SB3)/.installed: streams/bench/rivals/learning.lock $(STAMP)
	@$(BIN)/python -m venv --clear $(SB3)
	@uv=$$(command -v uv || echo $(BIN)/uv); install="$$uv pip install --quiet --python $(SB3)/bin/python"; \
	$$install --require-hashes -r $<; \
	$$install --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: lock
lock: $(STAMP) ## write the lock files anew from pyproject.toml (needs the package index)
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --group dev pyproject.toml \
	  -c requirements.lock -o requirements-dev.lock
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url streams/bench/rivals/requirements.in \
	  -o streams/bench/rivals/requirements.lock
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url streams/bench/rivals/learning.in \
	  -c requirements-dev.lock -o streams/bench/rivals/learning.lock

.PHONY: clean
clean: ## remove what make and the tools made
	rm -rf $(VENV) $(RIVALS) $(SB3) .kafka .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: install
install: $(STAMP) ## make .venv, or bring it up to date

# uv installs in seconds. Where there is none, pip installs the version of the lock file, with its hash, into .venv.
$(STAMP): $(LOCKS) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed, and $(PYTHON) is: $$($(PYTHON) --version 2>&1). Try make PYTHON=python3.12"; exit 1; }
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV) || \
	  { echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@set -e; if command -v uv >/dev/null; then uv=uv; else \
	  uv=$(BIN)/uv; \
	  awk '/^[^ #]/ { ours = /^uv==/ } ours' requirements-dev.lock > $(VENV)/uv.lock; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $(VENV)/uv.lock; \
	fi; \
	install="$$uv pip install --quiet --python $(BIN)/python"; \
	echo "Installing into $(VENV) ..."; \
	$$install --require-hashes -r requirements-dev.lock; \
	$$install --require-hashes --no-deps -r tests/requirements-data.txt; \
	$$install --no-deps --no-build-isolation --editable .
	@touch $@
