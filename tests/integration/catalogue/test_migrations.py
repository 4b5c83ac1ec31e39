"""Migrations are such that processes of the release before work on; and the newest can be taken back."""

import contextlib
import sqlite3
import threading

import pytest
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import ProgrammingError

from nightlight.catalogue import migrate
from nightlight.catalogue.engine import Catalogue
from nightlight.catalogue.schema import metadata
from nightlight_core.errors import CatalogueUnavailable, Conflict
from tests.support.databases import postgres_database
from tests.support.migration_lint import GRANDFATHERED, problems
from tests.support.next_migration import TEXT, scripts_with

pytestmark = pytest.mark.integration
RULED = sorted(path for path in migrate.versions() if path.name.partition("_")[0] > GRANDFATHERED)


@pytest.mark.parametrize("path", RULED, ids=[path.stem for path in RULED])
def test_every_new_migration_keeps_the_rules(path):
    assert problems(path) == []


def test_the_rule_begins_where_releases_say_what_they_work_with():
    assert RULED[0].name.startswith(migrate.FIRST_WITH_STATE)


HEAD = 'revision = "0099"\ndown_revision = "0098"\nphase = "expand"\n'
DOWN = '\ndef downgrade():\n    op.drop_column("x", "y")\n'


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ('op.drop_column("images", "crop")', "takes away"),
        ('op.drop_table("images")', "takes away"),
        ('op.rename_table("images", "pictures")', "takes away"),
        ('op.alter_column("images", "crop", new_column_name="cut")', "takes away"),
        ('op.alter_column("images", "crop", nullable=False)', "takes away"),
        ('op.alter_column("images", "crop", type_=sa.String(1))', "takes away"),
        ('op.execute("ALTER TABLE images DROP COLUMN crop")', "takes away"),
        ('op.execute("ALTER TABLE images " "ALTER crop SET NOT NULL")', "takes away"),
        ('op.get_bind().execute(sa.text("ALTER TABLE images RENAME TO pictures"))', "takes away"),
        ('op.add_column("images", sa.Column("more", sa.Integer(), nullable=False))', "not-null"),
        ('op.add_column("images", sa.Column("more", sa.Integer()))', "not-null"),
        ('op.create_index("ix", "images", ["crop"])', "locks for long"),
        ('op.create_foreign_key("fk", "images", "jobs", ["a"], ["b"])', "locks for long"),
        ('op.create_check_constraint("ck", "images", "width > 0")', "locks for long"),
        ('op.execute("UPDATE images SET width = 0")', "locks for long"),
        ('op.execute("CREATE INDEX ix ON images (crop)")', "locks for long"),
        ('op.execute("SET LOCAL lock_timeout = 0")', "timeouts"),
    ],
)  # fmt: skip
def test_what_would_break_the_release_before_is_named(tmp_path, line, word):
    path = tmp_path / "0099_x.py"
    path.write_text(f"{HEAD}\ndef upgrade():\n    {line}\n{DOWN}")
    assert [problem for problem in problems(path) if word in problem]


def test_a_step_that_a_function_takes_is_looked_at_too(tmp_path):
    path = tmp_path / "0099_x.py"
    path.write_text(f'{HEAD}\ndef _more():\n    op.drop_table("images")\n\ndef upgrade():\n    _more()\n{DOWN}')
    assert problems(path)


@pytest.mark.parametrize(
    ("text_", "word"),
    [
        (HEAD.replace('phase = "expand"\n', "") + DOWN, "phase"),
        (HEAD, "no downgrade"),
        (f"{HEAD}\ndef downgrade():\n    pass\n", "no downgrade"),
        (HEAD.replace("expand", "contract") + DOWN, "works_for"),
        (HEAD.replace("expand", "contract") + 'works_for = "0099"\n' + DOWN, "itself"),
    ],
)
def test_what_a_migration_says_of_itself_is_asked_for(tmp_path, text_, word):
    path = tmp_path / "0099_x.py"
    path.write_text(text_)
    assert [problem for problem in problems(path) if word in problem]


