"""``/readyz`` names what is wrong, each part by itself, on the real PostgreSQL and S3 server; and no start ends in a traceback."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from datetime import timedelta

import botocore.auth
import httpx
import pytest
from sqlalchemy import text

from nightlight.catalogue import migrate
from nightlight.catalogue.engine import Catalogue
from nightlight.catalogue.sql_roles import SqlRole, missing_rights
from nightlight.cli import key_commands
from nightlight.settings import Settings
from nightlight.wiring.readiness import disk_check, run_checks
from nightlight.wiring.service_container import build_service
from nightlight_core.clock import system_clock
from service.app import create_app
from tests.conftest import ROOT
from tests.support.buckets import bucket_pair
from tests.support.databases import postgres_database, roles_of
from tests.support.services import REDIS, S3_SERVICE, S3_WORKER, identity, needed, token
from tests.support.waiting import HANG_S

pytestmark = pytest.mark.integration
# Where the renditions cannot be read, nobody can say whether the catalogue was restored.
UNKNOWN = {"position": "catalogue_unavailable", "feed": "feed_stale"}


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The variables of a service in production, with everything that it needs."""
    folder = tmp_path_factory.mktemp("keys")
    key_commands.init(folder)
    with postgres_database() as owner, bucket_pair() as buckets:
        catalogue = Catalogue(owner)
        migrate.upgrade(catalogue.engine)
        catalogue.close()
        key, secret = identity(S3_SERVICE)
        with roles_of(owner) as roles:
            yield {
                **key_commands.environment(folder),
                **key_commands.seal_environment(folder, "service"),
                "NIGHTLIGHT_DEPLOYMENT": "scale",
                "NIGHTLIGHT_ENVIRONMENT": "production",
                "NIGHTLIGHT_POLICY_DIR": str(ROOT / "policies"),
                "NIGHTLIGHT_CATALOGUE_URL": roles["service"],
                "NIGHTLIGHT_STORE_KIND": "s3",
                "NIGHTLIGHT_STORE_ENDPOINT_URL": buckets.endpoint,
                "NIGHTLIGHT_STORE_ORIGINALS_BUCKET": buckets.originals,
                "NIGHTLIGHT_STORE_RENDITIONS_BUCKET": buckets.renditions,
                "NIGHTLIGHT_STORE_ACCESS_KEY_ID": key,
                "NIGHTLIGHT_STORE_SECRET_ACCESS_KEY": secret,
                "NIGHTLIGHT_QUOTAS_REDIS_URL": needed(REDIS),
                "NIGHTLIGHT_QUOTAS_NAMESPACE": f"test-{token()}",
                "OWNER": owner,
                **{f"ROLE_{name}": url for name, url in roles.items()},
            }


@pytest.fixture
def answer(environment, monkeypatch):
    """What ``/readyz`` says with some variables otherwise: the status, and the parts that are not ok."""

    def asked(clock=system_clock, **other):
        for name, value in {**environment, **other}.items():
            monkeypatch.setenv(name, value)
        return readyz_answer(build_service(Settings(), clock))

    return asked


def readyz_answer(services):
    async def asked():
        transport = httpx.ASGITransport(create_app(services))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.get("/readyz")

    try:
        response = asyncio.run(asked())
    finally:
        services.close()
    body = response.json()
    assert (body["status"] == "ok") == (response.status_code == 200)
    return response.status_code, {name: state for name, state in body["parts"].items() if state != "ok"}


def test_a_service_that_has_everything_is_ready(answer):
    assert answer() == (200, {})


def test_a_wrong_secret_of_the_store_is_named(answer):
    refused = {"originals": "store_credentials_refused", "renditions": "store_credentials_refused"}
    assert answer(NIGHTLIGHT_STORE_SECRET_ACCESS_KEY="wrong") == (503, refused)
    assert answer(NIGHTLIGHT_STORE_ACCESS_KEY_ID="nobody") == (503, refused)


def test_a_bucket_that_is_not_there_is_named(answer):
    assert answer(NIGHTLIGHT_STORE_RENDITIONS_BUCKET=f"none-{token()}") == (
        503,
        {"renditions": "bucket_missing"} | UNKNOWN,
    )


