# Nightlight's verbs. `make demo` and `make test` need nothing but Python 3.11 or newer, make and bash: they
# make their own environment in .venv from requirements pinned by hash.
#
#   make setup          .venv with everything, and the `nightlight` command in it
#   make demo           run the main job on the embedded default; SERVE=1 stays up
#   make check          all that has to pass before a change lands: lint, demo, both wheels and every test, side by side
#   make test           the tests, on both deployments; starts the real services it needs, stops what it started
#   make test-slow      the rest of the tests: what is killed and cut off, and what takes long for what it finds
#   make test-unit      the tests that need nothing
#   make test-slow-machine  tests/failure with 30 % of one processor and busy loops beside; TESTS=, PERCENT=, BUSY=
#   make test-wheels    builds both wheels and tries them in environments that hold nothing else; follows README and the
#                       tutorial there, from an empty folder (some four minutes)
#   make test-image     builds the container images and runs them as infra/compose.yaml says (some ten minutes; root)
#   make chaos          faults under load, with observers (ten minutes); ARGS="--minutes 60 --seed 1 --report chaos.html"
#   make lint           ruff, mypy, import-linter, codespell, shellcheck, hadolint, the generated docs
#   make format         what ruff can mend by itself
#   make bench          CPU and memory per stage, beside libjpeg-turbo and sharp
#   make bench-face     how well the strongest attacker that a laptop has finds people by each tier; ARGS="--faces FOLDER"
#   make bench-composites  faces that are easily missed, and what a rendition keeps of them; ARGS="--faces FOLDER"
#   make bench-watermark  the invisible watermark under attack, beside others; ARGS="--peers= --unmarked 100000"
#   make bench-matching  perceptual hashes, and the search among ten million of them
#   make bench-takedown copies found of a picture, time from a notice to its copies dark, false matches; ARGS=--quick
#   make parity         try to tell minors from adults by all that an outsider sees (some five minutes); ARGS="--seeds 20"
#   make parity-over-time  the same by watching a thousand profiles over months of birthdays (some ten minutes)
#   make api-fuzz       requests made from the OpenAPI document, with every check of schemathesis (a minute)
#   make bench-delivery  decisions and pictures over HTTP, CPU a request; ARGS=--flat (to 10^6 profiles), ARGS=--edge
#                       (python bench/avatars.py: a platform's avatar URLs behind `nightlight edge nginx`)
#   make backfill       import a bucket of 10,000 objects, interrupted, by real workers (some ten minutes)
#   make colour         pictures of every kind of colour beside Chromium, libvips, avifdec and heif-convert (two minutes);
#                       ARGS=--write writes docs/reference/colour.md, ARGS="--folder FOLDER" takes other files
#   make fuzz           20,000 mutants of images against the sandboxed decoder (some two minutes)
#   make bench-hostile  what hostile pictures cost; ARGS=--behind: an honest picture behind a hundred of them
#   make bench-queue    the embedded queue: messages a second, and what becomes of those whose receiver is killed
#   make bench-rerender an upload's time to ready while every picture is rendered again; ARGS="--stack scale"
#   make bench-policy   load, prove and ask, beside four other policy engines; ARGS=--full compares everything
#   make docs           write the generated reference pages again
#   make services-up    PostgreSQL, RabbitMQ, Redis and an S3 server on 127.0.0.1;  make services-down
#   make lock           write infra/requirements/*.txt again, and see that wheels are enough (needs uv)

SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11,$(shell $(p) -c 'import sys; print("$(p)" if sys.version_info >= (3, 11) else "")' 2>/dev/null)))
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SERVICES := infra/dev/services.sh

.PHONY: help setup check demo test test-slow test-unit test-slow-machine test-wheels test-image lint format bench bench-face bench-composites bench-watermark bench-matching bench-delivery parity parity-over-time api-fuzz backfill colour fuzz bench-hostile bench-queue bench-rerender bench-policy docs services-up services-down services-status lock clean bench-takedown chaos

help:
	@sed -n '2,/^$$/s/^# \{0,1\}//p' Makefile

setup: $(STAMP)

$(STAMP): infra/requirements/dev.txt pyproject.toml clients/python/pyproject.toml clients/django/pyproject.toml
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer is needed; name one with make PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) has no venv module (Debian: apt-get install python3-venv)" >&2; exit 1; }
	@echo "making $(VENV) with $$($(PYTHON) --version) ..."
	@[ -x $(BIN)/python ] || "$(PYTHON)" -m venv $(VENV)
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet --only-binary :all: --no-deps --require-hashes -r infra/requirements/dev.txt
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable clients/python --editable clients/django --editable .
	@touch $@

demo: setup
	@$(BIN)/nightlight demo $(if $(SERVE),--serve)

