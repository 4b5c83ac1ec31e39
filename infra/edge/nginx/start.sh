#!/bin/sh
# Start nginx as the edge in a container of its official image: fill in the template, and run in the foreground. Everything
# that is written goes to /tmp and to the cache's folder, so the root may be read-only and the user any.
set -eu
here=$(dirname "$0")
mkdir -p "$NIGHTLIGHT_EDGE_CACHE/revoked/a"
# shellcheck disable=SC2016 # names for envsubst, which leaves nginx's own variables alone
envsubst "$(env | sed -n 's/^\(NIGHTLIGHT_[A-Z0-9_]*\)=.*/${\1}/p')" \
  <"$here/nightlight.conf.template" >/tmp/nightlight.conf
exec nginx -e stderr -c "$here/nginx.conf"
