# The commands of a working day. `make` alone lists them.
#
# Every target sets up what it needs in .venv (scripts/environment.sh) and is
# quick when that is there.  PYTHON=… chooses the interpreter for a new one.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.SILENT:
.NOTPARALLEL:
MAKEFLAGS += --no-builtin-rules --no-print-directory

VENV ?= .venv
SIZE_MIB ?= 64
TESTS ?= tests
# What touches no compiled code: one run of these is enough.
NATIVE_FREE := tests/http tests/pps
export VENV
export PATH := $(abspath $(VENV))/bin:$(PATH)

.PHONY: help demo test test-native test-portable check format docs bench bench-smoke wheels lock clean

help: ## list these commands
	awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

demo: ## run the examples on real data and show what happened (SIZE_MIB=64)
	scripts/environment.sh demo
	python3 examples/labresults/demo.py --size-mib $(SIZE_MIB)

test: test-native test-portable ## run all tests, compiled and portable (TESTS=tests/s3 for some)

test-native: ## run the tests with the native extension
	scripts/environment.sh test
	SIDEGATE_NATIVE=require python3 -m pytest $(TESTS)

test-portable: ## run the tests in plain Python, without those marked slow
	scripts/environment.sh test
	SIDEGATE_NATIVE=off python3 -m pytest -m "not slow" $(NATIVE_FREE:%=--ignore=%) $(TESTS)

check: ## formatting, lint, types, layers, native compiler hints
	scripts/environment.sh check
	ruff format --check .
	ruff check .
	mypy
	lint-imports --no-cache
	scripts/check_cython.sh

format: ## format and fix what can be fixed
	scripts/environment.sh check
	ruff format .
	ruff check --fix .

docs: ## write docs/cli.md from the help texts
	scripts/environment.sh test
	python3 scripts/write_cli_reference.py

bench: ## measure, with the results as JSON in build/bench.json
	scripts/environment.sh test
	mkdir -p build
	SIDEGATE_NATIVE=require python3 -m pytest bench --override-ini addopts= --benchmark-only \
	  --benchmark-columns=min,median,rounds --benchmark-json=build/bench.json -s

bench-smoke: ## run each benchmark briefly, to see that it still works
	scripts/environment.sh test
	SIDEGATE_NATIVE=require python3 -m pytest bench --override-ini addopts= --benchmark-only \
	  --benchmark-columns=min,rounds --benchmark-min-rounds=1 --benchmark-max-time=0.05 --benchmark-warmup=off

wheels: ## build sdist, native wheel and pure wheel into dist/, and look inside
	scripts/environment.sh test
	scripts/build_wheels.sh dist

lock: ## resolve requirements/*.lock anew (KEEP=1: change no version without need)
	scripts/lock.sh

clean: ## remove everything that these commands made
	rm -rf $(VENV) .cache build dist demo .benchmarks .hypothesis .mypy_cache .ruff_cache .import_linter_cache
	rm -rf src/*.egg-info src/sidegate/native/*.so
	find src tests bench examples -name __pycache__ -prune -exec rm -rf {} +
