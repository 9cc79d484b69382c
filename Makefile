# Everything sets itself up: the first target typed makes .venv from the pinned constraints.txt.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
LOCK_VENV := .venv-lock
LOCK_RUN := $(LOCK_VENV)/bin
STAMP := $(VENV)/.installed

export RAY_USAGE_STATS_ENABLED := 0
export MLFLOW_DISABLE_TELEMETRY := true
export HF_HUB_OFFLINE := 1

.PHONY: demo check test chaos bench lock audit clean

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN)/pip install --quiet --upgrade pip
	$(RUN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)

# Source set, pre-training, two rounds on a synthetic target, and what source-only training would have reached.
demo: $(STAMP)
	$(RUN)/python jobs/semihand_round.py --recipe laptop --campaign campaigns/demo

# Lint, types, import rules and unit tests: no Ray, no GPU.
check: $(STAMP)
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/lint-imports --no-cache
	$(RUN)/pytest tests/unit --numprocesses logical --maxprocesses 4 --dist loadfile

# Hundreds of processes import the package one after the other: they find it compiled.
test chaos: export PYTHONDONTWRITEBYTECODE :=

# Everything but what `chaos` adds.
test: check
	$(RUN)/pytest tests/integration tests/e2e
	$(RUN)/pytest tests/chaos --numprocesses 2 --dist worksteal

# Everything that kills, under Ray: an hour.
chaos: $(STAMP)
	$(RUN)/pytest tests/chaos -m "chaos or not chaos" --numprocesses 2 --dist worksteal -rP

# Speeds, as ratios and rates; never part of a test.
bench: $(STAMP)
	for bench in tests/bench/bench_*.py; do $(RUN)/python $$bench || exit 1; done

$(LOCK_VENV)/.installed: Makefile
	$(PYTHON) -m venv $(LOCK_VENV)
	$(LOCK_RUN)/pip install --quiet pip-tools==7.6.2 pip-audit==2.10.1
	touch $@

# Renew requirements.lock: the versions of constraints.txt, each by its hashes; needs an index with torch's CPU builds.
lock: $(LOCK_VENV)/.installed
	$(LOCK_RUN)/pip-compile --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header \
	    --no-annotate --allow-unsafe --strip-extras --quiet --constraint constraints.txt --output-file $(LOCK_VENV)/new pyproject.toml
	{ grep '^#' requirements.lock; cat $(LOCK_VENV)/new; } > $(LOCK_VENV)/whole
	mv $(LOCK_VENV)/whole requirements.lock

# Known vulnerabilities of what is locked. What could not be looked up fails it, too: silence is no answer.
audit: $(LOCK_VENV)/.installed
	grep -oE '^[A-Za-z0-9._-]+==[^ +]+' requirements.lock > $(LOCK_VENV)/audited.txt
	$(LOCK_RUN)/pip-audit --strict --disable-pip --no-deps --progress-spinner off --requirement $(LOCK_VENV)/audited.txt || \
	    { echo "audit failed: a package has a known vulnerability, or the service could not be asked about one" >&2; exit 1; }

clean:
	rm -rf $(VENV) $(LOCK_VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
