# SPDX-License-Identifier: Apache-2.0
# Everything starts here: `make lab` and `make test` set up what they need themselves.
#
# Always holds: nothing is written outside the checkout, except temporary files and the packages that apt installs when root runs
# this.

PYTHON ?= python3
BIN := .venv/bin
SCENARIOS ?= pmip-handover a1-local a1-global a2-leave a2-leave-given-up a2-bootstrap a2-bootstrap-abroad a2-return \
	a2-visited a2-nemo a2-dereg a2-race a2-rogue-mag b-mixed b-a1 b-a2 b-multicast split split-mixed
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PIP_NO_INPUT=1 $(BIN)/python -m pip -qq

MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:

.PHONY: help
help:
	@echo "make lab         set up, then build a mobility network on this machine and move a host through it (root)"
	@echo "make test        set up, then run every test that this machine can run"
	@echo "make setup       set up only: .venv/bin/halma"
	@echo "make bench       set up, then measure (root)"
	@echo "make test-guest  the tests on a stock Debian kernel, booted as a process"
	@echo "make lint        ruff, mypy, and the layers"
	@echo "make format      let ruff format the source"
	@echo "make docs        write the generated pages of docs/ anew"
	@echo "make lock        write requirements/*.txt anew from pyproject.toml and requirements/dev.in"
	@echo "make pure        remove the compiled modules: everything runs as Python, for debuggers and coverage"
	@echo "make compiled    compile them again"
	@echo "make clean       remove all that make made"

# ---- setup ------------------------------------------------------------------------------------------------------------

.PHONY: setup
setup: packages bpf $(BIN)/halma

.PHONY: packages
packages:
	@tools/setup/packages.sh $(PYTHON)

$(BIN)/python: | packages
	@echo "setup: virtual environment"
	@$(PYTHON) -m venv .venv

.venv/requirements.stamp: requirements/dev.txt | $(BIN)/python
	@echo "setup: Python packages"
	@$(PIP) install --require-hashes --requirement requirements/dev.txt
	@touch $@

# The modules that setup.py compiles are compiled anew when one of them changes, or numbers that they have taken in.
COMPILED := $(shell cat tools/setup/compiled.txt)
COMPILER := setup.py tools/setup/compiled.txt tools/setup/native.py
$(BIN)/halma: pyproject.toml $(COMPILER) $(COMPILED) src/halma/wire/numbers.py .venv/requirements.stamp
	@echo "setup: Halma itself"
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@
	@ls src/halma__mypyc.*.so >/dev/null 2>&1 || \
	    echo "setup: no C compiler or no Python.h, so no module is compiled: signalling takes two thirds longer" >&2

.PHONY: bpf
bpf: | packages
	@if command -v clang >/dev/null; then $(MAKE) --silent -C bpf; \
	else echo "setup: no clang, so no data plane in BPF" >&2; fi

# ---- the two commands, and the others ---------------------------------------------------------------------------------

.PHONY: lab
lab: setup
	@if [ "$$(id -u)" -ne 0 ]; then echo "the lab makes network namespaces: run it as root" >&2; exit 1; fi
	@$(BIN)/halma lab run $(SCENARIOS)

.PHONY: test
test: setup
	@$(BIN)/python -m pytest -q

.PHONY: test-guest
test-guest: setup
	@$(BIN)/python -m pytest -q tests/guest

.PHONY: bench
bench: setup
	@if [ "$$(id -u)" -ne 0 ]; then echo "the benchmarks make network namespaces: run them as root" >&2; exit 1; fi
	@for bench in signalling "signalling --protocol mipv6" forwarding scale handover; do $(BIN)/halma bench $$bench || exit 1; done

.PHONY: lint
lint: setup
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/mypy --no-error-summary
	@mkdir -p build
	@$(BIN)/lint-imports --no-logo >build/layers.log || { cat build/layers.log; exit 1; }

.PHONY: format
format: setup
	@$(BIN)/ruff check --fix --quiet
	@$(BIN)/ruff format --quiet

.PHONY: docs
docs: setup
	@$(BIN)/python -m halma.wire.table >docs/messages.md
	@$(BIN)/python -m tools.requirements_coverage
	@$(BIN)/python -m tools.rfc_coverage
	@$(BIN)/python -m tools.configuration_page
	@$(BIN)/python -m tools.command_page

# The lock names no index: pip checks the hashes whichever index it is set up to use.
.PHONY: lock
lock: $(BIN)/python
	@[ -x build/lock/bin/uv ] || { $(PYTHON) -m venv build/lock && PIP_NO_CACHE_DIR=1 build/lock/bin/pip install --quiet uv; }
	@for lock in "runtime pyproject.toml" "dev pyproject.toml requirements/dev.in --constraint requirements/runtime.txt"; do \
	    set -- $$lock; name=$$1; shift; \
	    build/lock/bin/uv --quiet --no-cache pip compile --universal --python-version 3.11 --generate-hashes --no-strip-extras \
	        --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" "$$@" --output-file requirements/$$name.txt || exit 1; \
	done

.PHONY: pure
pure:
	@find src -name '*.so' -delete

.PHONY: compiled
compiled:
	@touch setup.py
	@$(MAKE) setup

.PHONY: clean
clean: pure
	@rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage src/halma.egg-info
	@$(MAKE) --silent -C bpf clean
