# make demo: everything from nothing to a small file that runs. make test: the quick tests.
VENV ?= .venv
PYTHON ?= python3
BIN = $(VENV)/bin
INSTALLED = $(VENV)/.installed
NATIVE = $(shell find native -name '*.cc' -o -name '*.h' -o -name '*.inc')

.PHONY: demo test install check clean

demo: install
	$(BIN)/laconic demo

test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile

check: install
	PATH="$(CURDIR)/$(BIN):$$PATH" scripts/check

install: $(INSTALLED)

# torch first, by its exact version, so that nothing that depends on it fetches another build.
# nncodec, for `laconic study coding`, without its dependencies: they would replace torch and NumPy
# by other builds, and the one part that is used, DeepCABAC in C++, needs none of them.
$(INSTALLED): pyproject.toml constraints.txt CMakeLists.txt $(NATIVE)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "laconic needs Python 3.11+")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	PIP_CONSTRAINT="$(CURDIR)/constraints.txt" $(BIN)/pip install --quiet \
		--disable-pip-version-check -e ".[dev]"
	PIP_CONSTRAINT="$(CURDIR)/constraints.txt" $(BIN)/pip install --quiet \
		--disable-pip-version-check --no-deps nncodec==2.1.3 pybind11
	touch $(INSTALLED)

clean:
	rm -rf $(VENV) build dist laconic-demo
