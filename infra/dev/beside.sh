#!/usr/bin/env bash
# The suite as four runs of pytest beside each other: tests that start processes and speak HTTP, two parts of those that
# meet a database, a store or a sandbox, and all others. Two keep two cores busy while the others wait for a service.
# What the first three print comes when the last has ended; the exit status is 0 if all were well.
#
#   infra/dev/test.sh infra/dev/beside.sh .venv/bin/pytest -m "not slow"
#
# They share nothing but the services: every test that needs a name, a port or a folder draws its own.
set -euo pipefail

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

"$@" -p no:cacheprovider tests/e2e >"$logs/1-processes" 2>&1 &
processes=$!
"$@" -p no:cacheprovider tests/integration/flows tests/integration/retention tests/integration/imaging \
  >"$logs/2-flows" 2>&1 &
flows=$!
"$@" -p no:cacheprovider tests/integration tests/failure --ignore=tests/integration/flows \
  --ignore=tests/integration/retention --ignore=tests/integration/imaging >"$logs/3-services" 2>&1 &
services=$!
failed=0
"$@" --ignore=tests/e2e --ignore=tests/failure --ignore=tests/integration || failed=$?
for part in "$processes" "$flows" "$services"; do
  wait "$part" || failed=$?
done
cat "$logs"/*
[ "$failed" = 0 ]
