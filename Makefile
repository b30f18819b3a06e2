# Everything here sets itself up; see tools/setup.sh.
SHELL := /bin/sh
PY := .venv/bin/python
RUN := PATH="$$PATH:$(CURDIR)/.venv/bin"

.PHONY: help demo test lint types unit golden bench clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

demo:  ## a real chain, exchanges, traders and a bot, with the exporter over them; until Ctrl-C
	@tools/setup.sh demo
	@$(RUN) exec $(PY) -m demo $(DEMO)

test:  ## everything: lint, types, tests with coverage, golden files
	@tools/setup.sh test
	@$(MAKE) --no-print-directory lint types unit

lint:
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

types:
	$(PY) -m mypy

unit:
	@$(PY) -m coverage erase
	$(RUN) $(PY) -m coverage run -m pytest -q
	@$(PY) -m coverage combine -q
	$(PY) -m coverage report

golden:  ## write tests/golden/metrics.txt and docs/metrics.md anew
	@tools/setup.sh test
	@$(PY) -m tools.golden

bench:  ## the figures that the documents quote (not those of a running demo)
	@tools/setup.sh test
	@$(PY) -m benchmarks.exposition
	@$(PY) -m benchmarks.first_read

clean:  ## remove what was set up and generated
	rm -rf .venv demo/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.* build dist *.egg-info
