# Everything runs in .venv, made on first use; PYTHON chooses the interpreter.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: install demo test test-all mutants lint docs clean

install: $(VENV)/.installed

# torch and torchvision together: a torchvision wheel fits one torch only. Setuptools
# warns of any editable install.
$(VENV)/.installed: pyproject.toml
	@echo 'Installing PyTorch and the OpenMMLab stack into $(VENV): 6 GB, some minutes.'
	@start=$$(date +%s) && $(PYTHON) -m venv $(VENV) && \
	$(PIP) --upgrade pip && \
	$(PIP) torch torchvision && \
	PYTHONWARNINGS=ignore $(PIP) -e '.[onedl,cls,deploy,docs,dev]' && \
	touch $@ && echo "Installed in $$(($$(date +%s) - start)) s."

demo: install
	@$(BIN)/python tools/demo.py

# Two at a time, of one thread each; a file by one: what its tests share is made once.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

test: install
	$(PYTEST)

# Also what takes longer, or needs root: two machines are network namespaces.
test-all: install
	$(PYTEST) -m ''
	$(BIN)/python benchmarks/soak.py

# Mutation testing, of MUTATE='mmkd/losses mmkd/checkpoint.py', say, instead of all.
mutants: install
	$(PIP) mutmut==3.8.1
	$(BIN)/python tools/dev/mutants.py $(MUTATE)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Every warning is an error: a broken link, a page without a place in the navigation.
docs: install
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -c docs . build/docs
	@echo 'The site: build/docs/index.html'

clean:
	rm -rf $(VENV) build dist mutants *.egg-info
