#!/usr/bin/env bash
# A pre-commit hook: shows in Markdown what the policy files being committed change for whom.
# It never refuses a commit for what changes (that is for review), only for packs that do not hold.
set -euo pipefail
cd "$(git rev-parse --show-toplevel)"
nightlight=.venv/bin/nightlight
"$nightlight" policy check policies
git rev-parse --verify --quiet HEAD:policies >/dev/null || exit 0
status=0
"$nightlight" policy diff HEAD:policies policies --markdown || status=$?
case $status in
  0 | 3 | 4) exit 0 ;;
  *) exit "$status" ;;
esac
