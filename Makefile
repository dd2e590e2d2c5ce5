# `make` alone prints what there is to do.
.DEFAULT_GOAL := help
.PHONY: help run test check fix lint types layers conformance docs bench memory crds lock clean

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  \033[1mmake %-11s\033[0m %s\n", $$1, $$2}'

$(VENV)/runtime: pyproject.toml requirements.lock
	@echo "Installing Podgate into $(VENV) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(VENV)/development: $(VENV)/runtime requirements-dev.lock
	@echo "Installing the development tools into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

run: $(VENV)/runtime ## Install, serve the embedded cluster over TLS, replay recorded reviews against it, keep serving
	@$(BIN)/podgate demo

test: $(VENV)/development ## Install and run all tests
	@$(BIN)/python -m pytest -q -n auto

check: lint types layers test ## Everything that must be green: lint, types, layers, tests

lint: $(VENV)/development ## ruff: rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/development ## mypy --strict on source and tests
	@$(BIN)/mypy

layers: $(VENV)/development ## import-linter: the layers of docs/architecture.md
	@$(BIN)/lint-imports

fix: $(VENV)/development ## Format, and mend what can be mended
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

conformance: $(VENV)/development ## Compare verdicts, sizes and quantities with Kubernetes, case by case; DATA=DIR for other cases
	@$(BIN)/python -m tests.conformance $(if $(DATA),--data $(DATA))

docs: $(VENV)/development ## Write docs/guardrails and docs/policies.md from the code and the policy models
	@$(BIN)/python -m tests.docs.generate

bench: $(VENV)/development ## Load both servers over HTTPS and print the ratios (minutes; not a test)
	@$(BIN)/python -m tests.bench

memory: $(VENV)/development ## Watch 100,000 pods and 5,000 VPAs and print the memory it takes (a minute; not a test)
	@$(BIN)/python -m tests.bench.memory

crds: $(VENV)/development ## Write manifests/crds anew from the policy models
	@$(BIN)/python -m webhook.policy.schema.crds manifests/crds

lock: $(VENV)/development ## Resolve the dependency ranges of pyproject.toml anew
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-header --no-annotate --generate-hashes pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-header --no-annotate --generate-hashes --extra dev pyproject.toml -o requirements-dev.lock

clean: ## Remove the virtual environment, caches and local state
	@rm -rf $(VENV) .local .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
