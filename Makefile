# Two commands do everything on a fresh Debian or Ubuntu with Python 3.11 or newer: `make demo` and `make test`.
# pip is configured as usual, through its environment variables and configuration files.

VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements-dev.lock
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
PYTEST_ARGS ?=

# Choose another interpreter with `make PYTHON=python3.12 ...`; it counts when .venv is made.
PYTHON ?=
PYTHONS := $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(VENV)/.core ## Run the main job as a guided tour
	@$(BIN)/python tools/demo.py

.PHONY: test
test: $(VENV)/.dev ## Run all tests (PYTEST_ARGS="-k maps" for some)
	@$(BIN)/python -m pytest -n auto --dist loadgroup $(PYTEST_ARGS)

.PHONY: coverage
coverage: $(VENV)/.dev ## Run all tests, show what they miss, and fail where a room has too little
	@$(BIN)/python -m pytest -n auto --dist loadgroup --cov $(PYTEST_ARGS)
	@$(BIN)/python -m tools.check_coverage

.PHONY: lint
lint: $(VENV)/.dev ## Check style and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

.PHONY: types
types: $(VENV)/.dev ## Check types
	$(BIN)/python -m mypy

.PHONY: fixtures
fixtures: $(VENV)/.dev ## Compile tests/programs anew (needs clang-19)
	$(BIN)/python tools/build_fixtures.py

.PHONY: proofs
proofs: $(VENV)/.dev ## Prove the verifier's operators anew with z3, and write the table of proofs
	@$(BIN)/python -m pybpftime.verifier.proofs $(ARGS)
	@$(BIN)/python -m tools.gen_operator_docs

campaign-%: $(VENV)/.dev ## Run a long campaign: differential, objects, streams, ... (ARGS="--count 1000")
	@$(BIN)/python -m tools.campaign_$* $(ARGS)

.PHONY: vscode
vscode: ## Pack the extension for VS Code (needs npm)
	@mkdir -p build && cp -r docs/editors/vscode build/ && cp LICENSE build/vscode/ \
	  && cd build/vscode && npx --yes @vscode/vsce package --no-dependencies --skip-license --out ../pybpftime.vsix

.PHONY: lock
lock: ## Pin the newest versions of everything `make test` uses
	@$(find_python); rm -rf build/lock; "$$python" -m venv build/lock
	@build/lock/bin/python -m pip --quiet install --upgrade pip
	@build/lock/bin/python -m pip --quiet install --group dev '.[trace,verify,debug]'
	@{ echo "# Written by \`make lock\` with $$(build/lock/bin/python --version).  Do not edit."; \
	   build/lock/bin/python -m pip freeze --all --exclude pip --exclude pybpftime; } > $(LOCK)
	@rm -rf build pybpftime.egg-info; wc -l $(LOCK)

.PHONY: clean
clean: ## Remove everything that make and the tools made
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis htmlcov .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- the environment: three steps, each done once ---

$(VENV)/.made:
	@$(find_python); \
	if $(BIN)/python -c "$(usable)" 2>/dev/null && $(PIP) --version >/dev/null 2>&1; \
	then echo "using the $(VENV) that is there"; \
	else echo "making $(VENV) with $$($$python --version)"; "$$python" -m venv --clear $(VENV); fi
	@touch $@

$(VENV)/.core: $(VENV)/.made pyproject.toml $(LOCK)
	@echo "installing pybpftime into $(VENV)"
	@$(PIP) install --constraint $(LOCK) setuptools
	@$(PIP) install --constraint $(LOCK) --no-build-isolation --editable '.[trace,verify,debug]'
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	@echo "installing the development tools into $(VENV)"
	@$(PIP) install --requirement $(LOCK)
	@touch $@

# Shell text that sets $python to an interpreter that can make the environment, or ends with one line that says why
# there is none.  Debian's python3 knows venv but cannot fill one without the package python3-venv.
usable := import sys; sys.exit(sys.version_info < (3, 11))
define find_python
python=; reason="Python 3.11 or newer is needed, and none of '$(PYTHONS)' is: install python3 or set PYTHON=..."; \
for candidate in $(PYTHONS); do \
  "$$candidate" -c "$(usable)" 2>/dev/null || continue; \
  if "$$candidate" -c "import venv, ensurepip" 2>/dev/null; then python=$$candidate; break; fi; \
  reason="$$candidate cannot make virtual environments: run 'apt-get install python3-venv' first"; \
done; \
if [ -z "$$python" ]; then echo "make: $$reason" >&2; exit 1; fi
endef
