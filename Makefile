# Every command a developer or CI needs. `make demo` and `make test` set up .venv themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help install demo check test test-slow test-browser test-slurm docs notebooks images bench constraints clean

help:
	@echo "make demo         make the embedded study, download it, show what came"
	@echo "make test         run the tests"
	@echo "make test-slow    run the tests that take longer (kill tests, large listings)"
	@echo "make test-browser run the tests that open pages in Chromium, which must be installed"
	@echo "make test-slurm   run the tests on a Slurm of one node; .ci/install-slurm installs what they need"
	@echo "make check        ruff, mypy --strict and the architecture test"
	@echo "make docs         build the documentation into build/docs; a warning is an error"
	@echo "make notebooks   run the notebooks and keep what they show"
	@echo "make images      draw the pictures of README; needs Chromium"
	@echo "make bench        compare with s5cmd and s3bids 0.1.7; BENCH=folder of the measuring stick"
	@echo "make constraints  renew constraints.txt from pyproject.toml"

install: $(READY)

# uv resolves s3fs and boto3 in seconds where an older pip needs more than a minute.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "s3bids needs Python 3.11 or newer; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable ".[test,docs,dev]"
	@touch $(READY)

demo: $(READY)
	$(BIN)/s3bids demo demo

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -q tests/test_architecture.py

test: $(READY)
	$(BIN)/pytest -q -n 2 -m "not slow and not browser and not slurm"

test-slow: $(READY)
	$(BIN)/pytest -q -n 2 -m "slow and not slurm"

test-slurm: $(READY)
	$(BIN)/pytest -q -m slurm tests/slurm

# Debian: apt-get install chromium, or as root: sh .ci/install-chromium
test-browser: $(READY)
	$(BIN)/pytest -q -m browser tests/browser

docs: $(READY)
	$(BIN)/python docs/make_reference.py
	NO_MKDOCS_2_WARNING=1 DISABLE_MKDOCS_2_WARNING=true $(BIN)/mkdocs build --strict --quiet

notebooks: $(READY)
	$(BIN)/python notebooks/execute.py

images: $(READY)
	$(BIN)/python docs/make_images.py

# The measuring stick lies beside the checkout; its README says how it is set up once.
BENCH ?= ../shared/bench
bench: $(READY)
	@test -f $(BENCH)/compare.py || { echo "there is no measuring stick in $(BENCH); name its folder with BENCH="; exit 2; }
	$(PYTHON) $(BENCH)/serve.py start
	$(BIN)/python benchmarks/bench.py $(BENCH); code=$$?; $(PYTHON) $(BENCH)/serve.py stop; exit $$code

# The file names no index, so that it serves behind any mirror.
constraints: $(READY)
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --upgrade --all-extras --no-header --no-annotate \
	  --no-emit-index-url --output-file constraints.txt pyproject.toml

clean:
	rm -rf $(VENV) demo dist build
