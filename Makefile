# The workshop. Every target does its own set-up; what is up to date is not done again.
#
#   make run     start edged on the built-in demo site       make bench   edged beside HAProxy and nginx, then each room
#   make test    build, also with checks on, and test all    make fuzz    hostile bytes for the parsers (SECONDS=600 each)
#   make lint    ruff, mypy --strict, stubs                  make sanitize   a million requests under sanitizers
#   make clean   remove what was built                       make browser    sites over HTTPS in headless Chromium
#   make handoff   what 100 reloads and 10 upgrades lose under load, beside HAProxy (five minutes)
#
# ARGS goes to what is run: make run ARGS='--http-port 8090', make bench ARGS='--only keepalive-64', make handoff ARGS='--seconds 20 --reloads 15'.

PYTHON ?=
SECONDS ?= 600
ARGS ?=

BIN := .venv/bin
SETUP := $(BIN)/python setup.py -q
PYTEST := PYTHONSAFEPATH=1 $(BIN)/pytest
STAMPS := .venv/stamps
comma := ,
CYTHON := $(shell find edged -name '*.pyx' -o -name '*.pxd' 2>/dev/null) setup.py
DOORS := $(wildcard tests/doors/*.pyx tests/doors/*.pxd tests/doors/__init__.py)
CHECKED := $(CYTHON) $(DOORS) $(shell find edged plugins -name '*.py' -o -name '*.json' -o -name '*.html' -o -name '*.pyi')
TOOLS := build/bench/loadgen build/bench/backend build/bench/brake
# Nothing of it needs both builds: the whole daemon is tested with all checks on, what imports no compiled room as it ships.
WITH_CHECKS := scenarios workshop
WITHOUT := supervisor ctl docs packaging bench

.PHONY: run test bench handoff fuzz sanitize browser lint clean build tools
.DELETE_ON_ERROR:

run: $(STAMPS)/built
	@exec $(BIN)/edged demo $(ARGS)

build: $(STAMPS)/built

test: $(STAMPS)/machine-test $(STAMPS)/doors build/checked/.stamp short-fuzz
	@echo "as it ships: tests run beside the checked build's, and are told after them"; \
	$(PYTEST) tests $(WITH_CHECKS:%=--ignore=tests/%) $(ARGS) >$(STAMPS)/shipped.log 2>&1 & shipped=$$!; \
	trap "kill $$shipped 2>/dev/null" INT TERM EXIT; \
	PYTHONPATH=build/checked $(PYTEST) tests $(WITHOUT:%=--ignore=tests/%) $(ARGS); checked=$$?; \
	wait $$shipped; shipped=$$?; trap - EXIT; \
	[ $$shipped = 0 ] || cat $(STAMPS)/shipped.log; \
	echo "as it ships: $$(tail -n 1 $(STAMPS)/shipped.log | tr -d =)"; \
	[ $$shipped = 0 ] && [ $$checked = 0 ]

bench: $(STAMPS)/machine-bench $(STAMPS)/doors tools
	@status=0; \
	$(BIN)/python -m bench.loads.run $(ARGS) || status=$$?; \
	$(if $(ARGS),,$(PYTEST) bench --benchmark-only --benchmark-columns=min$(comma)median$(comma)ops --benchmark-sort=name || status=$$?;) \
	exit $$status

handoff: $(STAMPS)/machine-bench $(STAMPS)/dev $(STAMPS)/built tools
	$(BIN)/python -m bench.loads.handoff $(ARGS)

fuzz: $(STAMPS)/machine-fuzz $(STAMPS)/dev
	$(BIN)/python tests/fuzz/run.py --seconds $(SECONDS) $(ARGS)

sanitize: $(STAMPS)/machine-sanitize $(STAMPS)/dev build/sanitized/.stamp tools
	PYTHONSAFEPATH=1 $(BIN)/python tests/sanitize/run.py $(ARGS)

browser: $(STAMPS)/machine-browser $(STAMPS)/dev $(STAMPS)/built
	$(PYTEST) tests/browser/browse.py $(ARGS)

.PHONY: short-fuzz
short-fuzz: $(STAMPS)/machine-fuzz $(STAMPS)/dev
	$(BIN)/python tests/fuzz/run.py --seconds 10

lint: $(STAMPS)/dev
	$(BIN)/ruff check .
	$(BIN)/mypy
	@missing=$$(find edged/_fast -name '*.pyx' | sed 's/x$$/i/' | xargs ls -d 2>&1 >/dev/null); \
	    test -z "$$missing" || { echo "every room of _fast has a stub (.pyi):"; echo "$$missing"; exit 1; }

tools: $(TOOLS)

build/bench/%: bench/tools/%.c $(wildcard bench/tools/*.h)
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O2 -Wall -Wextra -o $@ $< -Wl,--as-needed -lssl -lcrypto

clean:
	rm -rf build dist .venv *.egg-info .mypy_cache .ruff_cache .pytest_cache .benchmarks
	find edged tests/doors -name '*.so' -delete
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- set-up ---

$(STAMPS)/machine-%: .ci/machine
	@.ci/machine $*
	@mkdir -p $(@D) && touch $@

# The Python is looked for by the shell, once it may just have been installed: make expands a whole recipe before its first line runs.
.venv/bin/python:
	@.ci/machine build
	python=$(or $(PYTHON),$$(.ci/machine python)) && "$$python" -m venv .venv

$(STAMPS)/run: .venv/bin/python pyproject.toml
	@mkdir -p $(@D)
	$(BIN)/pip install -q --disable-pip-version-check 'cython>=3.1,<4' 'setuptools>=77' wheel
	EDGED_ROOMS=none $(BIN)/pip install -q --disable-pip-version-check --no-build-isolation -e .
	@touch $@

$(STAMPS)/dev: $(STAMPS)/run
	EDGED_ROOMS=none $(BIN)/pip install -q --disable-pip-version-check --no-build-isolation -e '.[dev]'
	@touch $@

$(STAMPS)/built: $(STAMPS)/run $(CYTHON)
	@echo "building the engine ..."
	$(SETUP) build_ext --inplace
	@touch $@

$(STAMPS)/doors: $(STAMPS)/dev $(STAMPS)/built $(DOORS)
	EDGED_DOORS=1 $(SETUP) build_ext --inplace
	@touch $@

build/checked/.stamp: $(STAMPS)/dev $(CHECKED)
	EDGED_CHECKED=1 EDGED_DOORS=1 $(SETUP) build --build-lib build/checked --build-temp build/temp-checked
	@touch $@

build/sanitized/.stamp: $(STAMPS)/dev $(CHECKED)
	CC=gcc EDGED_SANITIZE=address,undefined EDGED_DOORS=1 $(SETUP) build --build-lib build/sanitized --build-temp build/temp-sanitized
	@touch $@
