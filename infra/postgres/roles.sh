#!/bin/sh
# Make the roles that Nightlight's processes log in as. PostgreSQL's official image runs it when it makes a database;
# elsewhere run it once as a superuser, with psql's own variables (PGHOST, ...) set. What each role may do is given by
# `nightlight catalogue grants --apply`, after every `nightlight catalogue upgrade`.
set -eu
make_role() { # role, password
  psql --quiet --no-psqlrc --set=ON_ERROR_STOP=1 --set=role="nightlight_$1" --set=password="$2" \
    --username="${POSTGRES_USER:?}" --dbname="${POSTGRES_DB:?}" <<'SQL'
SELECT format('CREATE ROLE %I', :'role') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec
ALTER ROLE :"role" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'password';
SQL
}
make_role service "${POSTGRES_SERVICE_PASSWORD:?}"
make_role worker "${POSTGRES_WORKER_PASSWORD:?}"
make_role schedule "${POSTGRES_SCHEDULE_PASSWORD:?}"
make_role imports "${POSTGRES_IMPORTS_PASSWORD:?}"
make_role keeper "${POSTGRES_KEEPER_PASSWORD:?}"
make_role operator "${POSTGRES_OPERATOR_PASSWORD:?}"
