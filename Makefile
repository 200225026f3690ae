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
SPARK ?= 4.0
SCALE ?= 1
ROWS ?= 1000000
CELLS ?= *
SPARKS ?= 3.5 4.0
MARK ?= not slow
# A test waits for processes and disks more than it computes. Those of Spark take all there is by themselves.
PARALLEL ?= --numprocesses=auto --maxprocesses=8 --dist=worksteal
# What touches no compiled code: one run of these is enough.
NATIVE_FREE := tests/http tests/pps tests/spark
export VENV PARALLEL
export PATH := $(abspath $(VENV))/bin:$(PATH)

.PHONY: help demo demo-spark test test-native test-portable test-spark check format docs bench bench-functions bench-smoke bench-spark bench-gates bench-accept wheels lock lock-clients compat clean

help: ## list these commands
	awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

demo: ## run the examples on real data and show what happened (SIZE_MIB=64)
	scripts/environment.sh demo
	python3 examples/labresults/demo.py --size-mib $(SIZE_MIB)

demo-spark: ## run an unchanged PySpark job, and the same on local disk (ROWS=1000000 SPARK=4.0)
	scripts/environment.sh demo
	scripts/spark_environment.sh $(SPARK)
	PATH="$(abspath .venv-spark-$(SPARK))/bin:$$PATH" python3 examples/spark/demo.py --rows $(ROWS)

test: test-native test-portable test-spark ## run all tests that CI runs each time (needs Java 17)

test-native: ## run the tests with the native extension, and the small S3 clients (TESTS=tests/s3 for some)
	scripts/environment.sh test
	if [[ "$(TESTS)" =~ ^tests$$|compat ]]; then scripts/client_environments.sh core; fi
	SIDEGATE_NATIVE=require SIDEGATE_CLIENTS=core scripts/run_tests.sh "" --ignore=tests/spark $(TESTS)

test-portable: ## run the tests in plain Python, without those marked slow
	scripts/environment.sh test
	SIDEGATE_NATIVE=off scripts/run_tests.sh "not slow" $(NATIVE_FREE:%=--ignore=%) $(TESTS)

test-spark: ## run jobs of real Sparks (SPARKS="3.5 4.0 4.1" and MARK="slow or not slow" for all of it)
	scripts/environment.sh test
	scripts/spark_environment.sh $(SPARKS)
	SIDEGATE_NATIVE=require SIDEGATE_SPARKS="$(SPARKS)" python3 -m pytest tests/spark -m "spark and ($(MARK))" --durations=20

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

bench: ## measure beside a bare server and the peers on PATH, within ten minutes (CELLS='put-*')
	scripts/environment.sh test
	mkdir -p build
	SIDEGATE_NATIVE=require PATH="$$PATH:$${GOBIN:-$$HOME/go/bin}:$${CARGO_HOME:-$$HOME/.cargo}/bin" sidegate bench self \
	  --cells '$(CELLS)' --json build/bench.json --html build/bench.html

bench-functions: ## measure functions and cells with pytest-benchmark, with the results in build/bench-functions.json
	scripts/environment.sh test
	mkdir -p build
	SIDEGATE_NATIVE=require python3 -m pytest bench --override-ini addopts= --benchmark-only \
	  --benchmark-columns=min,median,rounds --benchmark-json=build/bench-functions.json -s

bench-smoke: ## run each benchmark briefly, to see that it still works
	scripts/environment.sh test
	SIDEGATE_NATIVE=require python3 -m pytest bench --override-ini addopts= --benchmark-only \
	  --benchmark-columns=min,rounds --benchmark-min-rounds=1 --benchmark-max-time=0.05 --benchmark-warmup=off --smoke
	SIDEGATE_NATIVE=require sidegate bench self --scale smoke --duration 20ms --rounds 1

bench-gates: ## fail when a request costs more instructions, system calls or syncs than is stored (BASE=COMMIT)
	scripts/environment.sh test
	scripts/gate_tools.sh
	rm -rf build/gates-base
	if [[ -n "$(BASE)" ]]; then scripts/measure_base.sh "$(BASE)" build/gates-base; fi
	PYTHONPATH=bench python3 -m gates check --base build/gates-base

bench-accept: ## store what a request costs now, and why that is right (REASON="…")
	scripts/environment.sh test
	scripts/gate_tools.sh
	PYTHONPATH=bench python3 -m gates accept --reason "$(REASON)"

bench-spark: ## time queries of TPC-H, writes per committer and the example, over a sidecar and on local disk (SPARK=4.0 SCALE=1)
	scripts/environment.sh spark-bench
	scripts/spark_environment.sh $(SPARK)
	PATH="$(abspath .venv-spark-$(SPARK))/bin:$$PATH" python3 bench/spark_tpch.py --scale $(SCALE)
	PATH="$(abspath .venv-spark-$(SPARK))/bin:$$PATH" python3 bench/spark_committers.py
	PATH="$(abspath .venv-spark-$(SPARK))/bin:$$PATH" python3 bench/spark_example.py

wheels: ## build sdist, native wheel and pure wheel into dist/, and look inside
	scripts/environment.sh test
	scripts/build_wheels.sh dist

lock: ## resolve requirements/*.lock anew (KEEP=1: change no version without need)
	scripts/lock.sh

lock-clients: ## resolve requirements/clients-*.lock anew
	scripts/lock_clients.sh

compat: ## drive every S3 client, also the large ones, and write docs/clients.md
	scripts/environment.sh test
	scripts/client_environments.sh --try core s3fs kfp torch
	mkdir -p build
	rm -f build/compat.json
	status=0; SIDEGATE_NATIVE=require SIDEGATE_COMPAT_REPORT=build/compat.json python3 -m pytest tests/compat || status=$$?; \
	  python3 scripts/write_clients_table.py build/compat.json; exit $$status

clean: ## remove everything that these commands made
	rm -rf $(VENV) .venv-clients .venv-spark-* .cache build dist demo .benchmarks .hypothesis .mypy_cache .ruff_cache .import_linter_cache
	rm -rf src/*.egg-info src/sidegate/native/*.so
	find src tests bench examples -name __pycache__ -prune -exec rm -rf {} +
