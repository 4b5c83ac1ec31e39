"""Each kind of process may do in PostgreSQL what its work needs, and nothing else: the real server's word."""

import os
import subprocess
from datetime import timedelta

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ProgrammingError
from typer.testing import CliRunner

from nightlight.catalogue import migrate, sql_roles
from nightlight.catalogue.engine import Catalogue
from nightlight.catalogue.schema import metadata
from nightlight.cli.main import app
from nightlight_core.clock import system_clock
from nightlight_core.errors import SettingsRefused
from tests.conftest import ROOT
from tests.integration.test_edge_revocation import rendition_of
from tests.support.databases import postgres_database, roles_of
from tests.support.services import token
from tests.support.waiting import HANG_S

pytestmark = pytest.mark.integration

VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")


@pytest.fixture(scope="module")
def database():
    with postgres_database() as url:
        catalogue = Catalogue(url)
        migrate.upgrade(catalogue.engine)
        catalogue.close()
        yield url


@pytest.fixture(scope="module")
def roles(database):
    with roles_of(database) as urls:
        engines = {role: create_engine(url) for role, url in urls.items()}
        yield engines
        for engine in engines.values():
            engine.dispose()


def test_every_table_is_spoken_of_and_no_other():
    """A new table is closed to everybody until somebody says whose work needs it."""
    assert set(sql_roles.GRANTS) == set(metadata.tables) | {"alembic_version"}


def test_a_role_has_what_is_said_and_nothing_else(roles, database):
    owner = create_engine(database)
    with owner.connect() as connection:
        tables = connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).scalars().all()
    owner.dispose()
    for role, engine in roles.items():
        with engine.connect() as connection:
            for table in tables:
                privileges = sql_roles.GRANTS[table].get(sql_roles.SqlRole(role), ())
                whole = {privilege for privilege in privileges if "(" not in privilege}
                has = {
                    verb for verb in VERBS
                    if connection.execute(text(f"SELECT has_table_privilege('{table}', '{verb}')")).scalar_one()
                }  # fmt: skip
                assert has == whole, (role, table)
                columns = {privilege.split(" ")[0] for privilege in privileges if "(" in privilege}
                some = text(f"SELECT has_any_column_privilege('{table}', 'UPDATE')")
                assert connection.execute(some).scalar_one() == ("UPDATE" in whole | columns), (role, table)
            assert not connection.execute(text("SELECT has_schema_privilege('public', 'CREATE')")).scalar_one()
            assert not connection.execute(
                text(
                    "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls FROM pg_roles WHERE rolname = user"
                )
            ).scalar_one()


