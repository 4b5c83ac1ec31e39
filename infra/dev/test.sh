#!/usr/bin/env bash
# Run a command with the real services up, and stop afterwards only what this call started:
#
#   infra/dev/test.sh .venv/bin/pytest tests/integration
#
# A service whose NIGHTLIGHT_TEST_* URL is set already is used as it is and never started or stopped here.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

wanted=()
[ -n "${NIGHTLIGHT_TEST_DATABASE_URL:-}" ] || wanted+=(postgres)
[ -n "${NIGHTLIGHT_TEST_BROKER_URL:-}" ] || wanted+=(rabbitmq)
[ -n "${NIGHTLIGHT_TEST_REDIS_URL:-}" ] || wanted+=(redis)
[ -n "${NIGHTLIGHT_TEST_S3_URL:-}" ] || wanted+=(s3)

started=()
stop() { [ ${#started[@]} -eq 0 ] || "$here/services.sh" stop "${started[@]}"; }
trap stop EXIT

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  "$here/services.sh" tools
fi

if [ ${#wanted[@]} -gt 0 ]; then
  names=$("$here/services.sh" start "${wanted[@]}")
  # shellcheck disable=SC2206 # names of services hold no spaces
  started=($names)
fi
while IFS= read -r line; do
  name=${line#export }
  name=${name%%=*}
  [ -n "${!name:-}" ] || eval "$line"
done < <("$here/services.sh" env)

# With the services here, a test that skips for want of one has missed its point.
export NIGHTLIGHT_TEST_STRICT=1
"$@"
