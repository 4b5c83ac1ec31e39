#!/usr/bin/env bash
# Build the images of infra/Dockerfile where no registry of images can be reached, and run them as infra/compose.yaml says:
#
#   infra/dev/image.sh            install podman (Debian, as root), make a base image, build both images
#   infra/dev/image.sh env        the variables that tests/packaging/test_image.py reads, as `export` lines
#
# The base image is made of Debian 13's own packages, which the official image is made of too. Its Python is Debian's
# (3.13 as well), and it is called by the official image's name, so that the Dockerfile runs as it is.
set -euo pipefail
cd "$(dirname "$0")/../.."
ROOT=${NIGHTLIGHT_IMAGE_DIR:-/var/tmp/nightlight-image-$(id -u)}
BASE=docker.io/library/$(sed -n 's/^FROM \(python:[^ ]*\) AS build$/\1/p' infra/Dockerfile)
export CONTAINERS_CONF=$ROOT/containers.conf

if [ "${1:-}" = env ]; then
  echo "export CONTAINERS_CONF=$CONTAINERS_CONF NIGHTLIGHT_TEST_IMAGE=1"
  exit 0
fi
mkdir -p "$ROOT"
for tool in podman buildah runc catatonit mmdebstrap; do
  if ! [ -x "/usr/bin/$tool" ] && ! [ -x "/usr/sbin/$tool" ] && ! [ -d "/usr/libexec/podman/$tool" ]; then wanted="${wanted:-} $tool"; fi
done
if [ -n "${wanted:-}" ]; then
  apt-get update -q >"$ROOT/apt.log"
  # shellcheck disable=SC2086 # a list of words
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $wanted >>"$ROOT/apt.log" 2>&1
fi
# Limits of processes are this machine's, not the engine's: it may not raise them everywhere.
printf '[containers]\ndefault_ulimits = ["nofile=8192:8192", "nproc=4096:4096"]\n[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\n' \
  >"$CONTAINERS_CONF"

if ! podman image exists "$BASE"; then
  mirror=$(sed -n 's/^URIs: *//p; s/^deb \([^ ]*\) .*/\1/p' /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null | head -n1)
  # shellcheck disable=SC2016 # "$1" is for the hook: the root that is made
  mmdebstrap --variant=minbase --include=ca-certificates,netbase,tzdata,python3,python3-venv \
    --customize-hook='ln -s /usr/bin/python3 "$1/usr/local/bin/python"' \
    --customize-hook='ln -s /usr/bin/python3 "$1/usr/local/bin/python3"' trixie "$ROOT/base.tar" "$mirror"
  podman import --quiet --change 'ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin' "$ROOT/base.tar" "$BASE"
  rm "$ROOT/base.tar"
fi
# A machine that reaches packages through a certificate of its own needs that one in the build too.
for target in service worker; do
  podman build --network=host --isolation=chroot --layers --pull=never --format docker --file infra/Dockerfile \
    --volume /etc/ssl/certs/ca-certificates.crt:/etc/ssl/certs/ca-certificates.crt:ro \
    --target "$target" --tag "nightlight-$target:local" .
done
