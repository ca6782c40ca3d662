# Everything a newcomer and CI need. `make help` lists it.
PYTHON ?= python3
PORT ?=
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.8

.DEFAULT_GOAL := help
.PHONY: help run install test soak check lint types layers format bench-gateway bench-publish bench-fallback lock env clean

help: ## Show what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1|/' | column -t -s '|'

$(VENV)/.uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo 'Bellwire needs Python 3.11 or newer; say which with: make $(MAKECMDGOALS) PYTHON=python3.12'; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo 'Python cannot make an environment; on Debian and Ubuntu: apt-get install python3-venv'; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

$(VENV)/.run: $(VENV)/.uv requirements/run.lock pyproject.toml
	@echo 'Installing what is locked in requirements/run.lock …'
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --compile-bytecode --require-hashes -r requirements/run.lock
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.lock
	@echo 'Installing what is locked in requirements/dev.lock …'
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --compile-bytecode --require-hashes -r requirements/dev.lock
	@touch $@

$(VENV)/.bench: $(VENV)/.dev requirements/bench.lock
	@echo 'Installing what is locked in requirements/bench.lock …'
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --compile-bytecode --require-hashes -r requirements/bench.lock
	@touch $@

install: $(VENV)/.run ## Create the environment and install what is locked

run: $(VENV)/.run ## Serve on http://127.0.0.1:8000 (PORT=9010 for another port)
	@exec $(BIN)/bellwire serve $(if $(PORT),--port $(PORT))

check: lint types layers ## ruff, mypy --strict, import-linter

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

layers: $(VENV)/.dev
	$(BIN)/lint-imports --no-cache

format: $(VENV)/.dev ## Put the code into the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Where bytecode may not be written, each of the hundreds of processes that tests start would compile everything.
PYTEST := env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest

test: $(VENV)/.dev ## All tests, with real PostgreSQL, Valkey, SMTP and Chromium
	@sh tests/support/install-chromium.sh
	$(PYTEST) -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

soak: $(VENV)/.dev ## Long tests: churn, bad clients, faults, herds, restarts, kills (about 30 minutes)
	$(PYTEST) tests/soak $(ARGS)

bench-gateway: $(VENV)/.bench ## The gateway beside nchan and Socket.IO (ARGS=--quick for a smoke run); needs nginx, node
	@$(BIN)/python -m tests.benchmarks.gateway $(ARGS)

bench-publish: $(VENV)/.bench ## Durable publishes beside the bare driver and endpoint (ARGS=--quick for a smoke run)
	@$(BIN)/python -m tests.benchmarks.publish $(ARGS)

bench-fallback: $(VENV)/.bench ## The fallback queue beside BullMQ (ARGS=--quick for a smoke run); needs node
	@$(BIN)/python -m tests.benchmarks.fallback $(ARGS)

lock: $(VENV)/.uv ## Renew the lock files from pyproject.toml
	$(BIN)/uv pip compile --quiet --upgrade --python-version 3.11 --universal --generate-hashes --no-header --no-annotate \
	  pyproject.toml -o requirements/run.lock
	$(BIN)/uv pip compile --quiet --upgrade --python-version 3.11 --universal --generate-hashes --no-header --no-annotate \
	  pyproject.toml --all-extras -o requirements/all.lock
	$(BIN)/uv pip compile --quiet --upgrade --python-version 3.11 --universal --generate-hashes --no-header --no-annotate \
	  pyproject.toml --all-extras --group dev -o requirements/dev.lock
	$(BIN)/uv pip compile --quiet --upgrade --python-version 3.11 --universal --generate-hashes --no-header --no-annotate \
	  --group bench --constraint requirements/dev.lock -o requirements/bench.lock

env: ## Write .env with fresh secrets for docker compose (never overwrites)
	@sh deploy/make-env.sh

clean: ## Remove the environment and caches (not your data)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