def test_a_store_that_does_not_answer_is_named(answer):
    down = {"originals": "store_unavailable", "renditions": "store_unavailable"} | UNKNOWN
    assert answer(NIGHTLIGHT_STORE_ENDPOINT_URL="http://127.0.0.1:1") == (503, down)


@pytest.mark.parametrize("minutes", [-2, 2])
def test_a_clock_that_tokens_do_not_bear_is_named(answer, minutes):
    assert answer(lambda: system_clock() + timedelta(minutes=minutes)) == (503, {"clock": "clock_skewed"})


@pytest.mark.parametrize("minutes", [-20, 20])
def test_a_clock_that_the_stores_signatures_do_not_bear_is_named(answer, monkeypatch, minutes):
    moment = botocore.auth.get_current_datetime
    shifted = timedelta(minutes=minutes)
    monkeypatch.setattr(
        botocore.auth, "get_current_datetime", lambda *given, **named: moment(*given, **named) + shifted
    )
    assert answer() == (503, {"originals": "clock_skewed", "renditions": "clock_skewed"} | UNKNOWN)


def test_another_processs_role_is_named(answer, environment):
    assert answer(NIGHTLIGHT_CATALOGUE_URL=environment["ROLE_worker"]) == (503, {"role": "role_lacks_rights"})


@pytest.mark.parametrize("role", list(SqlRole))
def test_each_role_has_its_own_rights_and_not_those_of_another(environment, role):
    catalogue = Catalogue(environment[f"ROLE_{role.value}"])
    with catalogue.reading() as tx:
        assert missing_rights(tx.connection, role) == []
        others = [other for other in SqlRole if other is not role]
        # Whoever only works on notifications has nothing that the other processes do not have too.
        assert all(missing_rights(tx.connection, other) for other in others if other is not SqlRole.IMPORTS)
    catalogue.close()


@contextmanager
def changed(environment, statement, back):
    owner = Catalogue(environment["OWNER"])
    with owner.engine.begin() as connection:
        connection.execute(text(statement))
    try:
        yield
    finally:
        with owner.engine.begin() as connection:
            connection.execute(text(back))
        owner.close()


