#!/usr/bin/env bash
# The suite in parts, two more of them at a time than there are cores: while one waits for a process, a database or a
# store, another computes. Longest first, so that all cores are busy until the end.
#
#   infra/dev/test.sh infra/dev/beside.sh "not slow"                      the tests of a marker; "" is all of them
#   infra/dev/test.sh infra/dev/beside.sh "" "make lint" "make demo"      commands beside them
#
# A part is a run of pytest with its own collection, so a test belongs to exactly one: files and folders are named once,
# `-k scale` and `-k "not scale"` divide what runs on both deployments, and what no part names is in a folder's or in the
# last one. A command beside them comes after the longest parts. What a part prints comes when it has ended, with its
# seconds. The exit status is 0 if all parts were well. Parts share nothing but the services: every test that needs a
# name, a port or a folder draws its own.
set -euo pipefail
cd "$(dirname "$0")/../.."

marker=$1
shift
files() { # folder, names...: their files
  local folder=$1 name
  shift
  for name in "$@"; do printf 'tests/%s/test_%s.py ' "$folder" "$name"; done
}

without() { # paths...: the whole of tests/ but these, or of a folder that is named first
  local path
  printf '%s' "$1"
  shift
  for path in "$@"; do printf ' --ignore=%s' "$path"; done
}

# Who starts a Nightlight of its own does not keep the one running, idle, that others share. Those that two or three files
# share come last, since they run until the end.
own=$(files e2e erased_without_residue imports lists local revocation variants hostile_ids proofs_revoked \
  policy_rollout rerender all_is_well receipts scrapers)
backlogs=$(files failure backlog erasure_in_a_backlog)
stores=$(files failure backfill erasure erasure_interrupted erasure_locked)
# shellcheck disable=SC2086 # names of files hold no spaces
{
  shared=$(without tests/e2e $own)
  killed=$(without tests/failure $backlogs $stores)
  rest=$(without tests tests/{e2e,failure,integration,policy,unit})
}
longest=(
  "$killed"
  "$own -k \"not scale\""
  'tests/policy tests/unit/policy'
  "$own -k scale"
  "$backlogs"
  'tests/integration/flows'
)
parts=(
  "$shared -k scale"
  "$shared -k \"not scale\""
  'tests/integration --ignore-glob=*/flows --ignore-glob=*/retention --ignore-glob=*/imaging'
  'tests/unit --ignore=tests/unit/policy'
  "$stores"
  'tests/integration/retention tests/integration/imaging'
  "$rest"
)

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
  pytest='.venv/bin/pytest -p no:cacheprovider -m'
  for part in "${longest[@]}"; do printf '%s\0%s\0' "$((number++))" "$pytest \"$marker\" $part"; done
  for command in "$@"; do printf '%s\0%s\0' "$((number++))" "$command"; done
  for part in "${parts[@]}"; do printf '%s\0%s\0' "$((number++))" "$pytest \"$marker\" $part"; done
} | xargs -0 -n 2 -P "$(($(getconf _NPROCESSORS_ONLN) + 2))" bash -c 'run "$@"' part
