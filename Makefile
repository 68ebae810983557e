# make lab: JupyterLab with everything.  make test: the fast tests.  make test-all: also
# slow ones and statistics of long runs.  make validate: potentials against references, in
# full.  make help: the rest.
PYTHON ?= python3
PORT ?= 8888
# Another build of torch: make lab TORCH=torch==2.12.1
TORCH ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# The pinned versions, but for the build of torch that was asked for.
PINS := $(VENV)/constraints.txt

.PHONY: help lab install test test-all check format benchmark validate clean

help:
	@sed -n 's/^# //p' Makefile
	@echo "Targets: lab test test-all check format benchmark validate clean"

$(PINS): constraints.txt
	$(PYTHON) -c "import sys; sys.exit('gnndesign wants Python 3.11 to 3.13, this is ' + sys.version.split()[0] + '. Type: make PYTHON=python3.12') if not (3, 11) <= sys.version_info[:2] <= (3, 13) else None"
	$(PYTHON) -m venv $(VENV)
	if [ -n "$(TORCH)" ]; then grep -v '^torch==' constraints.txt > $@.new; else cp constraints.txt $@.new; fi
	if [ -n "$(TORCH)" ]; then $(PIP) install $(TORCH); fi
	mv $@.new $@

$(VENV)/lab.done: $(PINS) pyproject.toml
	$(PIP) install -c $(PINS) -e ".[lab]"
	touch $@

$(VENV)/test.done: $(PINS) pyproject.toml
	$(PIP) install -c $(PINS) -e ".[test]"
	touch $@ $(VENV)/lab.done

# What takes seconds to compile for this processor is compiled here, not in the notebook.
$(VENV)/kernels.done: $(VENV)/lab.done $(wildcard gnndesign/potentials/kernels/*.py)
	$(BIN)/gnndesign prepare
	touch $@

# A TORCH that differs from the one of the last call replaces it.
install: $(VENV)/lab.done
	if [ -n "$(TORCH)" ]; then $(PIP) install $(TORCH); fi

lab: install $(VENV)/kernels.done
	$(BIN)/jupyter lab --port=$(PORT) --LabApp.default_url=/lab/tree/notebooks/01_first_crystal.ipynb $(if $(filter 0,$(shell id -u)),--allow-root,)

# A browser wants all cores for itself; files of the others share what is costly to make.
test: $(VENV)/test.done
	$(BIN)/python tests/browser/install_browser.py
	GNNDESIGN_CACHE=build/cache $(BIN)/gnndesign prepare
	$(BIN)/python -m pytest tests/browser
	$(BIN)/python -m pytest --ignore tests/browser -n logical --maxprocesses 4 --dist loadfile

test-all: test
	$(BIN)/python -m pytest -m "(slow or physics) and not gpu" --timeout 3600

# What a change must pass before it is committed.
check: test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	mkdir -p build/links && ln -sfn ../../widgets build/links/gnndesign_widgets
	$(BIN)/basedpyright
	$(BIN)/lint-imports

format: $(VENV)/test.done
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmark: $(VENV)/test.done
	for script in $(filter-out benchmarks/harness.py benchmarks/relaxers.py,$(wildcard benchmarks/*.py)); do $(BIN)/python $$script || exit 1; done

# A day on two CPU cores; one that was stopped goes on where it was.
validate: install $(VENV)/kernels.done $(foreach name,sevennet-0 sevennet-l3i5 chgnet,build/validated/$(name))
	rm -r build/validated

build/validated/%:
	mkdir -p $(@D)
	$(BIN)/gnndesign validate --whole --potential $* -o gnndesign/properties/validations || [ $$? = 1 ]
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info artifacts