REFUSED = {
    "everybody": [
        "UPDATE audit SET actor = 'nobody'", "DELETE FROM audit", "TRUNCATE audit", "DROP TABLE audit",
        "ALTER TABLE audit DISABLE TRIGGER ALL", "CREATE TABLE mine (a int)", "DELETE FROM images", "DELETE FROM profiles",
        "UPDATE receipts SET envelope = '{}'", "DELETE FROM receipts", "DELETE FROM policy_bundles",
        "UPDATE policy_bundles SET data = ''", "DELETE FROM holds", "DELETE FROM held",
        "UPDATE alembic_version SET version_num = '0000'", ("CREATE OR REPLACE FUNCTION profiles_changed() RETURNS trigger "
        "LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$"), "SET session_replication_role = replica",
        "SELECT pg_read_file('/etc/passwd')", "COPY images TO PROGRAM 'cat'", "UPDATE renditions SET sha256 = sha256 || 'x'",
    ],
    "service": [
        "UPDATE jobs SET state = 'done'", "DELETE FROM jobs", "DELETE FROM outbox", "DELETE FROM revocations",
        "INSERT INTO renditions (name) VALUES ('x')", "DELETE FROM renditions", "INSERT INTO receipts (receipt_id) VALUES ('x')",
        "DELETE FROM vaulted", "UPDATE hash_list_matches SET verdict = 'cleared'", "SELECT * FROM hash_list_matches",
        "DELETE FROM changes", "SELECT * FROM lifecycles", "SELECT * FROM erasures", "SELECT * FROM webhook_endpoints",
        "INSERT INTO webhook_public_keys (key_id) VALUES ('x')", "UPDATE events SET taken_at = NULL",
    ],
    "worker": [
        "UPDATE profiles SET choice = 'everyone'", "UPDATE profiles SET assurance = 'verified'", "UPDATE profiles SET report_flag = 'none'",
        "UPDATE profiles SET asserted_at = now()", "INSERT INTO policy_bundles (version) VALUES (9)",
        "UPDATE policy_state SET active_version = 1", "DELETE FROM blocks", "SELECT * FROM blocks", "SELECT * FROM abuse_signals",
        "SELECT * FROM canaries", "UPDATE hash_list_matches SET verdict = 'cleared'", "DELETE FROM outbox", "DELETE FROM vaulted",
        "INSERT INTO holds (hold_id) VALUES ('x')", "DELETE FROM events", "SELECT * FROM decision_counts",
    ],
    "schedule": [
        "UPDATE profiles SET band = 'adult'", "SELECT * FROM rendition_hashes", "INSERT INTO images (image_id) VALUES ('x')",
        "INSERT INTO renditions (name) VALUES ('x')", "UPDATE policy_state SET active_version = 1", "UPDATE holds SET state = 'ended'",
        "SELECT * FROM blocks", "SELECT * FROM decision_counts", "DELETE FROM revocations", "SELECT * FROM receipts",
    ],
    "imports": [
        "SELECT * FROM profiles", "SELECT * FROM images", "SELECT * FROM renditions", "SELECT * FROM rendition_hashes",
        "SELECT * FROM holds", "SELECT * FROM trace_jobs", "UPDATE jobs SET state = 'done'", "SELECT * FROM events",
        "INSERT INTO imports (import_id) VALUES ('x')", "SELECT * FROM receipts", "SELECT * FROM blocks",
    ],
    "keeper": [
        "UPDATE profiles SET band = 'adult'", "SELECT * FROM policy_bundles", "SELECT * FROM hash_list_matches", "SELECT * FROM trace_jobs",
        "INSERT INTO holds (hold_id) VALUES ('x')", "SELECT * FROM blocks", "INSERT INTO images (image_id) VALUES ('x')",
    ],
    "operator": [
        "UPDATE profiles SET choice = 'everyone'", "INSERT INTO policy_bundles (version) VALUES (9)", "DELETE FROM vaulted",
        "UPDATE policy_state SET active_version = 1", "UPDATE holds SET ended_at = now()", "UPDATE holds SET approvals = '[]'", "SELECT * FROM erasures",
        "INSERT INTO receipts (receipt_id) VALUES ('x')", "UPDATE jobs SET state = 'done'", "DELETE FROM renditions",
        "UPDATE events SET profile_id = 'x'", "DELETE FROM events", "INSERT INTO webhook_public_keys (key_id) VALUES ('x')",
    ],
}  # fmt: skip


WORKER_MAY = (
    "UPDATE renditions", "DELETE FROM images", "DELETE FROM profiles", "DELETE FROM held", "DELETE FROM audit",
)  # fmt: skip


@pytest.mark.parametrize("role", [role.value for role in sql_roles.SqlRole])
def test_what_a_process_must_not_do_is_refused_by_the_database(roles, role):
    refused = REFUSED["everybody"] + REFUSED[role]
    if role == "worker":  # it writes renditions, and removes what was erased; the rest of the list is everybody's
        refused = [statement for statement in refused if not statement.startswith(WORKER_MAY)]
    for statement in refused:
        with roles[role].connect() as connection, pytest.raises(ProgrammingError) as error:
            connection.execute(text(statement))
        assert error.value.orig.sqlstate == "42501", statement  # insufficient_privilege


