# Everything here sets itself up; see tools/setup.sh.
SHELL := /bin/sh
PY := .venv/bin/python
# Node may be one that was installed into .venv.
RUN := PATH="$(CURDIR)/.venv/bin:$$PATH"
# Tests start hundreds of programs, and each would compile all of this again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-long branches proofs machines fuzz floors soak autobahn lock sbom ready lint types unit golden dashboards alerts \
	assets bench secrets configuration kubernetes install clean
.NOTPARALLEL:

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo:  ## a real chain, exchanges, traders and a bot, with the exporter over them; until Ctrl-C
	@tools/setup.sh demo
	@$(RUN) exec $(PY) -m demo $(DEMO)

test: lint types unit  ## everything: lint, types, tests with coverage, golden files

ready:
	@tools/setup.sh test

branches: ready  ## the tests once more, with branches in what is covered
	$(RUN) BRANCHES=1 sh tools/unit.sh

proofs: ready  ## reorgs, lies, faults, kills, recovery and incidents in full size: 300 sequences, 200 kills; hours
	$(RUN) ARB_PROOFS=full $(PY) -m pytest -q tests/faults tests/e2e tests/alerting/test_mutations.py \
		tests/sources/test_files.py tests/web/test_crowd.py tests/web/test_ws.py tests/test_config.py \
		tests/test_main.py tests/packaging/test_wheel.py

test-long: branches proofs machines fuzz floors autobahn soak  ## what takes hours: branches, proofs, 5,000 lives of each machine, fuzzing, floors, Autobahn, a soak of an hour

machines: ready  ## 5,000 lives of each state machine
	$(RUN) ARB_PROOFS=full $(PY) -m pytest -q tests/test_books.py tests/test_event_books.py tests/test_verdict.py \
		tests/test_wallet_books.py tests/sources/test_market.py tests/sources/test_logs.py tests/live/test_hub.py \
		tests/client/test_buffer.py

fuzz: ready  ## every parser under atheris; where that is not made for the machine: make fuzz ARB_ATHERIS=none
	@test "$(ARB_ATHERIS)" = none || $(PY) -m pip install -q --disable-pip-version-check atheris || { echo \
		"fuzz: atheris cannot be installed (see above); without it nothing is led by coverage: make fuzz ARB_ATHERIS=none"; exit 1; }
	$(RUN) ARB_PROOFS=full $(PY) -m pytest -q tests/fuzz

floors: ready  ## the tests of the core with the oldest versions that pyproject.toml allows
	@sh tools/floors.sh

autobahn: ready  ## frames of /ws by the Autobahn suite, which needs Python 2.7; where there is none it says so
	$(RUN) $(PY) -m tests.long.autobahn

soak: ready  ## an hour with a fault every 30 seconds: SOAK_MINUTES=60
	$(RUN) $(PY) -m tests.long.soak --minutes $${SOAK_MINUTES:-60}

lock: ready  ## write requirements.lock anew
	@sh tools/lock.sh lock

sbom: ready  ## what the image consists of, as CycloneDX: dist/arb-exporter.cdx.json
	@sh tools/lock.sh sbom

lint: ready  ## ruff: rules and format
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

types: ready  ## mypy
	$(PY) -m mypy

unit: ready  ## tests with coverage
	$(RUN) sh tools/unit.sh

golden: ready  ## write tests/golden/metrics.txt and docs/metrics.md anew
	@$(PY) -m tools.golden

dashboards: ready  ## write grafana/dashboards/*.json anew
	@$(PY) -m tools.grafana

configuration: ready  ## write docs/configuration.md anew
	@$(PY) -m tools.configuration

kubernetes: ready  ## write packaging/kubernetes/rules.yml and the dashboards in kustomization.yaml anew
	@$(PY) -m tools.kubernetes

install:  ## for systemd: into /opt/arb-exporter, /etc/arb-exporter and /etc/systemd/system (PREFIX, DESTDIR: see tools/install.sh)
	@tools/setup.sh assets || true
	@tools/install.sh

alerts: ready  ## write the tables of docs/alerts.md anew
	@$(PY) -m tools.alerts

assets:  ## fetch the live page's chart library (part of demo and test)
	@tools/setup.sh assets

bench: ready  ## the figures that the documents quote (not those of a running demo)
	@$(PY) -m benchmarks.exposition
	@$(PY) -m benchmarks.first_read

# Needs nothing but Python: docker does the rest.
secrets:  ## passwords for docker-compose.yml into ./secrets; those that are there stay
	@test -x $(PY) || { python3 -m venv build/secrets && build/secrets/bin/pip install -q bcrypt; }
	@$$(test -x $(PY) && echo $(PY) || echo build/secrets/bin/python) -m tools.secrets

clean:  ## remove what was set up and generated
	rm -rf .venv demo/node_modules tools/assets/node_modules exporter/web/pages/vendor .screenshots .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.* build dist *.egg-info
