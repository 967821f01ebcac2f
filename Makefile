PYTHON ?= python3
BIN := .venv/bin
RUNTIME := .venv/.runtime
DEV := .venv/.dev
PEERS := statsforecast ray spark
# Quiet, and independent of a user's own pip settings for progress output.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-build-isolation

.DEFAULT_GOAL := help
.PHONY: demo test test-fast compose-test lint check stack stack-down bench peers chaos help clean

demo: $(RUNTIME) ## Install, then train, register, promote and score the 1,428 series of the M3 competition
	$(BIN)/myriad sample m3
	$(BIN)/myriad run fleets/m3.yaml

test: $(DEV) ## Run all tests; four processes on two cores, since most of them wait for servers
	$(BIN)/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder

test-fast: $(DEV) ## Run the unit tests that need no server, browser or kill (under two minutes)
	$(BIN)/python -m pytest --numprocesses 3 --dist load -m "not server" tests/unit

compose-test: $(DEV) .venv/.compose ## Run the stack in real containers: compare, kill, upgrade (ten minutes; Debian's podman, as root)
	$(BIN)/python -m pytest -m containers -rs -s tests/integration/containers

lint: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test ## Format, lint, types, import borders, and all tests; with -j 2 side by side

stack: $(DEV) ## Start PostgreSQL, S3, MLflow, Prefect and Dask, as in docker-compose.yml, as processes of this machine
	@test -f .env || $(BIN)/myriad stack init
	$(BIN)/myriad stack up

stack-down: $(RUNTIME) ## Stop them; their data stays in var/stack
	$(BIN)/myriad stack down

bench: $(DEV) peers ## Run the benchmarks and write docs/benchmarks.md (half an hour); ONLY="train score" runs some
	$(BIN)/python -m benchmarks $(ONLY)

peers: $(PEERS:%=var/peers/%/.installed) ## Install what the benchmarks compare with, each in an environment of its own

chaos: $(DEV) ## Kill runs, workers and servers at 80 random moments, and compare all tables with an undisturbed run's (an hour)
	$(BIN)/python -m benchmarks.faults --kills 50
	$(BIN)/python -m benchmarks.chaos --kills 30

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

clean: ## Remove the environment and everything that runs have made
	rm -rf .venv var dist build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

.venv/.base: requirements/build.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Myriad needs Python 3.11 or later; name one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/build.lock
	touch $@

$(RUNTIME): .venv/.base requirements/runtime.lock pyproject.toml
	@echo "Installing Myriad (a few minutes the first time) ..."
	$(PIP) -r requirements/runtime.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

$(DEV): $(RUNTIME) requirements/dev.lock requirements/operator.lock
	$(PIP) -r requirements/dev.lock
	$(PIP) --no-deps -r requirements/operator.lock
	touch $@

.venv/.compose: requirements/compose.lock | .venv/.base
	$(PIP) -r $<
	touch $@

var/peers/%/.installed: benchmarks/peers/%.lock | .venv/.base
	$(PYTHON) -m venv var/peers/$*
	var/peers/$*/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	touch $@
