# make env: the project's own .venv/; make demo, make test, make lint set it up themselves.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.PHONY: env demo test test-all lint browser docs

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
# Half of the time tests wait for hosts. Those of one file share what they start.
PARALLEL := -n 2 --dist loadfile

env: $(STAMP)

$(STAMP): setup.py pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed; expected Python 3.11, or make PYTHON=/path/to/it"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing meta_nni and what it needs into $(VENV)/ (some minutes the first time)"
	@$(BIN)/python -m pip install --quiet --quiet --no-input --disable-pip-version-check --editable '.[test]'
	@touch $@

demo: env
	$(BIN)/python -m experiments.demo.run

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint browser
	$(BIN)/python -m pytest $(PARALLEL)

test-all: lint browser
	$(BIN)/python -m pytest $(PARALLEL) -m ""

docs: env
	$(BIN)/python -m mkdocs build --strict --quiet -f docs/mkdocs.yml

# Debian's Chromium, for the test that opens NNI's dashboard.
browser:
	@if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then exit 0; fi; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
		echo "no chromium and chromedriver, and no apt as root to install them: the dashboard test will be skipped"; exit 0; fi; \
	export DEBIAN_FRONTEND=noninteractive; \
	echo "installing chromium and chromium-driver"; \
	apt-get update -qq; \
	apt-get install -qq --no-install-recommends chromium chromium-driver >/dev/null
