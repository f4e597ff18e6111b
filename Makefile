# Every command of the repository. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help install lab test check lint binder bench browser hub clean

VENV := .venv
PY := $(VENV)/bin/python
# A path from another environment would shadow the one made here.
unexport PYTHONPATH PYTHONHOME

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(VENV)/.installed  ## make .venv with all that the other commands need

$(VENV)/.installed: pyproject.toml constraints.txt
	@python=$$(PYTHON="$(PYTHON)" .ci/find-python) || exit 1; \
	if ! $(PY) -m pip --version >/dev/null 2>&1; then \
		echo "making $(VENV) with $$python"; "$$python" -m venv --clear $(VENV); \
	fi
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,query]"
	@touch $@

lab: install  ## open JupyterLab on the first notebook (LAB_ARGS="--no-browser" and the like)
	exec $(PY) -m jupyterlab notebooks/00_quickstart.ipynb $$([ "$$(id -u)" != 0 ] || echo --allow-root) $(LAB_ARGS)

lint: install  ## ruff: rules and format
	$(PY) -m ruff check
	$(PY) -m ruff format --check

check: lint  ## everything that reads the code without running it: lint, types, imports
	$(PY) -m mypy
	$(VENV)/bin/lint-imports

# The notebooks are compared with what they show as they are saved, and then, by one of the tests,
# one run with the next. What the shell says of stores and ports is left out: it would be shown.
# The tests come last: their summary is the last line.
test: install check  ## every check: lint, types, imports, notebooks, tests
	@$(MAKE) --no-print-directory browser || [ "$$HOOKNB_REQUIRE_BROWSER" != 1 ]
	@$(MAKE) --no-print-directory hub || [ "$$HOOKNB_REQUIRE_HUB" != 1 ]
	env -u HOOKNB_STORE -u HOOKNB_HOST -u HOOKNB_PORT -u HOOKNB_PUBLIC_URL HOOKNB_DETERMINISTIC=1 \
		$(PY) -m pytest --nbval --nbval-current-env --nbval-cell-timeout=120 \
			--nbval-sanitize-with tests/nbval_sanitize.cfg notebooks
	$(PY) -m pytest

binder:  ## repeat what mybinder.org does, without Docker (takes some minutes)
	.ci/binder

bench: install  ## print how fast it is beside bare servers (ratios)
	@.ci/need wrk
	@.ci/need chromium
	$(PY) tests/bench/run.py

browser: install  ## see to a Chromium for the browser tests
	@.ci/need chromium

hub: install  ## see to JupyterHub's proxy, for the tests that run a hub
	@.ci/need hub

clean:  ## remove .venv, built files and caches (never .hooknb: it holds what came)
	rm -rf $(VENV) dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
