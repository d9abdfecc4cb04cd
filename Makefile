# Two commands for a fresh machine with Python 3.11: `make demo` and `make test`.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint bench chaos load baselines docs clean

demo: $(VENV)/.demo-ready  ## judge the shipped text, picture, sound and video items
	$(BIN)/llm-judge models fetch
	$(BIN)/llm-judge demo

test: $(VENV)/.dev-ready  ## run every test
	$(BIN)/python -m pytest

lint: $(VENV)/.dev-ready  ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/llm-judge policy check --strict
	$(BIN)/llm-judge policy fmt --check policies evals/bench/policies finetune/areas finetune/liveness

bench: $(VENV)/.demo-ready  ## cost of judging, against a naive judge and plain reads
	$(BIN)/python -m llm_judge.evals.bench $(BENCH)

chaos: $(VENV)/.dev-ready  ## break things under a running service and count what came of it: docs/reliability.md
	$(BIN)/python -m llm_judge.reliability.chaos $(CHAOS)

load: $(VENV)/.dev-ready  ## what the service costs, ten times too much, 50,000 requests: docs/reliability.md
	$(BIN)/python -m llm_judge.reliability.load $(LOAD)

# Rows are sampled: 100 of each dev suite, the same ones for every system.
baselines: $(VENV)/.dev-ready  ## figures of the baselines on every suite; DATA=folder of the labelled sets
	mkdir -p evals/baselines
	$(BIN)/llm-judge eval baselines all $(if $(DATA),--data $(DATA)) --limit 100 --which constant --which keywords \
	  --which tfidf --which untuned --figures evals/baselines

docs: $(VENV)/.dev-ready  ## write the generated pages; a test fails when they are stale
	$(BIN)/python -m llm_judge.cli.docs
	$(BIN)/python -m llm_judge.service.openapi
	$(BIN)/llm-judge policy schema
	$(BIN)/llm-judge policy docs
	$(BIN)/python -m llm_judge.cli.tour

clean:
	rm -rf $(VENV)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# A stamp is written only after everything is installed, so an interrupted set-up starts again.
$(VENV)/.demo-ready: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[media,local]'
	touch $@

$(VENV)/.dev-ready: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@
