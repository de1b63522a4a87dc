# Everyday commands. `make help` lists them.

PORT ?= 8000
DATA ?= .deployctl
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
TESTS ?=
SIZE ?= 1000
PATHS ?= $(wildcard *.md) docs examples templates deployctl checklists signoff monitoring tests bench manage.py .make

.DEFAULT_GOAL := help
.PHONY: help run up test faults versions roundtrip lint prose format docs lock clean

help: ## List the commands
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: $(INSTALLED) ## Start the demo on http://127.0.0.1:8000 (change it with PORT=8001 and DATA=folder)
	@exec $(BIN)/deployctl up --demo --port "$(PORT)" --data "$(DATA)"

up: $(INSTALLED) ## Start an installation without demo data in DATA
	@exec $(BIN)/deployctl up --port "$(PORT)" --data "$(DATA)"

# PATH ends with the Node.js of the Python packages, which the Prisma CLI uses if none is installed.
test: $(INSTALLED_DEV) ## Run all tests (TESTS="tests/cli -x" runs some)
	@sh .make/find-pgbackrest
	@DEPLOYCTL_CHROMIUM="$$(sh .make/find-chromium $(BIN)/python)" && export DEPLOYCTL_CHROMIUM && \
	DEPLOYCTL_PGBOUNCER="$$(sh .make/find-pgbouncer)" && export DEPLOYCTL_PGBOUNCER && \
	PATH="$$PATH:$(CURDIR)/$(BIN)" && export PATH && \
	exec $(BIN)/python -m pytest --numprocesses auto --dist worksteal $(TESTS)

faults: $(INSTALLED_DEV) ## Run the fault injection tests, with one line per fault (some 8 minutes)
	@DEPLOYCTL_CHROMIUM="$$(sh .make/find-chromium $(BIN)/python)" && export DEPLOYCTL_CHROMIUM && \
	PATH="$$PATH:$(CURDIR)/$(BIN)" && export PATH && \
	exec $(BIN)/python -m pytest -p tests.faults.report -m fault --numprocesses 2 --dist worksteal $(TESTS)

versions: $(INSTALLED_DEV) ## Run every operation on PostgreSQL 13 to 18, with one line per version
	@PATH="$$PATH:$(CURDIR)/$(BIN)" && export PATH && exec $(BIN)/python -m tests.versions

roundtrip: $(INSTALLED_DEV) ## Back up and restore a 1 GB database with every kind of object (SIZE=100 for 100 MB)
	@exec $(BIN)/python -m tests.roundtrip --size "$(SIZE)"

lint: $(INSTALLED_DEV) ## Check format, rules, types, layers, templates, migrations and prose
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	SECRET_KEY=lint $(BIN)/mypy deployctl checklists signoff monitoring tests .make/prose.py
	$(BIN)/lint-imports
	$(BIN)/djlint --quiet --lint templates
	SECRET_KEY=lint $(BIN)/python manage.py makemigrations --check --dry-run --skip-checks
	@$(MAKE) --no-print-directory prose

prose: $(INSTALLED_DEV) ## Check spelling and style (PATHS="deployctl/runs" checks some files)
	$(BIN)/codespell $(PATHS)
	$(BIN)/python .make/prose.py $(PATHS)

format: $(INSTALLED_DEV) ## Format Python files
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

docs: $(INSTALLED) ## Update the generated tables in docs: operations and faults
	@$(BIN)/python -m deployctl.operations.catalogue_page
	@$(BIN)/python -m tests.faults.page

lock: $(VENV)/.created ## Pin the dependencies of requirements*.in, with hashes
	$(PIP) install uv
	for name in requirements requirements-dev; do \
		UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --universal --generate-hashes \
			--no-emit-index-url --python-version 3.11 $$name.in --output-file $$name.txt || exit 1; \
	done

clean: ## Remove the virtual environment and caches, but not the data folder
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache test-results *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Each step has a stamp file, so that a second run does nothing.
$(VENV)/.created:
	@sh .make/make-venv $(VENV)
	@touch $@

$(INSTALLED): requirements.txt pyproject.toml $(VENV)/.created
	@echo "Installing deployctl and its dependencies into $(VENV) …"
	@$(PIP) install --require-hashes --requirement requirements.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(INSTALLED_DEV): requirements-dev.txt $(INSTALLED)
	@echo "Installing the development dependencies into $(VENV) …"
	@$(PIP) install --require-hashes --requirement requirements-dev.txt
	@touch $@