check: setup
	@infra/dev/test.sh infra/dev/beside.sh "" "make test-wheels" "make lint" "make demo"

test: setup
	@infra/dev/test.sh $(if $(TESTS),$(BIN)/pytest $(TESTS),infra/dev/beside.sh "not slow")

test-slow: setup
	@infra/dev/test.sh infra/dev/beside.sh slow

test-unit: setup
	@$(BIN)/pytest tests/unit

test-slow-machine: setup
	@BUSY=$(or $(BUSY),2) infra/dev/test.sh infra/dev/throttle.sh $(or $(PERCENT),30) $(BIN)/pytest $(or $(TESTS),tests/failure)

test-wheels: setup
	@NIGHTLIGHT_TEST_WHEELS=1 $(BIN)/pytest -s tests/packaging

test-image: setup
	@infra/dev/image.sh
	@eval "$$(infra/dev/image.sh env)" && infra/dev/test.sh $(BIN)/pytest -s tests/packaging/test_image.py

chaos: setup
	@$(BIN)/python -m tests.chaos $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python infra/dev/public_names.py --check
	$(BIN)/codespell
	$(BIN)/shellcheck docs/policy/ci/*.sh infra/dev/*.sh infra/edge/nginx/*.sh infra/postgres/*.sh infra/requirements/lock.sh .ci/run
	@if [ -x $(BIN)/hadolint ]; then $(BIN)/hadolint infra/Dockerfile; else echo "hadolint: not for this platform, skipped"; fi
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec infra/compose.yaml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows docs/policy/ci/github-actions.yaml
	$(BIN)/python infra/helm/values_schema.py --check
	$(BIN)/python infra/dashboards/make_dashboards.py --check
	$(BIN)/nightlight policy check policies
	$(BIN)/nightlight policy mutate policies
	$(BIN)/nightlight policy schema policies --check
	$(BIN)/python docs/generate.py --check

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet --no-deps --require-hashes -r infra/requirements/bench-images.txt
	@$(BIN)/python bench/imaging.py $(ARGS)

bench-face: setup
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet --no-deps --require-hashes -r infra/requirements/bench-face.txt
	@$(BIN)/python bench/face.py $(ARGS)

bench-composites: setup
	@PYTHONPATH=. $(BIN)/python bench/composites.py $(ARGS)

bench-watermark: setup
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet --no-deps --require-hashes -r infra/requirements/bench-watermark.txt
	@$(BIN)/python bench/watermark.py $(ARGS)

bench-matching: setup
	@$(BIN)/python bench/matching.py $(ARGS)

bench-takedown: setup
	@PYTHONPATH=. $(BIN)/python bench/takedown.py $(ARGS)

bench-delivery: setup
	@$(if $(filter --flat --edge,$(ARGS)),infra/dev/test.sh) $(BIN)/python bench/delivery.py $(ARGS)

parity: setup
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet --no-deps --require-hashes -r infra/requirements/parity.txt
	@$(BIN)/python -m tests.parity $(ARGS)

parity-over-time: setup
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet --no-deps --require-hashes -r infra/requirements/parity.txt
	@$(BIN)/python -m tests.parity.over_time $(ARGS)

api-fuzz: setup
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet --no-deps --require-hashes -r infra/requirements/parity.txt
	@$(BIN)/python -m tests.parity.requests $(ARGS)

colour: setup
	@$(BIN)/python -m tests.colour $(ARGS)

fuzz: setup
	@$(BIN)/python bench/fuzz.py $(ARGS)

bench-hostile: setup
	@$(if $(findstring --behind,$(ARGS)),infra/dev/test.sh) $(BIN)/python bench/hostile.py $(ARGS)

backfill: setup
	@NIGHTLIGHT_TEST_SLOW=1 infra/dev/test.sh $(BIN)/pytest tests/failure/test_backfill.py

bench-queue: setup
	@PYTHONPATH=. $(BIN)/python bench/redelivery.py $(ARGS)

bench-rerender: setup
	@$(if $(findstring scale,$(ARGS)),infra/dev/test.sh) $(BIN)/python bench/rerender.py $(ARGS)

bench-policy: setup
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet --no-deps --require-hashes -r infra/requirements/bench.txt
	@$(BIN)/python bench/policy.py $(ARGS)

docs: setup
	@$(BIN)/python docs/generate.py
	@$(BIN)/python docs/policy/pictures.py
	@$(BIN)/python -m tests.support.guide --write

services-up:
	@$(SERVICES) start >/dev/null
	@$(SERVICES) env

services-down:
	@$(SERVICES) stop

services-status:
	@$(SERVICES) status

lock: setup
	@PATH="$$PWD/$(BIN):$$PATH" infra/requirements/lock.sh

clean:
	rm -rf $(VENV) demo var dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache bench/node_modules
