# tapekit: everything that one does here has a target. Needs make and Python >= 3.11 with venv.

PYTHON ?= python3
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
SHOWN = printf '%-14s' '$(1)'; \
	if $(2) >$(VENV)/output 2>&1; then echo ok; else echo FAILED; cat $(VENV)/output; exit 1; fi

.DEFAULT_GOAL := help
.PHONY: help venv demo check test interop bench bench-codec bench-images bench-inodes bench-iscsi bench-tape clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(VENV)/.developing ## Make .venv with tapekit and its developers' tools

demo: $(VENV)/.running ## Back up, recover and compare a volume over real NDMP, in a scratch folder
	@$(BIN)/python tests/demo/demo.py $(ARGS)

check: $(VENV)/.developing ## Lint, format, types and import contracts
	@$(call SHOWN,ruff check,$(BIN)/ruff check)
	@$(call SHOWN,ruff format,$(BIN)/ruff format --check)
	@$(call SHOWN,mypy,$(BIN)/mypy)
	@$(call SHOWN,lint-imports,$(BIN)/lint-imports)

test: check ## Run check, then all tests that need nothing but Python
	@$(BIN)/python -m pytest -q -m 'not interop' $(ARGS)

interop: $(VENV)/.developing ## Test against programs that nobody here wrote; tells which are missing
	@$(BIN)/python tests/interop/interop_peers.py
	@$(BIN)/python -m pytest -q -m interop -n 2 --dist loadfile $(ARGS)

bench: $(VENV)/.running ## Measure against GNU tar; ARGS="--peers --cold" against more, and cold
	@$(BIN)/python tests/bench/bench.py $(ARGS)

bench-inodes: $(VENV)/.running ## Measure the memory of a backup for each million objects
	@$(BIN)/python tests/bench/inodes.py $(ARGS)

bench-tape: $(VENV)/.running ## Measure virtual tape against cat
	@$(BIN)/python tests/bench/tape.py $(ARGS)

bench-iscsi: $(VENV)/.running ## Measure a drive of tgt over iSCSI (root, tgt)
	@$(BIN)/python tests/bench/iscsi.py $(ARGS)

bench-codec: $(VENV)/.running ## Measure messages, file history, and what HIST=Y costs
	@$(BIN)/python tests/bench/codec.py $(ARGS)

bench-images: $(VENV)/.running ## Measure images by SMTape against GNU tar
	@$(BIN)/python tests/bench/images.py $(ARGS)

clean: ## Remove what tests, tools and the demo leave behind; keeps .venv
	@rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build demo-scratch dist
	@find core plugins tests -name __pycache__ -prune -exec rm -rf {} +

# What tapekit itself needs. Made again when the project file changes.
$(VENV)/.running: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than 3.11: run make PYTHON=python3.11" >&2; exit 1; }
	@test -x $(BIN)/python || { echo "making $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing tapekit into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

# The tools are a dependency group, which pip knows since 25.1; Debian 12 has 23.0.
$(VENV)/.developing: $(VENV)/.running
	@echo "installing the developers' tools into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --group dev
	@touch $@
