# Every command of the repository. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help install lab test check lint types imports notebooks coverage binder bench endure browser hub clean

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check install -c constraints.txt
# Twice the cores that it is meant for: many tests wait for a process or a socket.
WORKERS ?= 4
# By files, in their order, since the longest come first; tests/conftest.py groups some.
SIDE_BY_SIDE := -n $(WORKERS) --dist loadscope --no-loadscope-reorder
# nbval, which loads half of Jupyter into every process, is for `make notebooks`.
PYTEST := $(PY) -m pytest -p no:nbval $(SIDE_BY_SIDE)
# What is measured by `make coverage`: files, folders, or `-k WORD`.
TESTS ?= -m "not browser"
# A path from another environment would shadow the one made here.
unexport PYTHONPATH PYTHONHOME
# Without byte code, each of the hundred processes of the tests would compile again what it imports.
unexport PYTHONDONTWRITEBYTECODE

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(VENV)/.installed  ## make .venv with all that the other commands need

# Each stamp is renewed when the files change that say what is installed; the development tools
# come on top of what the notebooks need.
$(VENV)/.lab: pyproject.toml constraints.txt
	@python=$$(PYTHON="$(PYTHON)" .ci/find-python) || exit 1; \
	if ! $(PY) -m pip --version >/dev/null 2>&1; then \
		echo "making $(VENV) with $$python"; "$$python" -m venv --clear $(VENV); \
	fi
	@echo "installing hooknb and what its notebooks need: this can take some minutes"
	$(PIP) -e ".[lab]"
	@touch $@

$(VENV)/.installed: $(VENV)/.lab
	@echo "installing the development tools: this can take some minutes"
	$(PIP) -e ".[dev]"
	@touch $@

lab: $(VENV)/.lab  ## open JupyterLab on the first notebook (LAB_ARGS="--no-browser" and the like)
	exec $(PY) -m jupyterlab notebooks/00_quickstart.ipynb $$([ "$$(id -u)" != 0 ] || echo --allow-root) $(LAB_ARGS)

lint: install  ## ruff: rules and format
	$(PY) -m ruff check
	$(PY) -m ruff format --check

types: install
	$(PY) -m mypy

imports: install
	$(VENV)/bin/lint-imports

check: lint types imports  ## everything that reads the code without running it: lint, types, imports

# What the notebooks show is compared with what is saved in them. What the shell says of stores and
# ports is left out: it would be shown.
notebooks: install  ## run the notebooks by nbval
	env -u HOOKNB_STORE -u HOOKNB_HOST -u HOOKNB_PORT -u HOOKNB_PUBLIC_URL HOOKNB_DETERMINISTIC=1 \
		$(PY) -m pytest -q --nbval --nbval-current-env --nbval-cell-timeout=120 \
			--nbval-sanitize-with tests/nbval_sanitize.cfg notebooks

# The checks run side by side; the tests come last, so that their summary is the last line.
test: install  ## every check: lint, types, imports, notebooks, tests (WORKERS=4 processes)
	@$(MAKE) --no-print-directory -j 3 check notebooks
	@$(MAKE) --no-print-directory browser || [ "$$HOOKNB_REQUIRE_ALL" != 1 ]
	@$(MAKE) --no-print-directory hub || [ "$$HOOKNB_REQUIRE_ALL" != 1 ]
	$(PYTEST)

coverage: install  ## how much of the package the tests run (TESTS="tests/store" for a part of them)
	$(PY) -m coverage erase
	$(PY) -m coverage run -m pytest -p no:nbval $(SIDE_BY_SIDE) $(TESTS)
	$(PY) -m coverage combine --quiet
	$(PY) -m coverage report --skip-covered

binder:  ## repeat what mybinder.org does, without Docker (takes some minutes)
	.ci/binder

$(VENV)/.bench: $(VENV)/.installed
	$(PIP) -e ".[bench]"
	@touch $@

# Parts: http growth frames start memory engine panel. BENCH_ARGS=--million fills a larger store,
# --two-million a still larger one; --engines measures Node-RED and n8n too, which npm installs into
# .venv; --write renews the tables and the chart of the README.
bench: $(VENV)/.bench  ## how fast it is beside other programs (BENCH="http growth", BENCH_ARGS=--help)
	@.ci/need wrk
	@.ci/need chromium
	@$(if $(findstring --engines,$(BENCH_ARGS)),.ci/need engines)
	$(PY) tests/bench/run.py $(BENCH) $(BENCH_ARGS)

# The short form is a part of `make test`. ENDURE_ARGS="--minutes 1" makes the load shorter;
# ENDURE_ARGS=--write renews the table of the README.
endure: install  ## what hooks endure: kills, crowds, clocks, nonsense, load (under 15 minutes)
	$(PY) -m pytest -p no:nbval -n0 -q tests/endure --endure $(ENDURE_ARGS)

browser: install  ## see to a Chromium for the browser tests
	@.ci/need chromium

hub: install  ## see to JupyterHub's proxy, for the tests that run a hub
	@.ci/need hub

clean:  ## remove .venv, built files and caches (never .hooknb: it holds what hooks received)
	rm -rf $(VENV) dist .coverage* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
