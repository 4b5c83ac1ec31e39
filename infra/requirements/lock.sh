#!/usr/bin/env bash
# Write the hash-pinned requirement files again from pyproject.toml. Run it after a dependency changes:
#   make lock
# One file serves every supported Python (3.11 and newer). Index addresses are never written. The files are
# whole, and are installed with --no-deps: overrides.in leaves out what a dependency asks for in vain.
set -euo pipefail
cd "$(dirname "$0")/../.."
lock() { uv pip compile "$@" --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-annotate --no-header --quiet --overrides infra/requirements/overrides.in; }
# The client's own distribution is installed from the tree, and never from an index (overrides.in leaves it out): what it
# needs is read from its pyproject.toml.
client=clients/python/pyproject.toml
lock pyproject.toml "$client" --extra dev --extra local -o infra/requirements/dev.txt
lock "$client" --extra local -c infra/requirements/dev.txt -o infra/requirements/client.txt
lock pyproject.toml "$client" --extra pkcs11 --extra tracing --extra local --overrides infra/requirements/overrides-server.in \
  -c infra/requirements/dev.txt -o infra/requirements/server.txt
# What an installed server needs more for the forms of membership programmes.
lock pyproject.toml "$client" --extra pkcs11 --extra tracing --extra local --extra exchange --overrides infra/requirements/overrides-server.in \
  -c infra/requirements/dev.txt -o infra/requirements/exchange.txt
for extra in bench bench-images bench-face parity; do
  lock pyproject.toml "$client" --extra dev --extra local --extra "$extra" -c infra/requirements/dev.txt -o "infra/requirements/$extra.txt"
done
# Of ultralytics, imgaug and invisible-watermark only pictures, networks and single modules are used.
lock pyproject.toml "$client" --extra dev --extra local --extra bench-watermark --overrides infra/requirements/overrides-watermark.in \
  -c infra/requirements/dev.txt -o infra/requirements/bench-watermark.txt
# thumbor wants an older Pillow than ours: the bench gives it an environment of its own.
printf 'thumbor>=7.8\n' | lock - -o infra/requirements/bench-thumbor.txt
printf 'hatchling>=1.27\n' | lock - -c infra/requirements/dev.txt -o infra/requirements/build.txt
# Whoever sets Nightlight up builds nothing: all of it comes as wheels, on every Python that the README promises.
for python in 3.11 3.12 3.13; do
  for name in dev server exchange build parity; do
    uv pip install --dry-run --quiet --only-binary :all: --no-deps --require-hashes --python-version "$python" \
      --target "$(mktemp -d)" -r "infra/requirements/$name.txt"
  done
done
