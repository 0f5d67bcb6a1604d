# Needs Python 3.11+ and make; everything else is set up here, uv included.
PYTHON ?= python3
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
RUN := $(UV) run --locked --no-sync
REQUIREMENTS := remote/bootstrap/requirements
WORKER_GROUPS := cpu gpu original jupyter
EXPORT := $(UV) export --frozen --offline --quiet --no-header --no-annotate --no-emit-project --only-group
export UV_PYTHON ?= $(PYTHON)
export UV_PYTHON_DOWNLOADS ?= never

.PHONY: help demo test check check-requirements requirements catalogs keys bench setup setup-dev setup-test clean

help:
	@echo "make demo    the main job, end to end, on this machine: no account, no key"
	@echo "make test    every check and every test"
	@echo "make check   lint, format, types, import contracts, the boxes' requirements, translations"
	@echo "make bench   the benchmarks, quick"
	@echo "make requirements   write what boxes install, with hashes, from uv.lock"
	@echo "make keys    write docs/keys.md from the console's table of actions"
	@echo "make catalogs   compile the interface's translations"
	@echo "make clean   remove the environment and the demo workspace"

demo: setup
	@$(RUN) spotter demo

test: setup-test
	@$(MAKE) --no-print-directory --jobs 2 check .uv/tests-compiled
	@$(RUN) pytest -n auto --dist loadgroup

# In a fresh environment every worker would compile all tests and what they import: once is enough, beside mypy.
.uv/tests-compiled: uv.lock
	@said=$$($(RUN) pytest -p no:xdist --collect-only -qqq 2>&1) || { echo "$$said" | tail -n 60 >&2; exit 1; }
	@touch $@

check: setup-dev check-requirements
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) mypy
	@$(RUN) lint-imports
	@$(RUN) python -m console.catalogs --check

check-requirements: setup-dev
	@for group in $(WORKER_GROUPS); do \
	  $(EXPORT) worker-$$group | $(RUN) python -m tests.requirements_as_locked $(REQUIREMENTS)/worker-$$group.txt || \
	  { echo "$(REQUIREMENTS)/worker-$$group.txt is not what uv.lock says: run  make requirements" >&2; exit 1; }; \
	done

requirements: .uv/ready
	@mkdir -p $(REQUIREMENTS)
	@for group in $(WORKER_GROUPS); do \
	  $(EXPORT) worker-$$group --output-file $(REQUIREMENTS)/worker-$$group.txt >/dev/null || exit 1; \
	done

keys: setup-dev
	@$(RUN) spotter keys --markdown > docs/keys.md

catalogs: setup-dev
	@$(RUN) python -m console.catalogs

bench: setup-test
	@for bench in benchmarks/*.py; do echo "== $$bench"; $(RUN) python $$bench --quick || exit 1; done

setup: .uv/ready
	@$(UV) sync --locked --quiet --inexact --no-dev

setup-dev: .uv/ready
	@$(UV) sync --locked --quiet --inexact

# The vision models' own libraries (4.6 GB with torch): tests build the true architectures, small.
setup-test: .uv/ready
	@$(UV) sync --locked --quiet --inexact --all-extras

.uv/ready:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Spotter needs Python 3.11 or newer; $(PYTHON) is older. Run: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	@mkdir -p .uv
	@if ! command -v uv >/dev/null; then \
	  { $(PYTHON) -m venv .uv && .uv/bin/pip install --quiet uv; } >.uv/log 2>&1 || \
	  { cat .uv/log >&2; echo "Could not set up uv: install it (pip install uv), or the venv module (apt-get install python3-venv), then run make again." >&2; exit 1; }; \
	fi
	@touch .uv/ready

clean:
	rm -rf .venv .uv demo