def test_a_right_that_was_taken_away_is_named_while_the_service_runs(environment, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    services = build_service(Settings())
    user = environment["NIGHTLIGHT_CATALOGUE_URL"].split("//")[1].split(":")[0]
    with changed(environment, f"REVOKE INSERT ON blocks FROM {user}", f"GRANT INSERT ON blocks TO {user}"):
        assert readyz_answer(services) == (503, {"role": "role_lacks_rights"})


def test_a_missing_migration_is_named_while_the_service_runs(environment, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    services = build_service(Settings())
    newest = migrate.newest_revision()
    back = f"UPDATE alembic_version SET version_num = '{newest}'"
    with changed(environment, "UPDATE alembic_version SET version_num = '0001'", back):
        assert readyz_answer(services) == (503, {"schema": "schema_behind"})


def test_a_feed_that_cannot_be_read_is_named(environment, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    services = build_service(Settings())
    user = environment["NIGHTLIGHT_CATALOGUE_URL"].split("//")[1].split(":")[0]
    with changed(environment, f"REVOKE SELECT ON revocations FROM {user}", f"GRANT SELECT ON revocations TO {user}"):
        status, wrong = readyz_answer(services)
        assert (status, wrong["feed"], wrong["role"]) == (503, "feed_stale", "role_lacks_rights")


def test_keys_of_callers_that_cannot_be_read_are_named(answer):
    nowhere = "https://127.0.0.1:1/jwks.json"
    assert answer(NIGHTLIGHT_AUTH_JWKS=nowhere) == (503, {"callers": "callers_keys_missing"})


def test_keys_of_callers_that_are_gone_are_named_while_the_service_runs(environment, monkeypatch, tmp_path):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    keys = tmp_path / "callers.json"
    shutil.copy(environment["NIGHTLIGHT_AUTH_JWKS"], keys)
    monkeypatch.setenv("NIGHTLIGHT_AUTH_JWKS", str(keys))
    services = build_service(Settings())
    assert services.verifier.check() is None
    keys.write_text('{"keys": []}')
    source = services.verifier._source
    source.held, source._tried_at = None, float("-inf")  # as after 30 seconds
    assert readyz_answer(services) == (503, {"callers": "callers_keys_missing"})


@pytest.mark.skipif(os.getuid() != 0, reason="mounts a small file system, which takes root")
def test_a_full_disk_is_named(answer, tmp_path, monkeypatch):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path], check=True)
    try:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        assert disk_check(0)() is None
        assert answer() == (503, {"disk": "disk_full"})  # not room for one upload
        with (tmp_path / "full").open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while True:
                file.write(bytes(4096))
        assert disk_check(0)() == "disk_full"
        assert answer() == (503, {"disk": "disk_full"})
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_part_that_fails_in_a_new_way_is_named_and_the_others_are_asked(capsys):
    def broken():
        raise ZeroDivisionError

    assert run_checks({"one": broken, "two": lambda: None}) == {"one": "internal", "two": "ok"}


# Tries several starts in one process: loading it takes longer than being refused.
STARTS = """
import json, os, sys
import service.__main__, workers.__main__
names = {"service": service.__main__.main, **{
    name: lambda name=name: workers.__main__.main([name]) for name in ("work", "schedule")
}}
for name, variables in json.load(sys.stdin):
    before = dict(os.environ)
    os.environ.update(variables)
    print(name, names[name](), file=sys.stderr)
    os.environ.clear()
    os.environ.update(before)
"""


def refused_starts(*starts):
    """Start processes that cannot run, (name, variables); return the line of JSON that each says why with."""
    run = [sys.executable, "-c", STARTS]
    done = subprocess.run(
        run, input=json.dumps(starts), cwd=ROOT, capture_output=True, text=True, check=False, timeout=HANG_S
    )
    assert "Traceback" not in done.stderr, done.stderr
    lines = done.stderr.splitlines()
    assert lines[1::2] == [f"{name} 2" for name, _ in starts], done.stderr
    return [json.loads(line) for line in lines[::2]]


REFUSED = [
    ("NIGHTLIGHT_QUOTAS_NAMESPACE", "1", "settings_refused"),
    ("NIGHTLIGHT_CATALOGUE_URL", "postgresql+psycopg://nobody:wrong@127.0.0.1:1/none", "catalogue_unavailable"),
    ("NIGHTLIGHT_CATALOGUE_URL", "{ROLE_imports}", "catalogue_unavailable"),
    ("NIGHTLIGHT_CATALOGUE_URL", "{EMPTY}", "catalogue_unavailable"),
    ("NIGHTLIGHT_DELIVERY_NAME_KEY", "short", "settings_refused"),
    ("NIGHTLIGHT_POLICY_DIR", "/nowhere", "policy_refused"),
    ("NIGHTLIGHT_POLICY_PUBLISHER_KEYS", "/nowhere", "policy_refused"),
    ("NIGHTLIGHT_STORE_SEAL_PUBLIC_KEY", "s1:AA==", "settings_refused"),
]


def test_a_start_that_cannot_be_says_why_in_a_line_of_json(environment, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NIGHTLIGHT_QUEUE_BROKER_URL", "amqp://guest:guest@127.0.0.1:1//")
    with postgres_database() as empty:
        known = {**environment, "EMPTY": empty}
        key, secret = identity(S3_WORKER)
        worker = {"NIGHTLIGHT_STORE_ACCESS_KEY_ID": key, "NIGHTLIGHT_STORE_SECRET_ACCESS_KEY": secret}
        starts = [
            (name, {**own, variable: value.format(**known)})
            for name, own in (("service", {}), ("work", worker), ("schedule", worker))
            for variable, value, _ in REFUSED
        ]
        lines = refused_starts(*starts)
    assert [(line["level"], line["code"]) for line in lines] == [("error", code) for *_, code in REFUSED] * 3
    assert not any("wrong" in line["detail"] for line in lines)
