# Everything starts here: `make demo`, `make test`. Each target sets up what it needs in .venv.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DEMO_HOME ?= demo-home
DEMO_REPORT ?= demo-report

# A machine on which the NVIDIA driver lists a GPU gets TensorFlow with CUDA, any other the CPU build.
BUILD  := $(shell nvidia-smi -L 2>/dev/null | grep -q GPU && echo gpu || echo cpu)
STAMP  := $(VENV)/.installed-$(BUILD)
BENCH_STAMP := $(VENV)/.installed-bench-$(BUILD)

# `make wheelhouse` on a machine with a network, then `make install WHEELHOUSE=...` on one without.
WHEELHOUSE ?=
INDEX  := $(if $(WHEELHOUSE),--no-index --find-links $(WHEELHOUSE))

# `make demo` continues what an earlier one began; `make clean` removes it.
.PHONY: help install demo test test-all check bench lock wheelhouse clean
.DEFAULT_GOAL := help

help:
	@echo "make demo      a phantom cohort, a study on it, and where to look next (minutes)"
	@echo "make test      the tests;  make test-all  the slow ones too"
	@echo "make check     lint, format, types, import contracts"
	@echo "make bench     the benchmarks;  make lock  pin the dependencies anew"
	@echo "make wheelhouse   what make install needs, for a machine without a network"

install: $(STAMP)

$(STAMP): requirements/$(BUILD).txt setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "radsearch needs Python 3.11 or later, but $(PYTHON) is older; name another with PYTHON=..." >&2; exit 1; }
	@echo "Setting up $(VENV) with the $(BUILD) build of TensorFlow (a few minutes the first time)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --disable-pip-version-check $(INDEX) -r requirements/$(BUILD).txt
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: install
	@test -e cohorts/phantom/cohort.toml || { echo "Writing a phantom cohort (half a minute)"; \
	    $(BIN)/radsearch phantom cohorts/phantom --signal easy; }
	$(BIN)/radsearch run studies/quick.toml --home $(DEMO_HOME)
	$(BIN)/radsearch report quick --home $(DEMO_HOME) --out $(DEMO_REPORT)
	@echo "(source $(VENV)/bin/activate puts radsearch on the path)"

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check
	$(BIN)/pytest -n 2 -m "not slow"

test-all: check
	$(BIN)/pytest -n 2

bench: $(BENCH_STAMP)
	$(BIN)/python benchmarks/prepare.py
	$(BIN)/python benchmarks/trials.py
	$(BIN)/python benchmarks/search_time.py
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/map.py
	$(BIN)/python -m benchmarks.honesty
	$(BIN)/python -m benchmarks.honesty_compare
	$(BIN)/python -m benchmarks.null_cohorts
	$(BIN)/python -m benchmarks.maps_truth
	$(BIN)/python -m benchmarks.scale

# What the benchmarks compare with, our own pins untouched.
$(BENCH_STAMP): $(STAMP)
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-build-isolation \
	    -c requirements/$(BUILD).txt -e .[bench]
	@touch $@

# For another machine: BUILD=gpu where that one has a GPU and this one has none.
wheelhouse:
	$(PYTHON) -m pip wheel -q --disable-pip-version-check --no-deps -r requirements/$(BUILD).txt -w wheelhouse

# Pins for both builds, from the bounds of setup.cfg, and for the server's image.
lock:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --upgrade setup.cfg --extra cpu --extra dev --python-version 3.11 \
	    --no-emit-index-url --no-header --no-annotate --python-platform x86_64-manylinux_2_28 -o requirements/cpu.txt
	$(BIN)/uv pip compile --quiet --upgrade setup.cfg --extra gpu --extra dev --python-version 3.11 \
	    --no-emit-index-url --no-header --no-annotate --python-platform x86_64-manylinux_2_28 \
	    --constraint requirements/cpu.txt -o requirements/gpu.txt
	$(BIN)/uv pip compile --quiet --upgrade requirements/server.in --python-version 3.11 \
	    --no-emit-index-url --no-header --no-annotate --python-platform x86_64-manylinux_2_28 \
	    --constraint requirements/cpu.txt -o requirements/server.txt

clean:
	rm -rf $(VENV) $(DEMO_HOME) $(DEMO_REPORT) cohorts/phantom wheelhouse build dist *.egg-info
