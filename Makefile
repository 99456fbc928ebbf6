# Everything is installed in .venv on first use; PYTHON selects the interpreter.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: install demo check lint types test test-fast test-all mutants docs clean

install: $(VENV)/.installed

# Install torch and torchvision together, as a torchvision wheel works with one torch
# version only. Setuptools warns about editable installs.
$(VENV)/.installed: pyproject.toml
	@echo 'Installing PyTorch and the OpenMMLab stack into $(VENV): 7 GB, some minutes.'
	@start=$$(date +%s) && $(PYTHON) -m venv $(VENV) && \
	$(PIP) --upgrade pip && \
	$(PIP) torch torchvision && \
	PYTHONWARNINGS=ignore $(PIP) -e '.[onedl,cls,networks,deploy,docs,dev]' && \
	touch $@ && echo "Installed in $$(($$(date +%s) - start)) s."

demo: install
	@$(BIN)/python tools/demo.py

# Two processes with one thread each. Tests of a file share a process, and thus fixtures;
# conftest.py orders the files.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest \
	--numprocesses 2 --dist loadfile --no-loadscope-reorder

# What CI runs.
check: lint types test

test: install
	$(PYTEST)

# Only the losses and their functions, in less than a minute.
test-fast: install
	$(PYTEST) tests/test_functional tests/test_losses tests/test_ops

# Also run slow tests and tests that need root, which simulate two machines.
test-all: install
	$(PYTEST) -m ''
	$(BIN)/python benchmarks/soak.py

# Mutation testing of all code, or of a part: MUTATE="mmkd/losses mmkd/checkpoint.py".
mutants: install
	$(PIP) mutmut==3.8.1
	$(BIN)/python tools/dev/mutants.py $(MUTATE)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

# Every warning is an error: a broken link, a page without a place in the navigation.
docs: install
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -c docs . build/docs
	@echo 'The site: build/docs/index.html'

clean:
	rm -rf $(VENV) build dist mutants *.egg-info
