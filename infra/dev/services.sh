#!/usr/bin/env bash
# Real services for development and tests, on 127.0.0.1, from nothing: no systemd, no container engine.
#
#   infra/dev/services.sh install           install what services and tests need and is missing (Debian, as root)
#   infra/dev/services.sh start [NAME...]   install what is missing, start, wait until ready
#   infra/dev/services.sh stop [NAME...]    stop what this script started
#   infra/dev/services.sh status            one line each; exit 1 if any is down
#   infra/dev/services.sh env               the variables that the tests read, as `export` lines
#   infra/dev/services.sh tools             install what tests run by themselves: exiftool, nginx, node, openssl, SoftHSM
#   infra/dev/services.sh wipe              stop everything and delete its data
#
# NAMEs: postgres rabbitmq redis s3 (all by default). The S3 server is Ceph's RADOS gateway.
# Data, logs and pid files are in $NIGHTLIGHT_SERVICES_DIR (/var/tmp/nightlight-services-UID by default).
# Nothing here is secret or meant to last: passwords are fixed, and the S3 server keeps objects in memory.
set -euo pipefail

ROOT=${NIGHTLIGHT_SERVICES_DIR:-/var/tmp/nightlight-services-$(id -u)}
PG_PORT=${NIGHTLIGHT_PG_PORT:-54329}
RMQ_PORT=${NIGHTLIGHT_RMQ_PORT:-56729}
RMQ_DIST_PORT=$((RMQ_PORT + 1))
RMQ_EPMD_PORT=$((RMQ_PORT + 2))
REDIS_PORT=${NIGHTLIGHT_REDIS_PORT:-63799}
S3_PORT=${NIGHTLIGHT_S3_PORT:-17480}
MON_PORT=$((S3_PORT + 1))
# OSD and gateway messengers take ports from this range.
MSGR_MIN=$((S3_PORT + 20))
MSGR_MAX=$((S3_PORT + 320))
ALL=(postgres rabbitmq redis s3)
TOOLS=(exiftool nginx node openssl promtool softhsm)
# A slow machine takes long over a start; this is for one that hangs.
START_S=180

say() { printf '%s\n' "$*" >&2; }
die() { say "services.sh: $*"; exit 1; }

pid_alive() { [ -s "$1" ] && kill -0 "$(head -n1 "$1")" 2>/dev/null; }
port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

wait_for() { # what, seconds, command...
  local what=$1 seconds=$2
  shift 2
  for _ in $(seq $((seconds * 10))); do
    if "$@" >/dev/null 2>&1; then return 0; fi
    sleep 0.1
  done
  die "$what was not ready within $seconds s; its logs are under $ROOT"
}

spawn() { # name, command...: a child of its own session, its pid and output kept
  local name=$1
  shift
  setsid "$@" >"$ROOT/log/$name.log" 2>&1 </dev/null &
  echo $! >"$ROOT/$name.pid"
}

kill_by_pid_file() { # file, signal, seconds
  local file=$1 pid
  pid_alive "$file" || { rm -f "$file"; return 0; }
  pid=$(head -n1 "$file")
  kill "-$2" "$pid" 2>/dev/null || true
  for _ in $(seq $(($3 * 10))); do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  kill -KILL "$pid" 2>/dev/null || true
  rm -f "$file"
}

# --- installing -------------------------------------------------------------------------------------------

packages_of() {
  case $1 in
    postgres) echo postgresql ;;
    rabbitmq) echo rabbitmq-server ;;
    redis) echo redis-server ;;
    s3) echo radosgw ceph-mon ceph-osd ceph-common ;;
    exiftool) echo libimage-exiftool-perl ;;
    openssl) echo openssl ;;
    softhsm) echo softhsm2 ;;
    nginx) echo nginx-light libnginx-mod-http-js gettext-base ;;
    node) echo nodejs ;;
    promtool) echo prometheus ;;
  esac
}

pg_bin() { find /usr/lib/postgresql -maxdepth 2 -name bin -type d 2>/dev/null | sort -V | tail -n1; }