def test_giving_them_again_takes_away_what_was_given_besides(database):
    prefix = f"nightlight_{token()}"
    owner = create_engine(database)
    try:
        sql_roles.apply_grants(owner, prefix)
        with owner.begin() as connection:
            connection.execute(text(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {prefix}_service"))
        sql_roles.apply_grants(owner, prefix)
        with owner.connect() as connection:
            asked = f"SELECT has_table_privilege('{prefix}_service', 'audit', 'DELETE')"
            assert connection.execute(text(asked)).scalar_one() is False
            login = f"SELECT bool_or(rolcanlogin) FROM pg_roles WHERE rolname LIKE '{prefix}%'"
            assert connection.execute(text(login)).scalar_one() is False
    finally:
        with owner.begin() as connection:
            for role in sql_roles.SqlRole:
                connection.execute(text(f"DROP OWNED BY {prefix}_{role.value}"))
                connection.execute(text(f"DROP ROLE {prefix}_{role.value}"))
        owner.dispose()


def test_the_command_prints_what_would_be_run():
    printed = CliRunner().invoke(app, ["catalogue", "grants"])
    assert printed.exit_code == 0
    assert printed.stdout.splitlines() == [f"{statement};" for statement in sql_roles.grant_statements()]
    assert "GRANT SELECT, INSERT ON audit TO nightlight_service;" in printed.stdout


@pytest.mark.parametrize("prefix", ["", "a;b", "a b", "x\n", "A", "1a", 'a"', "a" * 41])
def test_a_prefix_is_a_plain_word(prefix):
    with pytest.raises(SettingsRefused):
        sql_roles.grant_statements(prefix)


def test_sqlite_has_no_roles(tmp_path):
    catalogue = Catalogue(f"sqlite:///{tmp_path / 'c.sqlite3'}")
    with pytest.raises(SettingsRefused):
        sql_roles.apply_grants(catalogue.engine)
    catalogue.close()


def test_the_script_of_the_database_image_makes_roles_that_log_in(database):
    """Only tried where no such roles are yet: they are the whole server's."""
    where = make_url(database)
    owner = create_engine(database)
    named = {sql_roles.role_name(role, "nightlight") for role in sql_roles.SqlRole}
    with owner.connect() as connection:
        role_names = set(connection.execute(text("SELECT rolname FROM pg_roles")).scalars())
    if named & role_names:
        owner.dispose()
        pytest.skip("this server has roles of these names")
    variables = {
        "PGHOST": where.host, "PGPORT": str(where.port), "PGPASSWORD": where.password or "", "PATH": os.environ["PATH"],
        "POSTGRES_USER": where.username, "POSTGRES_DB": where.database,
        **{f"POSTGRES_{role.name}_PASSWORD": f"it's {role.value}" for role in sql_roles.SqlRole},
    }  # fmt: skip
    try:
        for _ in range(2):
            subprocess.run(
                [ROOT / "infra/postgres/roles.sh"], env=variables, check=True, capture_output=True, timeout=HANG_S
            )
        sql_roles.apply_grants(owner)
        for role in sql_roles.SqlRole:
            name = sql_roles.role_name(role, "nightlight")
            engine = create_engine(where.set(username=name, password=f"it's {role.value}"))
            with engine.connect() as connection:
                assert connection.execute(text("SELECT count(*) FROM audit")).scalar_one() == 0
            engine.dispose()
    finally:
        with owner.begin() as connection:
            for name in named:
                connection.execute(text(f"DROP OWNED BY {name}"))
                connection.execute(text(f"DROP ROLE {name}"))
        owner.dispose()


def test_a_worker_removes_the_rows_of_what_was_deleted_and_no_others(roles, database):
    owner = Catalogue(database)
    rendition_of(owner, "p-live", "f" * 32)
    with owner.transaction() as tx:
        tx.audit.append("image.x", now=system_clock() - timedelta(days=9), actor="t", image_id="f" * 32)
        tx.audit.append("image.x", now=system_clock(), actor="t", image_id="0" * 32)
        tx.audit.append("policy.x", now=system_clock() - timedelta(days=9), actor="t")
    for table, sentence in (("images", "were deleted"), ("profiles", "were deleted"), ("audit", "append-only")):
        with roles["worker"].connect() as connection, pytest.raises(Exception, match=sentence):
            connection.execute(text(f"DELETE FROM {table}"))
    with owner.transaction() as tx:
        tx.audit.append("image.x", now=system_clock() - timedelta(days=9), actor="t", image_id="1" * 32)
    with roles["worker"].begin() as connection:
        gone = connection.execute(text(f"DELETE FROM audit WHERE image_id = '{'1' * 32}'"))
        assert gone.rowcount == 1
    owner.close()
