# `make help` lists what there is. Everything runs in .venv, which the first target that needs it sets up.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
BIN := .venv/bin
JOBS ?= 2
STAMP := .venv/set-up

.DEFAULT_GOAL := help
.PHONY: help setup sweep fashion test test-long test-extended test-gpu faults fuzz mutants soak check format bench bench-gpu clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## .venv with Caucus and its tools, in the versions last tested; nothing is done twice

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" && "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Caucus needs Python 3.11 or newer: install it, or say make PYTHON=/path/to/python3.11"; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear .venv || \
		{ echo "python -m venv failed: on Debian and Ubuntu, apt-get install python3-venv"; rm -rf .venv; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

sweep: $(STAMP) ## 32 CNNs on handwritten digits: trained, voted, reported, in half a minute
	$(BIN)/caucus run sweeps/digits.yaml

fashion: $(STAMP) ## the ten-minute sweep of Fashion-MNIST
	$(BIN)/caucus run sweeps/fashion_mnist.yaml

test: check ## lint, types, import rules and all tests but the long ones, JOBS=2 at a time
	$(BIN)/pytest -m "not long and not gpu" -n $(JOBS) --dist loadfile --durations=25

LONG := $(BIN)/pytest $$(grep -rlE "mark\.long" tests --include=test_*.py) -n $(JOBS) --dist loadfile --no-loadscope-reorder -v --durations=60

test-long: $(STAMP) ## the long tests: kills, a cluster of three nodes, real data; CI runs them after `make test`
	$(LONG) -m "long and not extended and not gpu"

test-extended: $(STAMP) ## further cases of the long tests, which CI has no time for; some half an hour
	$(LONG) -m "long and extended and not gpu"

faults: $(STAMP) ## the faults of store and processes, three times each, with their figures; about an hour
	CAUCUS_FAULT_TIMES=3 $(BIN)/pytest -rA tests/faults/test_store_faults.py tests/faults/test_process_faults.py tests/faults/test_damage.py

test-gpu: $(STAMP) ## what only a GPU can tell; without one these tests are skipped
	$(BIN)/pytest -m gpu -rs tests/gpu

fuzz: $(STAMP) ## INPUTS=20000 inputs that are almost right, read in processes that may die of them; at most half an hour
	$(BIN)/python -m tests.fuzz --inputs $(or $(INPUTS),20000) --seed $(or $(SEED),1)

mutants: $(STAMP) ## COUNT=150 small faults in the code that decides: how many the quick tests find; at most MINUTES=40
	$(BIN)/python -m tests.mutants --count $(or $(COUNT),150) --seed $(or $(SEED),1) --minutes $(or $(MINUTES),40) --jobs $(JOBS)

soak: $(STAMP) ## a sweep on four nodes while something is killed every 20 s; more than an hour in all
	$(BIN)/python -m benchmarks.soak --minutes $(or $(MINUTES),30)

check: $(STAMP) ## lint, format, types and the import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(STAMP) ## put the code into the project's format
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format --quiet .

bench: $(STAMP) ## measure; figures go to benchmarks/results/latest.json
	$(BIN)/python -m benchmarks.run
	$(BIN)/python -m benchmarks.search
	$(BIN)/python -m benchmarks.tune_cost
	$(BIN)/python -m benchmarks.plan_error
	$(BIN)/python -m benchmarks.monitor_cost
	$(BIN)/python -m benchmarks.select
	$(BIN)/python -m benchmarks.corrected
	$(BIN)/python -m benchmarks.revote
	$(BIN)/python -m benchmarks.augment
	$(BIN)/python -m benchmarks.requests
	$(BIN)/python -m benchmarks.data
	$(BIN)/python -m benchmarks.doctor

bench-gpu: $(STAMP) ## on a GPU: images a second, memory, trials that share it, fusion; benchmarks/results/gpu.json
	$(BIN)/python -m benchmarks.gpu

clean: ## remove .venv and caches; runs/ and data/ stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
