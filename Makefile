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

SNAKEMAKE := .venv/bin/snakemake
LOCAL := --profile local $(if $(CONFIG),--configfile config/demo.yaml $(abspath $(CONFIG)))
COMMAND := cd "$(DIRECTORY)" && PYTHONPATH="$(CURDIR)" "$(CURDIR)/.venv/bin/python" -m scripts.commands
BUILD := $(PYTHON) envs/bin/conda env create

.PHONY: help env test-env demo report crate watch unlock test check bench schema

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

env: ## the workflow's environment: .venv/bin/snakemake
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is not on the PATH" >&2; exit 2; }
	@$(BUILD) --file envs/workflow.yaml --prefix .venv

test-env: env
	@$(BUILD) --file envs/workflow.yaml --file envs/data.yaml --file envs/test.yaml --prefix .venv-test

demo: env ## run everything at demo size on this machine and build results/report.html
	$(SNAKEMAKE) $(LOCAL) --directory "$(DIRECTORY)"
	@$(COMMAND).report --output results/report.html -- $(LOCAL)
	@$(COMMAND).summary results/report.html

report: env ## the report of the last run: results/report.html (FORMAT=zip for a folder of files)
	@$(COMMAND).report --output results/report.$(FORMAT) -- $(LOCAL)

crate: env ## provenance of the last run as a Workflow Run RO-Crate: results/crate.zip
	@$(COMMAND).crate --output results/crate.zip

watch: env ## follow the progress of the jobs that run now
	@$(COMMAND).watch

unlock: env ## remove the lock of a killed run, unless its cluster jobs still run
	@$(COMMAND).unlock

test: test-env ## all tests (TESTS="tests/unit -k name" for some)
	.venv-test/bin/python -m pytest $(TESTS)

check: test-env ## style, types, and Snakemake's linter
	.venv-test/bin/ruff check .
	.venv-test/bin/ruff format --check .
	.venv-test/bin/snakefmt --check Snakefile rules
	$(SNAKEMAKE) --profile local --lint
	.venv-test/bin/mypy

bench: test-env ## performance figures, each against a rival or a limit measured in the same run
	.venv-test/bin/python -m tests.bench.parsing
	.venv-test/bin/python -m tests.bench.set_up
	.venv-test/bin/python -m tests.bench.order_book

schema: env ## write config/schema.json from the typed settings
	.venv/bin/python -m scripts.config --schema config/schema.json
