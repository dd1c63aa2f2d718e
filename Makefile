# Everything that is done with the house, one word each. `make help` tells them.

CSV := examples/fault_reports.csv
RUN := runs/demo
BIN := .venv/bin
# A process a core, four at most: each holds some GiB. Neighbours stay together, for they share what was trained.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist worksteal
# For example: make test PYTEST_FLAGS="-n 0 -k splits"
PYTEST_FLAGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test test-all lint format bench constraints clean

help:  ## tell what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1 \2/p' Makefile | \
		awk '{printf "  %s %-12s", $$1, $$2; $$1 = $$2 = ""; print}'

demo: .venv/.installed  ## install, train on the example data, say where the report is
	$(BIN)/fewtune train $(CSV) --output $(RUN)
	@echo "The report: $(RUN)/report.html"

test: lint  ## install, lint, type check, and all tests that are quick
	CUDA_VISIBLE_DEVICES= $(PYTEST) -m "not slow and not gpu" $(PYTEST_FLAGS)

test-all: lint  ## the same with the slow tests, and those for a GPU where there is one
	CUDA_VISIBLE_DEVICES= $(PYTEST) -m "not gpu" $(PYTEST_FLAGS)
	$(BIN)/python -m pytest -m gpu $(PYTEST_FLAGS)

lint: .venv/.installed-dev  ## ruff and mypy; nothing is changed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/.installed-dev  ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.installed-dev  ## speed and quality beside other tools; an hour or two on two cores
	$(BIN)/python -m benchmarks.speed.run
	$(BIN)/python -m benchmarks.quality.run

constraints: .venv/.installed-dev  ## write the versions in .venv down as the ones to install
	@{ sed -n '/^#/p' constraints.txt; \
		$(BIN)/python -m pip freeze --all --exclude-editable --exclude pip \
		| sed 's/+cpu$$//' | LC_ALL=C sort -f; } > constraints.new
	@mv constraints.new constraints.txt
	@touch .venv/.installed .venv/.installed-dev

clean:  ## remove caches and what was built; .venv and runs/ stay
	rm -rf build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# What follows makes .venv. The stamps are newer than what they were installed from, so that
# a second call has nothing to do.

.venv/.installed: pyproject.toml constraints.txt | .venv/bin/pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	@touch $@

.venv/.installed-dev: pyproject.toml constraints.txt | .venv/bin/pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	@touch .venv/.installed $@

.venv/bin/pip:
	@for python in python3.11 python3 python3.12 python3.13; do \
		if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then \
			echo "making .venv with $$python; installing takes some minutes, once"; \
			$$python -m venv .venv && exit 0; \
			rm -rf .venv; exit 1; \
		fi; \
	done; \
	echo "fewtune needs Python 3.11 or newer, and neither python3.11 nor python3 is one;" \
		"install it and call make again." >&2; exit 1
