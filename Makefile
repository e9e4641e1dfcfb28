# make demo: everything from nothing to a small file that runs. make test: the quick tests.
VENV ?= .venv
PYTHON ?= python3
BIN = $(VENV)/bin
INSTALLED = $(VENV)/.installed
NATIVE = $(shell find native -name '*.cc' -o -name '*.h')

.PHONY: demo test install check clean

demo: install
	$(BIN)/laconic demo

test: install
	$(BIN)/python -m pytest -m "not slow"

check: install
	PATH="$(CURDIR)/$(BIN):$$PATH" scripts/check

install: $(INSTALLED)

# torch first, by its exact version, so that nothing that depends on it fetches another build.
$(INSTALLED): pyproject.toml constraints.txt CMakeLists.txt $(NATIVE)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "laconic needs Python 3.11+")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	PIP_CONSTRAINT="$(CURDIR)/constraints.txt" $(BIN)/pip install --quiet \
		--disable-pip-version-check -e ".[dev]"
	touch $(INSTALLED)

clean:
	rm -rf $(VENV) build dist laconic-demo
