# Everything sets itself up: the first target typed makes .venv from the pinned constraints.txt.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
STAMP := $(VENV)/.installed

export RAY_USAGE_STATS_ENABLED := 0
export MLFLOW_DISABLE_TELEMETRY := true
export HF_HUB_OFFLINE := 1

.PHONY: demo check test bench clean

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

# Everything.
test: check
	$(RUN)/pytest tests/integration tests/e2e

# Speeds, as ratios and rates; never part of a test.
bench: $(STAMP)
	for bench in tests/bench/bench_*.py; do $(RUN)/python $$bench || exit 1; done

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
