#!/usr/bin/env bash
# The suite in parts, two more of them at a time than there are cores: while one waits for a process, a database or a
# store, another computes. Longest first, so that all cores are busy until the end.
#
#   infra/dev/test.sh infra/dev/beside.sh "not slow"                      the tests of a marker; "" is all of them
#   infra/dev/test.sh infra/dev/beside.sh "" "make lint" "make demo"      commands beside them
#
# A part is a run of pytest with its own collection, so a test belongs to exactly one: folders are named once, `-k scale`
# and `-k "not scale"` divide what runs on both deployments, and the last part is whatever no other one has. What a part
# prints comes when it has ended, with its seconds. The exit status is 0 if all parts were well. Parts share nothing but
# the services: every test that needs a name, a port or a folder draws its own.
set -euo pipefail
cd "$(dirname "$0")/../.."

marker=$1
shift
parts=(
  'tests/e2e -k scale'
  'tests/e2e -k "not scale"'
  'tests/failure'
  'tests/integration/flows'
  'tests/policy tests/unit/policy'
  'tests/integration --ignore-glob=*/flows --ignore-glob=*/retention --ignore-glob=*/imaging'
  'tests/unit --ignore=tests/unit/policy'
  'tests/integration/retention tests/integration/imaging'
)
rest='tests'
for folder in e2e failure integration policy unit; do rest+=" --ignore=tests/$folder"; done

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
# Processes that tests start would compile the product anew each time.
unset PYTHONDONTWRITEBYTECODE

run() { # number, command: what it prints is shown whole, once it has ended
  local status=0
  bash -c "$2" >"$logs/$1" 2>&1 </dev/null || status=$?
  [ "$status" != 5 ] || [[ $2 != *pytest* ]] || status=0 # no test of this part has the marker
  printf '\n=== %s (%s s, exit %s)\n%s\n' "$2" "$SECONDS" "$status" "$(cat "$logs/$1")"
  return "$status"
}
export -f run
export logs

number=0
{
  for command in "$@"; do printf '%s\0%s\0' "$((number++))" "$command"; done
  for part in "${parts[@]}" "$rest"; do
    printf '%s\0%s\0' "$((number++))" ".venv/bin/pytest -p no:cacheprovider -m \"$marker\" $part"
  done
} | xargs -0 -n 2 -P "$(($(getconf _NPROCESSORS_ONLN) + 2))" bash -c 'run "$@"' part
