# Each target sets up what it needs by itself; a second run starts in seconds.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

ENVIRONMENT ?= local
VENV := .venv
PYTHON := $(VENV)/bin/python
UV := $(VENV)/bin/uv
# The newest supported interpreter that really runs (a version manager may list one that does not).
BASE_PYTHON := $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)

.PHONY: help
help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

# --- set-up ----------------------------------------------------------------------------------------
$(VENV)/.uv: requirements/bootstrap.txt
	@test -n "$(BASE_PYTHON)" || { echo "menulens needs Python 3.11, 3.12 or 3.13 on PATH."; exit 1; }
	$(BASE_PYTHON) -m venv $(VENV)
	$(PYTHON) -m pip install --quiet --require-hashes -r requirements/bootstrap.txt
	touch $@

$(VENV)/.ready: $(VENV)/.uv requirements/all.txt
	$(UV) pip sync --quiet --python $(PYTHON) --require-hashes requirements/all.txt
	$(UV) pip install --quiet --python $(PYTHON) --require-hashes -r requirements/bootstrap.txt
	$(UV) pip install --quiet --python $(PYTHON) --no-deps --no-build-isolation --editable .
	touch $@

# The serving container runs TensorFlow 2.20, the training container 2.21: the local cloud keeps to that.
.venv-serving/.ready: $(VENV)/.uv requirements/serving.txt
	$(BASE_PYTHON) -m venv --without-pip .venv-serving
	$(UV) pip sync --quiet --python .venv-serving/bin/python --require-hashes requirements/serving.txt
	touch $@

# The peers that benchmarks compare with; nothing else needs them.
.venv-bench/.ready: $(VENV)/.uv requirements/bench.txt
	$(BASE_PYTHON) -m venv --without-pip .venv-bench
	$(UV) pip sync --quiet --python .venv-bench/bin/python --require-hashes requirements/bench.txt
	touch $@

node_modules/.ready: package.json package-lock.json
	@command -v npm >/dev/null || { echo "menulens needs Node.js 20 or newer with npm on PATH."; exit 1; }
	npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	touch $@

.PHONY: setup
setup: $(VENV)/.ready .venv-serving/.ready node_modules/.ready ## Install everything, pinned and checked by hash

# --- what people run -------------------------------------------------------------------------------
.PHONY: demo
demo: setup ## Run the whole chain on this machine and show the result (PHOTOS=folder: your own photos)
	$(PYTHON) -m demo $(if $(PHOTOS),--photos "$(PHOTOS)")

.PHONY: synth
synth: setup ## Write the CloudFormation templates to cdk.out (ENVIRONMENT=name)
	node_modules/.bin/cdk synth --quiet --context environment=$(ENVIRONMENT)

.PHONY: deploy
deploy: setup ## Deploy an environment to the AWS account of your credentials (ENVIRONMENT=name)
	@test "$(ENVIRONMENT)" != local || { echo "ENVIRONMENT=local is the local cloud: menulens local up. For an account: make deploy ENVIRONMENT=production"; exit 1; }
	node_modules/.bin/cdk deploy --all --context environment=$(ENVIRONMENT)

# --- checks ----------------------------------------------------------------------------------------
.PHONY: format
format: $(VENV)/.ready ## Format the code
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

.PHONY: check
check: setup ## Format, lint, types, import rules, synth with cdk-nag, cfn-lint, state machine linters
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PYTHON) -m tests.tools.lint_templates

.PHONY: unit
unit: setup ## Run the unit tests (under a minute)
	$(PYTHON) -m pytest --numprocesses 2 tests/unit

.PHONY: test
test: setup ## Run every test
	$(PYTHON) -m pytest --numprocesses 2

.PHONY: bench
bench: setup .venv-bench/.ready ## Measure every speed that the README states, beside its peers
	$(PYTHON) -m benchmarks

.PHONY: lock
lock: $(VENV)/.uv ## Renew the locks after a change of requirements
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --override requirements/overrides.txt requirements.txt -o requirements/all.txt
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes requirements/deploy.in -c requirements/all.txt -o requirements/deploy.txt
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes requirements/lambda.in -c requirements/all.txt -o requirements/lambda.txt
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes requirements/serving.in -o requirements/serving.txt
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes requirements/bench.in -o requirements/bench.txt
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes requirements/bootstrap.in -o requirements/bootstrap.txt

.PHONY: clean
clean: ## Remove what was made (the local cloud is taken down first)
	@test ! -x $(VENV)/bin/menulens || $(VENV)/bin/menulens local down
	rm -rf cdk.out .menulens build *.egg-info .pytest_cache .hypothesis .mypy_cache .ruff_cache
