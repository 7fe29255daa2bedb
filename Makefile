# `make run` and `make test` need Python >= 3.11, make and a C library; everything else comes from the locks.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What serves, and on top of it what tests.
SERVES := $(VENV)/.serves
STAMP := $(VENV)/.installed
PIP_INSTALL := $(BIN)/python -m pip install --quiet
UV_COMPILE := uv pip compile --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url --no-annotate --no-header -q

.PHONY: run test lint types rules unit fuzz fuzz-smoke power-cut soak bench generated lock sbom audit clean

run: $(SERVES)
	@$(BIN)/bridge serve

$(SERVES): requirements.txt requirements-build.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("bridge needs Python >= 3.11; name one with PYTHON=..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) --require-hashes -r requirements.txt -r requirements-build.txt
	$(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

$(STAMP): $(SERVES) requirements-dev.txt
	$(PIP_INSTALL) --require-hashes --no-build-isolation --use-pep517 -r requirements-dev.txt
	@touch $@

test: lint types rules unit fuzz-smoke

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

rules: $(STAMP)
	$(BIN)/lint-imports

unit: $(STAMP)
	$(BIN)/coverage erase
	$(BIN)/pytest --cov --cov-report= -n 2
	$(BIN)/coverage report
	$(BIN)/coverage report --fail-under=100 --include='bridge/policy/*,bridge/iggy/state.py,bridge/locallog/*,bridge/groups/assignment.py,bridge/groups/dead_letters.py,bridge/groups/ledger.py,bridge/groups/partition.py,bridge/groups/records.py,bridge/groups/tokens.py,bridge/groups/values.py'

fuzz-smoke: $(STAMP)
	$(BIN)/python fuzz/run.py --seconds 5

fuzz: $(STAMP)
	$(BIN)/python fuzz/run.py --seconds 600

power-cut: $(STAMP)
	CRASH_POINTS=10000 $(BIN)/pytest -q -s tests/crash/test_power_cut.py

soak: $(STAMP)
	SOAK_SECS=$${SOAK_SECS:-600} $(BIN)/pytest -q -s tests/process/test_soak.py

bench: $(STAMP)
	$(BIN)/python -m tests.bench.run

generated: $(STAMP)
	$(BIN)/python -m tests.generated

# Writes the three lock files: hashes, every extra that one package asks of another, no index address. Needs `uv` on PATH.
lock:
	$(UV_COMPILE) --all-extras pyproject.toml -o requirements.txt
	$(UV_COMPILE) --group build -o requirements-build.txt
	$(UV_COMPILE) --all-extras pyproject.toml --group dev -c requirements.txt -o requirements-dev.txt

# What the bridge is made of, with the hash of each file: CycloneDX.
sbom: $(STAMP)
	@mkdir -p build
	$(BIN)/cyclonedx-py requirements requirements.txt --pyproject pyproject.toml --output-reproducible -o build/bridge.cdx.json

# Known vulnerabilities of what serves. Fails where one is open, and where the database cannot be asked about a package.
audit: $(STAMP)
	$(BIN)/pip-audit --requirement requirements.txt --require-hashes --disable-pip --strict --progress-spinner off

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage* build dist *.egg-info
