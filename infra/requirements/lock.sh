#!/usr/bin/env bash
# Write the hash-pinned requirement files again from pyproject.toml. Run it after a dependency changes:
#   make lock
# One file serves every supported Python (3.11 and newer). Index addresses are never written.
set -euo pipefail
cd "$(dirname "$0")/../.."
lock() { uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-annotate --no-header --quiet "$@"; }
lock --extra dev -o infra/requirements/dev.txt
lock --extra server -c infra/requirements/dev.txt -o infra/requirements/server.txt
lock --extra dev --extra bench -c infra/requirements/dev.txt -o infra/requirements/bench.txt
printf 'hatchling>=1.27\n' | uv pip compile - --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-annotate --no-header --quiet -c infra/requirements/dev.txt -o infra/requirements/build.txt
