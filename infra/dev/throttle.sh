#!/usr/bin/env bash
# Run a command as a slow machine would: with a share of one processor for it and for everything that it starts.
#
#   infra/dev/throttle.sh PERCENT COMMAND...          throttle.sh 30 .venv/bin/pytest tests/failure
#   BUSY=2 infra/dev/throttle.sh PERCENT COMMAND...   with so many busy loops beside it, outside of the share
#
# PERCENT is of one processor: 30 is 30 ms in every 100 ms; 0 is no limit, for busy loops alone. A limit needs root on
# Linux, and a cpu controller (cgroup v2 or v1) to write to. What the command leaves behind under it is killed.
set -euo pipefail

die() { printf 'throttle.sh: %s\n' "$*" >&2; exit 2; }

[[ ${1:-} =~ ^[0-9]+$ && $# -ge 2 ]] || { sed -n '2,8p' "$0" | sed 's/^# \{0,1\}//' >&2; exit 2; }
percent=$1
shift

name=nightlight-throttle-$$
group='' how=''
PERIOD_US=100000
loops=()

quota_v2() { # the controller must be on for children of the root, or of where we are
  local parent=/sys/fs/cgroup
  [ -f "$parent/cgroup.controllers" ] || return 1
  grep -qw cpu "$parent/cgroup.controllers" || return 1
  { echo +cpu >"$parent/cgroup.subtree_control"; } 2>/dev/null || true
  group=$parent/$name
  mkdir "$group" 2>/dev/null || return 1
  { echo "$((percent * PERIOD_US / 100)) $PERIOD_US" >"$group/cpu.max"; } 2>/dev/null || { rmdir "$group"; return 1; }
}

quota_v1() {
  group=/sys/fs/cgroup/cpu/$name
  mkdir "$group" 2>/dev/null || return 1
  { echo $PERIOD_US >"$group/cpu.cfs_period_us" && echo "$((percent * PERIOD_US / 100))" >"$group/cpu.cfs_quota_us"; } 2>/dev/null ||
    { rmdir "$group"; return 1; }
}

clean() {
  local pid
  for pid in "${loops[@]}"; do kill "$pid" 2>/dev/null || true; done
  if [ "$how" = cgroup ]; then
    for _ in $(seq 50); do
      # shellcheck disable=SC2046 # one process id a word
      kill -KILL $(cat "$group/cgroup.procs" 2>/dev/null) 2>/dev/null || true
      if rmdir "$group" 2>/dev/null; then break; fi
      sleep 0.1
    done
  fi
}
trap clean EXIT

for _ in $(seq "${BUSY:-0}"); do
  (while :; do :; done) &
  loops+=($!)
done

if [ "$percent" = 0 ]; then
  "$@"
elif quota_v2 || quota_v1; then
  how=cgroup
  # The subshell goes into the group before it becomes the command.
  (echo "$BASHPID" >"$group/cgroup.procs" && exec "$@")
else
  die "a limit needs a cpu controller to write to in /sys/fs/cgroup: run as root, or with 0 PERCENT and BUSY=2"
fi