def test_an_expand_step_that_does_all_that_it_may_keeps_the_rules(tmp_path):
    path = tmp_path / "9001_x.py"
    path.write_text(TEXT)
    assert problems(path) == []


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'c.sqlite3'}"
        return
    with postgres_database() as postgres:
        yield postgres


@pytest.fixture
def engine(url):
    catalogue = Catalogue(url)
    migrate.upgrade(catalogue.engine)
    yield catalogue.engine
    catalogue.close()


@pytest.fixture
def more(tmp_path, monkeypatch):
    """Become the release to come, and back: a context."""

    def become(text_=TEXT):
        scripts = scripts_with(tmp_path, text_)
        return monkeypatch.setattr(migrate, "_SCRIPTS", scripts)

    return become


def test_a_process_works_with_a_schema_that_was_expanded_and_not_with_one_that_lacks_what_it_needs(
    engine, more, monkeypatch
):
    today = migrate._SCRIPTS
    more()
    with pytest.raises(CatalogueUnavailable, match="9001 is needed"):
        migrate.check_current(engine)  # the release to come, before the upgrade
    migrate.upgrade(engine)
    migrate.check_current(engine)
    monkeypatch.setattr(migrate, "_SCRIPTS", today)
    migrate.check_current(engine)
    with engine.connect() as connection:
        assert migrate.works_with(connection)


def test_a_contract_step_ends_the_releases_before(engine, more, monkeypatch):
    today, newest = migrate._SCRIPTS, migrate.newest_revision()
    more(TEXT.replace('phase = "expand"', f'phase = "contract"\nworks_for = "{newest}1"'))
    migrate.upgrade(engine)
    monkeypatch.setattr(migrate, "_SCRIPTS", today)
    with pytest.raises(CatalogueUnavailable):
        migrate.check_current(engine)


def test_the_newest_migration_can_be_taken_back_and_run_again(engine, more, monkeypatch):
    today, before = migrate._SCRIPTS, migrate.newest_revision()
    more()
    tables = set(inspect(engine).get_table_names())
    migrate.upgrade(engine)
    assert set(inspect(engine).get_table_names()) == tables | {"notes"}
    assert migrate.downgrade(engine) == before
    assert set(inspect(engine).get_table_names()) == tables
    assert "noted" not in {column["name"] for column in inspect(engine).get_columns("images")}
    migrate.upgrade(engine)
    migrate.downgrade(engine)
    monkeypatch.setattr(migrate, "_SCRIPTS", today)
    migrate.check_current(engine)


def test_every_migration_since_then_can_be_taken_back_and_run_again(engine):
    columns = {name: {column["name"] for column in inspect(engine).get_columns(name)} for name in metadata.tables}
    indexes = {name: {index["name"] for index in inspect(engine).get_indexes(name)} for name in metadata.tables}
    while migrate.downgrade(engine) != migrate.FIRST_WITH_STATE:
        pass
    with pytest.raises(Conflict):
        migrate.downgrade(engine)  # those of before have no way back
    migrate.upgrade(engine)
    assert {
        name: {column["name"] for column in inspect(engine).get_columns(name)} for name in metadata.tables
    } == columns
    assert {name: {index["name"] for index in inspect(engine).get_indexes(name)} for name in metadata.tables} == indexes


def test_keys_that_were_moved_are_not_lost_by_going_back(engine):
    for _ in range(int(migrate.newest_revision()) - 13):
        migrate.downgrade(engine)
    insert = "INSERT INTO written_keys (image_id, planned) VALUES ('i', '[]')"
    if engine.dialect.name == "sqlite":  # its own connection asks for no references
        with contextlib.closing(sqlite3.connect(engine.url.database)) as connection, connection:
            connection.execute(insert)
    else:
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE written_keys DROP CONSTRAINT fk_written_keys_image_id"))
            connection.execute(text(insert))
    with pytest.raises(Conflict, match="dropped"):
        migrate.downgrade(engine)


