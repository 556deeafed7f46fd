# Corecast: `make` lists what can be asked for. Everything that is made stays in this folder.
.DEFAULT_GOAL := help
.ONESHELL:
SHELL := /bin/sh
.SHELLFLAGS := -euc
MAKEFLAGS += --no-print-directory

venv := .venv
bin := $(venv)/bin
ready := $(venv)/ready
all := .venv-all
relay := .venv-relay
skipped := $(venv)/relay-skipped

# The Python of a new .venv: the first of these that is 3.10 or newer and can make a virtual environment.
PYTHON ?= python3 python3.11 python3.12 python3.13 python3.14 python3.10

# Settings of the caller's shell that would lead pip or Python out of .venv.
unexport PYTHONPATH PYTHONHOME PIP_USER PIP_TARGET PIP_PREFIX

# How many random networks `make fuzz` converts, and the first seed.
N ?= 100000
FIRST ?= 0

# Which tables `make bench` (docs/benchmarks.md) or `make gpu` (docs/hopper.md) measures; all of them where none is named.
TABLES ?=

# What limits a table of `make gpu`: `batch=8 candidates=4 seconds=120`, `kernels=20`.
OPTIONS ?=

.PHONY: help demo recipes test test-all test-lint test-relay fuzz bench gpu clean moved

help: ## list the targets
	@echo "Usage: make TARGET [PYTHON=python3.12]"
	sed -nE 's/^([a-z-]+):[^#]*## (.*)/  \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-12s %s\n", $$1, $$2 }'
	echo "What needs it first makes .venv (test-all: .venv-all) if it is not there (PYTHON says with which Python)."

demo: $(ready) ## run the demonstration; it writes under demo/ only
	@$(bin)/python examples/demo.py

# The Relay tests come first: they leave the layer tables that the others compare with those of Relax.
test: $(ready) test-lint test-relay ## lint, check types and layers, then run the tests
	@$(bin)/python -m pytest -q -n 2 --dist worksteal
	if [ -f $(skipped) ]; then cat $(skipped); fi

# PyTorch and transformers are gigabytes that nothing else needs: they have an environment of their own.
test-all: $(all)/ready ## convert every model of docs/models.md, in .venv-all with PyTorch: an hour or more
	@$(all)/bin/python -m pytest -q -n 2 --dist worksteal --all-models \
	  tests/models tests/sentences tests/adapters/relax/test_exported.py tests/examples

recipes: $(all)/ready ## prove the shared recipes on real networks, in .venv-all; writes docs/recipes.md and their pack.yaml
	@$(all)/bin/python tests/models/proof.py

test-lint: $(ready) ## the checks without the tests: ruff, mypy, import-linter
	@$(bin)/ruff check --quiet .
	$(bin)/ruff format --check --quiet . || { echo "Formatting differs: run $(bin)/ruff format ."; exit 1; }
	$(bin)/mypy --no-error-summary
	$(bin)/lint-imports --no-logo --no-cache > $(venv)/layers.log 2>&1 || { cat $(venv)/layers.log; exit 1; }
	echo "Lint, format, types and layers are in order."

# Only its own Python can import the TVM that has Relay. Where that cannot be had, the summary says so, and in continuous
# integration that is a failure.
test-relay: $(ready) ## test the Relay adapter beside the original's code, in .venv-relay
	@rm -f $(skipped)
	if reason=$$($(bin)/python tests/relay/environment/set_up.py); then
	  $(relay)/bin/python -m pytest -q -n 2 --dist worksteal tests/relay
	else
	  [ "$${CI:-}" != true ] || { echo "Relay tests cannot run: $$reason" >&2; exit 1; }
	  echo "Relay tests skipped: $$reason" | tee $(skipped)
	fi

fuzz: $(ready) ## convert N=100000 random networks by random recipes, from seed FIRST=0, and check all that must hold
	@PYTHONPATH=tests $(bin)/python -m fuzz --first $(FIRST) --count $(N)

bench: $(ready) ## measure plan, compile, apply and memory on networks of up to 100k operators, beside TVM's own passes
	@PYTHONPATH=tests $(bin)/python -m bench $(TABLES)

gpu: $(all)/ready ## on a Hopper GPU with nvcc: check and time the kernels for it, write the tables of docs/hopper.md
	@PYTHONPATH=tests TVM_BACKTRACE=1 $(all)/bin/python -m gpu $(TABLES) $(OPTIONS)

clean: ## remove .venv, .venv-all, .venv-relay, the demonstration's output and every cache
	@rm -rf $(venv) $(all) $(relay) $(relay).log demo dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .fuzz
	find . -name .git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

# The file `ready` holds the folder that an environment was made in: it does not survive being moved.
ifneq ($(shell cat $(ready) 2>/dev/null),$(CURDIR))
$(ready): moved
endif
ifneq ($(shell cat $(all)/ready 2>/dev/null),$(CURDIR))
$(all)/ready: moved
endif

$(ready): extras := test
$(ready): size := 170 MB to fetch, a minute or two
$(all)/ready: extras := test,models,sentences
$(all)/ready: size := with PyTorch, up to some GB to fetch

$(ready) $(all)/ready: pyproject.toml constraints.txt
	@usable='import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))'
	version='import platform; print(platform.python_version())'
	# Made here, by us or by hand, and still working: keep it.
	if grep -qsF '$(CURDIR)/$(@D)/bin/' $(@D)/bin/pip && $(@D)/bin/python -c "$$usable" 2>/dev/null; then
	  echo "Bringing $(@D) up to date with pyproject.toml and constraints.txt."
	else
	  python= bare=
	  for candidate in $(PYTHON); do
	    if "$$candidate" -c "$$usable" 2>/dev/null; then python=$$candidate; break; fi
	    if [ -z "$$bare" ] && "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
	      bare=$$candidate
	    fi
	  done
	  if [ -z "$$python" ] && [ -n "$$bare" ]; then
	    package=$$("$$bare" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
	    [ "$$bare" != python3 ] || package=python3-venv
	    echo "$$bare cannot make a virtual environment: the package $$package is missing. Install it with" >&2
	    echo "    sudo apt-get install $$package" >&2
	    exit 1
	  fi
	  if [ -z "$$python" ]; then
	    for candidate in $(PYTHON); do
	      found=$$("$$candidate" -c "$$version" 2>/dev/null) && echo "$$candidate is Python $$found." >&2 || true
	    done
	    echo "Corecast needs Python 3.10 or newer; none was found as: $(PYTHON). Install it with" >&2
	    echo "    sudo apt-get install python3 python3-venv" >&2
	    echo "or name another one: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2
	    exit 1
	  fi
	  echo "Making $(@D) with Python $$("$$python" -c "$$version"): $(size), this once."
	  "$$python" -m venv --clear $(@D)
	fi
	install="$(@D)/bin/python -m pip install --disable-pip-version-check --no-cache-dir --constraint constraints.txt"
	# The build backend comes first, so that it too is the one of the list and not the newest of the day.
	if ! { $$install hatchling && $$install --no-build-isolation --editable '.[$(extras)]'; } > $(@D)/setup.log 2>&1; then
	  tail -n 20 $(@D)/setup.log >&2
	  echo "Setting up $(@D) failed; the lines above are the end of $(@D)/setup.log. make tries again." >&2
	  exit 1
	fi
	echo "$(CURDIR)" > $(@D)/ready
