# Every target works on a machine that has only Python >= 3.11 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
UV_VERSION := 0.13.8
STAMP := $(VENV)/.installed
URL ?= http://127.0.0.1:5000
# How many run tests side by side; auto: one more than there are cores.
WORKERS ?= auto
OCI_VERSION ?= dev
export OCI_VERSION
# Else each of the many processes that are started here compiles all modules for itself: 3.5 s of processor, not 1.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help

$(UV):
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(STAMP): $(UV) pyproject.toml uv.lock
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(UV) sync --active --frozen --all-extras --all-groups --inexact
	@touch $(STAMP)

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

.PHONY: install
install: $(STAMP) ## make .venv with every extra

.PHONY: run
run: install ## serve on 127.0.0.1:5000, open, data in ./data
	$(BIN)/gati-registry serve --open --listen 127.0.0.1:5000 --data data

.PHONY: test
test: install ## the tests (real clients are driven where they are found), in WORKERS processes
	$(BIN)/python -m pytest -m "not proof" -n $(WORKERS)

.PHONY: lint
lint: install ## formatting, lint, types, floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: proofs
proofs: install ## the long proofs: kill -9, power loss, faults, scale, fuzzing
	$(BIN)/python -m pytest -m proof -s --timeout 7200

.PHONY: real-clients
real-clients: install ## fetch the programs the client tests drive into a cache outside the repo
	$(BIN)/python -m tests.clients.fetch

.PHONY: conformance
conformance: install ## run our conformance suite against URL=http://HOST:PORT
	$(BIN)/python -m gati_conformance $(URL)

.PHONY: new-extension
new-extension: install ## lay out an extension as a distribution of its own: NAME=x [INTO=dir]
	$(BIN)/gati-registry extension new $(NAME) --into $(or $(INTO),.)

.PHONY: bench
bench: install ## measure against the peers, past one machine, with a million manifests and documents; writes docs/benchmarks*.md
	$(BIN)/python -m bench
	$(BIN)/python -m bench --suite replicas
	$(BIN)/python -m bench --suite growth
	$(BIN)/python -m bench --suite search
	$(BIN)/python -m bench.clients