present() {
  case $1 in
    postgres) [ -n "$(pg_bin)" ] && [ -x "$(pg_bin)/initdb" ] ;;
    rabbitmq) [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] ;;
    redis) command -v redis-server ;;
    s3) command -v radosgw && command -v ceph-mon && command -v ceph-osd && command -v radosgw-admin ;;
    exiftool) command -v exiftool ;;
    openssl) command -v openssl ;;
    softhsm) command -v softhsm2-util ;;
    node) command -v node ;;
    promtool) command -v promtool ;;
    nginx) [ -x /usr/sbin/nginx ] && [ -e /usr/lib/nginx/modules/ngx_http_js_module.so ] && [ -x /usr/bin/envsubst ] ;;
  esac >/dev/null
}

install_missing() {
  local wanted=() name
  for name in "$@"; do
    # shellcheck disable=SC2207 # package names hold no spaces
    present "$name" || wanted+=($(packages_of "$name"))
  done
  [ ${#wanted[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || die "not installed: ${wanted[*]} (Debian's names). Install them, or set the NIGHTLIGHT_TEST_* URLs of running services"
  [ "$(id -u)" = 0 ] || die "not installed: ${wanted[*]}. Run as root once, install them yourself, or set the NIGHTLIGHT_TEST_* URLs of running services"
  say "installing ${wanted[*]} ..."
  local guard=/usr/sbin/policy-rc.d made=0
  if [ ! -e $guard ]; then # keeps the packages from starting services of their own
    printf '#!/bin/sh\nexit 101\n' >$guard
    chmod +x $guard
    made=1
  fi
  local done=0
  if apt_get update && apt_get install "${wanted[@]}"; then done=1; fi
  [ $made = 0 ] || rm -f $guard
  [ $done = 1 ] || die "apt-get could not install ${wanted[*]}; see $ROOT/log/apt.log"
}

apt_get() {
  local verb=$1
  shift
  DEBIAN_FRONTEND=noninteractive apt-get "$verb" -y -qq -o Dpkg::Use-Pty=0 --no-install-recommends "$@" >>"$ROOT/log/apt.log" 2>&1
}

# --- PostgreSQL -------------------------------------------------------------------------------------------

as_pg() { # PostgreSQL refuses to run as root
  if [ "$(id -u)" = 0 ]; then setpriv --reuid=postgres --regid=postgres --clear-groups -- "$@"; else "$@"; fi
}

up_postgres() { pid_alive "$ROOT/postgres/data/postmaster.pid" && port_open "$PG_PORT"; }

start_postgres() {
  local bin data="$ROOT/postgres/data"
  bin=$(pg_bin)
  mkdir -p "$ROOT/postgres"
  [ "$(id -u)" != 0 ] || chown postgres: "$ROOT/postgres"
  if [ ! -s "$data/PG_VERSION" ]; then
    (cd / && as_pg "$bin/initdb" -D "$data" -U nightlight --auth=trust --encoding=UTF8 --no-locale --no-sync) >"$ROOT/log/initdb.log" 2>&1
  fi
  rm -f "$data/postmaster.pid"
  (cd / && as_pg "$bin/pg_ctl" -D "$data" -w -t "$START_S" -l "$ROOT/postgres/server.log" \
    -o "-p $PG_PORT -c listen_addresses=127.0.0.1 -c unix_socket_directories=$ROOT/postgres -c max_connections=200 -c fsync=off" start) >"$ROOT/log/postgres.log" 2>&1
}

stop_postgres() {
  up_postgres || return 0
  (cd / && as_pg "$(pg_bin)/pg_ctl" -D "$ROOT/postgres/data" -m fast -w -t 30 stop) >/dev/null
}

# --- RabbitMQ ---------------------------------------------------------------------------------------------

rabbit() { # tool, arguments...: with the private node's environment
  local tool=$1 home="$ROOT/rabbitmq"
  shift
  env HOME="$home" \
    RABBITMQ_NODENAME=nightlight@localhost RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_NODE_PORT="$RMQ_PORT" \
    RABBITMQ_DIST_PORT="$RMQ_DIST_PORT" ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT="$RMQ_EPMD_PORT" \
    RABBITMQ_MNESIA_BASE="$home/mnesia" RABBITMQ_LOG_BASE="$home/log" RABBITMQ_PID_FILE="$home/pid" \
    RABBITMQ_CONFIG_FILE="$home/rabbitmq" RABBITMQ_ENABLED_PLUGINS_FILE="$home/plugins" RABBITMQ_CONF_ENV_FILE=/dev/null \
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1}' \
    "/usr/lib/rabbitmq/bin/$tool" "$@"
}

up_rabbitmq() { pid_alive "$ROOT/rabbitmq/pid" && port_open "$RMQ_PORT"; }

start_rabbitmq() {
  mkdir -p "$ROOT/rabbitmq/mnesia" "$ROOT/rabbitmq/log"
  echo '[].' >"$ROOT/rabbitmq/plugins"
  {
    echo "listeners.tcp.default = 127.0.0.1:$RMQ_PORT"
    echo 'disk_free_limit.absolute = 50MB'
    echo 'vm_memory_high_watermark.absolute = 512MB'
  } >"$ROOT/rabbitmq/rabbitmq.conf"
  setsid bash -c "$(declare -f rabbit); ROOT='$ROOT' RMQ_PORT=$RMQ_PORT RMQ_DIST_PORT=$RMQ_DIST_PORT RMQ_EPMD_PORT=$RMQ_EPMD_PORT rabbit rabbitmq-server" \
    >"$ROOT/log/rabbitmq.log" 2>&1 </dev/null &
  wait_for rabbitmq "$START_S" port_open "$RMQ_PORT"
  wait_for rabbitmq "$START_S" rabbit rabbitmqctl await_startup
}

stop_rabbitmq() {
  kill_by_pid_file "$ROOT/rabbitmq/pid" TERM 20
  ERL_EPMD_PORT=$RMQ_EPMD_PORT epmd -port "$RMQ_EPMD_PORT" -kill >/dev/null 2>&1 || true
}

# --- Redis ------------------------------------------------------------------------------------------------

up_redis() { pid_alive "$ROOT/redis.pid" && port_open "$REDIS_PORT"; }

start_redis() {
  spawn redis redis-server --port "$REDIS_PORT" --bind 127.0.0.1 --save '' --appendonly no --dir "$ROOT"
  wait_for redis "$START_S" port_open "$REDIS_PORT"
}

stop_redis() { kill_by_pid_file "$ROOT/redis.pid" TERM 10; }

# --- S3: one monitor, one OSD in memory, one gateway ------------------------------------------------------

up_s3() { pid_alive "$ROOT/s3-rgw.pid" && port_open "$S3_PORT"; }

ceph_conf() {
  local fsid=$1 osd=$2
  cat <<CONF
[global]
fsid = $fsid
mon host = [v2:127.0.0.1:$MON_PORT]
public network = 127.0.0.0/8
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind msgr1 = false
ms bind port min = $MSGR_MIN
ms bind port max = $MSGR_MAX
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc secure
run dir = $ROOT/s3/run
admin socket = $ROOT/s3/run/\$name.\$pid.asok
log file = $ROOT/s3/log/\$name.log
log to stderr = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail warn = 1
mon data avail crit = 1
paxos propose interval = 0.05
paxos min wait = 0.01
[mon]
mon data = $ROOT/s3/mon
mon cluster log file = $ROOT/s3/log/cluster.log
[osd]
osd data = $ROOT/s3/osd
osd uuid = $osd
osd objectstore = memstore
osd memory target = 1073741824
memstore device bytes = 1073741824
osd class update on start = false
[client]
rgw frontends = beast tcp_nodelay=1 endpoint=127.0.0.1:$S3_PORT
rgw data = $ROOT/s3/run
rgw thread pool size = 64
rgw enable usage log = false
rgw gc obj min wait = 10
rgw gc processor period = 10
# A day of a lifecycle rule takes five seconds here.
rgw lc debug interval = 5
rgw dynamic resharding = false
# An address with a password in it is taken over HTTPS only; a test may say that it came so.
rgw trust forwarded https = true
CONF
}

# Four identities: the owner of the buckets, the service, the workers, and who keeps the vault. Only the owner may make
# buckets: into a bucket of its own an identity could copy whatever it can name.
s3_users() {
  local name more
  for name in owner service worker keeper; do
    more=(--max-buckets=-1)
    [ "$name" != owner ] || more=()
    radosgw-admin user create --uid="$name" --display-name="$name" --access-key="nightlight-$name" \
      --secret="nightlight-$name-secret" "${more[@]}"
  done
}

start_s3() {
  # The store is in memory, so every start is from nothing.
  stop_s3
  rm -rf "$ROOT/s3"
  mkdir -p "$ROOT"/s3/{mon,osd,log,run}
  export CEPH_CONF=$ROOT/s3/ceph.conf CEPH_ARGS="--conf $ROOT/s3/ceph.conf"
  local fsid osd
  fsid=$(cat /proc/sys/kernel/random/uuid)
  osd=$(cat /proc/sys/kernel/random/uuid)
  ceph_conf "$fsid" "$osd" >"$CEPH_CONF"
  {
    monmaptool --create --fsid "$fsid" --addv a "[v2:127.0.0.1:$MON_PORT]" "$ROOT/s3/monmap"
    ceph-mon -i a --mkfs --monmap "$ROOT/s3/monmap"
  } >"$ROOT/log/s3-init.log" 2>&1
  spawn s3-mon ceph-mon -f -i a
  ceph --connect-timeout "$START_S" osd new "$osd" >>"$ROOT/log/s3-init.log" 2>&1
  ceph-osd -i 0 --mkfs --osd-uuid "$osd" >>"$ROOT/log/s3-init.log" 2>&1
  spawn s3-osd ceph-osd -f -i 0
  s3_users >>"$ROOT/log/s3-init.log" 2>&1
  spawn s3-rgw radosgw -f -n client.rgw
  wait_for s3 "$START_S" port_open "$S3_PORT"
}

stop_s3() {
  local name
  for name in s3-rgw s3-osd s3-mon; do kill_by_pid_file "$ROOT/$name.pid" TERM 10; done
}

# --- verbs ------------------------------------------------------------------------------------------------

env_lines() {
  cat <<ENV
export NIGHTLIGHT_TEST_DATABASE_URL=postgresql+psycopg://nightlight@127.0.0.1:$PG_PORT/postgres
export NIGHTLIGHT_TEST_BROKER_URL=amqp://guest:guest@127.0.0.1:$RMQ_PORT//
export NIGHTLIGHT_TEST_REDIS_URL=redis://127.0.0.1:$REDIS_PORT/0
export NIGHTLIGHT_TEST_S3_URL=http://127.0.0.1:$S3_PORT
export NIGHTLIGHT_TEST_S3_OWNER=nightlight-owner:nightlight-owner-secret
export NIGHTLIGHT_TEST_S3_SERVICE=nightlight-service:nightlight-service-secret
export NIGHTLIGHT_TEST_S3_WORKER=nightlight-worker:nightlight-worker-secret
export NIGHTLIGHT_TEST_S3_KEEPER=nightlight-keeper:nightlight-keeper-secret
ENV
}

verb=${1:-}
[ $# -eq 0 ] || shift
names=("$@")
[ ${#names[@]} -gt 0 ] || names=("${ALL[@]}")
for name in "${names[@]}"; do
  case " ${ALL[*]} " in *" $name "*) ;; *) die "unknown service '$name'; known: ${ALL[*]}" ;; esac
done

case $verb in
  start)
    mkdir -p "$ROOT/log"
    chmod 755 "$ROOT"
    install_missing "${names[@]}"
    for name in "${names[@]}"; do
      if "up_$name"; then
        say "$name is up already"
      else
        "start_$name" || die "$name did not start; its logs are under $ROOT"
        say "$name started"
        echo "$name" # on standard output: the names that this call started
      fi
    done
    ;;
  install)
    mkdir -p "$ROOT/log"
    install_missing "${ALL[@]}" "${TOOLS[@]}"
    ;;
  tools)
    mkdir -p "$ROOT/log"
    install_missing "${TOOLS[@]}"
    ;;
  stop)
    for name in "${names[@]}"; do
      "stop_$name"
      say "$name stopped"
    done
    ;;
  status)
    down=0
    for name in "${names[@]}"; do
      if "up_$name"; then echo "$name up"; else
        echo "$name down"
        down=1
      fi
    done
    exit $down
    ;;
  env) env_lines ;;
  wipe)
    for name in "${ALL[@]}"; do "stop_$name"; done
    rm -rf -- "$ROOT"
    ;;
  *)
    sed -n '2,14p' "$0" | sed 's/^# \{0,1\}//'
    exit 2
    ;;
esac