def test_a_newer_schema_is_not_taken_back_by_an_older_release(engine, more, monkeypatch):
    today = migrate._SCRIPTS
    more()
    migrate.upgrade(engine)
    monkeypatch.setattr(migrate, "_SCRIPTS", today)
    with pytest.raises(Conflict):
        migrate.downgrade(engine)
    migrate.upgrade(engine)  # as it does when it starts: nothing is to be done
    assert migrate.newest_revision() < revision(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE schema_state SET works_for = '9009'"))
    with pytest.raises(Conflict, match="newer"):
        migrate.upgrade(engine)


def revision(engine):
    with engine.connect() as connection:
        return migrate.revision_of(connection)


def test_nothing_that_does_not_say_so_works_with_a_newer_schema(engine):
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9009'"))
        connection.execute(text("DELETE FROM schema_state"))
    with pytest.raises(CatalogueUnavailable):
        migrate.check_current(engine)


@pytest.fixture
def postgres():
    with postgres_database() as url:
        catalogue = Catalogue(url)
        migrate.upgrade(catalogue.engine)
        yield catalogue.engine
        catalogue.close()


def test_a_migration_waits_for_locks_a_short_while_lets_others_pass_and_tries_again(postgres, more, monkeypatch):
    monkeypatch.setattr(migrate, "LOCK_S", 1)
    more()
    release, waited = threading.Event(), threading.Event()

    def hold():
        with postgres.begin() as connection:
            connection.execute(text("LOCK TABLE images IN ACCESS SHARE MODE"))
            waited.set()
            release.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    waited.wait(60)
    upgrading = threading.Thread(target=migrate.upgrade, args=(postgres,))
    upgrading.start()
    try:
        for _ in range(20):  # whoever reads meanwhile waits no longer than the migration does
            with postgres.begin() as connection:
                connection.execute(text("SELECT count(*) FROM images")).scalar()
            release.wait(0.1)
    finally:
        release.set()
        holder.join()
    upgrading.join(60)
    migrate.check_current(postgres)


def test_a_migration_that_never_gets_its_lock_says_so_and_changes_nothing(postgres, more, monkeypatch):
    for name, value in {"LOCK_S": 1, "TRIES": 2, "_PAUSE_S": 0.1}.items():
        monkeypatch.setattr(migrate, name, value)
    more()
    with postgres.begin() as connection:
        connection.execute(text("LOCK TABLE jobs IN ACCESS SHARE MODE"))
        with pytest.raises(Conflict, match="open transactions"):
            migrate.upgrade(postgres)
    assert "notes" not in inspect(postgres).get_table_names()
    migrate.upgrade(postgres)


def test_two_upgrades_at_once_follow_each_other(postgres, more):
    more()
    failures = []

    def run():
        own = create_engine(postgres.url)
        try:
            migrate.upgrade(own)
        except Exception as error:  # noqa: BLE001 - told below
            failures.append(error)
        own.dispose()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert failures == []
    migrate.check_current(postgres)


def test_an_index_that_was_left_half_made_is_made_again(postgres, more):
    with postgres.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ALTER TABLE profiles ADD COLUMN noted integer"))
        connection.execute(text("CREATE INDEX ix_profiles_noted ON profiles (noted)"))
        connection.execute(
            text("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_profiles_noted'::regclass")
        )
        connection.execute(text("ALTER TABLE profiles RENAME COLUMN noted TO was_noted"))
    more()
    migrate.upgrade(postgres)
    with postgres.connect() as connection:
        valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_profiles_noted'::regclass"
        assert connection.scalar(text(valid)) is True
        with pytest.raises(ProgrammingError):
            connection.execute(text("SELECT nothing_of_the_kind FROM profiles"))
