"""Databases of a test's own, with the schema in place."""

import atexit
import functools
import shutil
import tempfile
from contextlib import ExitStack, contextmanager

from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from nightlight.catalogue import migrate, sql_roles
from nightlight.catalogue.engine import Catalogue
from tests.support.services import DATABASE, needed, token


@contextmanager
def postgres_database(template="template1"):
    """The URL of a fresh PostgreSQL database, or of a copy of another one; dropped afterwards."""
    server = make_url(needed(DATABASE))
    name = f"nightlight_test_{token()}"
    admin = create_engine(server, isolation_level="AUTOCOMMIT", pool_pre_ping=True)  # a test may have killed the server
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        admin.dispose()


@contextmanager
def roles_of(url):
    """The URL of a database for each kind of process, with a role of its own that may do no more than its work needs."""
    prefix, password = f"nightlight_test_{token()}", token()
    owner = create_engine(url)
    sql_roles.apply_grants(owner, prefix)
    with owner.begin() as connection:
        for role in sql_roles.SqlRole:
            connection.execute(text(f"ALTER ROLE {sql_roles.role_name(role, prefix)} LOGIN PASSWORD '{password}'"))
    owner.dispose()
    named = {
        role: make_url(url).set(username=sql_roles.role_name(role, prefix), password=password)
        for role in sql_roles.SqlRole
    }
    try:
        yield {role.value: url.render_as_string(hide_password=False) for role, url in named.items()}
    finally:
        # Roles are the whole server's: they go once nothing in this database is theirs.
        owner = create_engine(url)
        with owner.begin() as connection:
            for role in sql_roles.SqlRole:
                connection.execute(text(f"DROP OWNED BY {sql_roles.role_name(role, prefix)}"))
                connection.execute(text(f"DROP ROLE {sql_roles.role_name(role, prefix)}"))
        owner.dispose()


@contextmanager
def catalogue_on(kind, folder):
    """A catalogue of one's own with the newest schema: SQLite in a folder, or PostgreSQL."""
    migrated = _migrated(kind)
    with ExitStack() as stack:
        if kind == "postgres":
            url = stack.enter_context(postgres_database(make_url(migrated).database))
        else:
            shutil.copyfile(make_url(migrated).database, folder / "c.sqlite3")
            url = f"sqlite:///{folder / 'c.sqlite3'}"
        catalogue = Catalogue(url)
        stack.callback(catalogue.close)
        yield catalogue


@functools.cache
def _migrated(kind):
    """The URL of an empty catalogue that nobody is connected to: it is copied, since its migrations take far longer."""
    stack = ExitStack()
    if kind == "postgres":
        url = stack.enter_context(postgres_database())
    else:
        url = f"sqlite:///{stack.enter_context(tempfile.TemporaryDirectory())}/c.sqlite3"
    atexit.register(stack.close)
    with catalogue_at(url):
        return url


@contextmanager
def catalogue_at(url):
    """A catalogue with the newest schema."""
    catalogue = Catalogue(url)
    migrate.upgrade(catalogue.engine)
    try:
        yield catalogue
    finally:
        catalogue.close()
