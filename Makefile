# Commands for development and use. `make help` lists them.

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

help: ## List these commands
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: $(INSTALLED) ## Start a demonstration on http://127.0.0.1:8000 (PORT=8001 and DATA=folder change it)
	@exec $(BIN)/deployctl up --demo --port "$(PORT)" --data "$(DATA)"

up: $(INSTALLED) ## Start your own installation in DATA
	@exec $(BIN)/deployctl up --port "$(PORT)" --data "$(DATA)"

# Tests of the Prisma CLI use the machine's Node.js, otherwise the packaged one.
test: $(INSTALLED_DEV) ## Install test dependencies and run all tests (TESTS="tests/cli -x" runs some)
	@sh .make/find-pgbackrest
	@DEPLOYCTL_CHROMIUM="$$(sh .make/find-chromium $(BIN)/python)" && export DEPLOYCTL_CHROMIUM && \
	DEPLOYCTL_PGBOUNCER="$$(sh .make/find-pgbouncer)" && export DEPLOYCTL_PGBOUNCER && \
	PATH="$$PATH:$(CURDIR)/$(BIN)" && export PATH && \
	exec $(BIN)/python -m pytest --numprocesses auto --dist worksteal $(TESTS)

faults: $(INSTALLED_DEV) ## Test every fault in docs/faults.md; prints one line each (about 8 minutes)
	@DEPLOYCTL_CHROMIUM="$$(sh .make/find-chromium $(BIN)/python)" && export DEPLOYCTL_CHROMIUM && \
	PATH="$$PATH:$(CURDIR)/$(BIN)" && export PATH && \
	exec $(BIN)/python -m pytest -p tests.faults.report -m fault --numprocesses 2 --dist worksteal $(TESTS)

versions: $(INSTALLED_DEV) ## Test every operation on PostgreSQL 13 to 18; prints one line each
	@PATH="$$PATH:$(CURDIR)/$(BIN)" && export PATH && exec $(BIN)/python -m tests.versions

roundtrip: $(INSTALLED_DEV) ## Back up and restore a 1 GB database and compare it (SIZE=100 for 100 MB)
	@exec $(BIN)/python -m tests.roundtrip --size "$(SIZE)"

lint: $(INSTALLED_DEV) ## Check format, rules, types, floors, templates, migrations and English
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	SECRET_KEY=lint $(BIN)/mypy deployctl checklists signoff monitoring tests .make/prose.py
	$(BIN)/lint-imports
	$(BIN)/djlint --quiet --lint templates
	SECRET_KEY=lint $(BIN)/python manage.py makemigrations --check --dry-run --skip-checks
	@$(MAKE) --no-print-directory prose

prose: $(INSTALLED_DEV) ## Check spelling and English (PATHS="deployctl/runs" checks some files)
	$(BIN)/codespell $(PATHS)
	$(BIN)/python .make/prose.py $(PATHS)

format: $(INSTALLED_DEV) ## Format Python files
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

docs: $(INSTALLED) ## Update the generated tables in docs/operations.md and docs/faults.md
	@$(BIN)/python -m deployctl.operations.catalogue_page
	@$(BIN)/python -m tests.faults.page

lock: $(VENV)/.created ## Lock requirements*.in with hashes
	$(PIP) install uv
	for name in requirements requirements-dev; do \
		UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --universal --generate-hashes \
			--no-emit-index-url --python-version 3.11 $$name.in --output-file $$name.txt || exit 1; \
	done

clean: ## Remove the virtual environment and caches; the data folder stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache test-results *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp file for each step, so that a second run does nothing.
$(VENV)/.created:
	@sh .make/make-venv $(VENV)
	@touch $@

$(INSTALLED): requirements.txt pyproject.toml $(VENV)/.created
	@echo "Installing the dependencies of deployctl into $(VENV) …"
	@$(PIP) install --require-hashes --requirement requirements.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(INSTALLED_DEV): requirements-dev.txt $(INSTALLED)
	@echo "Installing the dependencies of the tests into $(VENV) …"
	@$(PIP) install --require-hashes --requirement requirements-dev.txt
	@touch $@
