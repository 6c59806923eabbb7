# `make help` lists what there is. Set-up is part of every target: nothing has to be installed beforehand but
# python3.11, make and git.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON := python3.11
# Your own config file(s), laid over the demo's: make demo CONFIG=mine.yaml
CONFIG ?=
# Where the run lies, if not here: make demo DIRECTORY=/scratch/run
DIRECTORY ?= $(CURDIR)
# What to test: make test TESTS="tests/unit -k settings"
TESTS ?= tests/unit tests/workflow tests/slurm
# html or zip: make report FORMAT=zip
FORMAT ?= html
# What the report shows, if not all: make report TARGETS=preflight
TARGETS ?=

SNAKEMAKE := .venv/bin/snakemake
CONFIGS := $(CURDIR)/config/demo.yaml $(abspath $(CONFIG))
MODULE := cd "$(DIRECTORY)" && PYTHONPATH="$(CURDIR)" "$(CURDIR)/.venv/bin/python" -m scripts
BUILD := $(PYTHON) envs/bin/conda.py env create

# make env-data, env-train: a rule's environment as .envs/NAME, for running its programs by hand
.PHONY: help env test-env bench-env demo report crate watch unlock test check bench peers schema

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

env: ## the workflow's environment: .venv/bin/snakemake
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is not on the PATH" >&2; exit 2; }
	@$(BUILD) --file envs/workflow.yaml --prefix .venv

test-env: env
	@$(BUILD) --file envs/workflow.yaml --file envs/data.yaml --file envs/train.yaml --file envs/backtest.yaml \
		--file envs/test.yaml --prefix .venv-test

env-%:
	@$(BUILD) --file envs/$*.yaml --prefix .envs/$*

bench-env: env
	@$(BUILD) --file envs/data.yaml --file envs/bench.yaml --prefix .venv-bench

demo: env ## run everything at demo size on this machine and build results/report.html
	@mkdir -p "$(DIRECTORY)"
	@$(MODULE).config --quiet $(CONFIGS)
	$(SNAKEMAKE) --profile local --configfile $(CONFIGS) --directory "$(DIRECTORY)"
	@$(MODULE).commands.report --output results/report.html --if-older
	@$(MODULE).commands.summary results/report.html

report: env ## the report of the last run: results/report.html (FORMAT=zip for a folder of files)
	@$(MODULE).commands.report --output results/report.$(FORMAT) $(TARGETS)

crate: env ## provenance of the last run as a Workflow Run RO-Crate: results/crate.zip
	@$(MODULE).commands.crate --output results/crate.zip

watch: env ## follow the progress of the jobs that run now
	@$(MODULE).commands.watch

unlock: env ## remove the lock of a killed run, unless its cluster jobs still run
	@$(MODULE).commands.unlock

test: test-env ## all tests (TESTS="tests/unit -k name" for some)
	.venv-test/bin/python -m pytest $(TESTS)

check: test-env ## style, types, and Snakemake's linter
	.venv-test/bin/ruff check .
	.venv-test/bin/ruff format --check .
	.venv-test/bin/snakefmt --check Snakefile rules
	$(SNAKEMAKE) --profile local --lint
	.venv-test/bin/mypy

bench: test-env bench-env ## performance figures, each against a rival or a limit measured in the same run
	.venv-test/bin/python -m tests.bench.parsing
	.venv-test/bin/python -m tests.bench.set_up
	POLARS_MAX_THREADS=2 .venv-bench/bin/python -m tests.bench.features
	.venv-test/bin/python -m tests.bench.order_book
	.venv-test/bin/python -m tests.bench.memory
	.venv-test/bin/python -m tests.bench.training
	.venv-test/bin/python -m tests.bench.backtests

peers: env ## the account of the backtests against vectorbt and backtesting.py (optional, for their licences)
	@$(BUILD) --file envs/workflow.yaml --file envs/data.yaml --file envs/backtest.yaml --file envs/test.yaml \
		--file envs/peers.yaml --prefix .venv-peers
	.venv-peers/bin/python -m pytest tests/peers

schema: env ## write config/schema.json from the typed settings
	.venv/bin/python -m scripts.config --schema config/schema.json
