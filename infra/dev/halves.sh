#!/usr/bin/env bash
# The whole suite as two runs of pytest beside each other, for two cores: tests that start processes and speak HTTP, and
# all others. What the first prints comes when the second has ended; the exit status is 0 if both were well.
#
#   infra/dev/test.sh infra/dev/halves.sh .venv/bin/pytest
#
# They share nothing but the services: every test that needs a name, a port or a folder draws its own.
set -euo pipefail

log=$(mktemp)
trap 'rm -f "$log"' EXIT

"$@" -p no:cacheprovider tests/e2e tests/failure >"$log" 2>&1 &
processes=$!
others=0
"$@" -p no:cacheprovider --ignore=tests/e2e --ignore=tests/failure || others=$?
started=0
wait "$processes" || started=$?
cat "$log"
[ "$others" = 0 ] && [ "$started" = 0 ]
