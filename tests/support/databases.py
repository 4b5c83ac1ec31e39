"""Databases of a test's own, with the schema in place."""

from contextlib import ExitStack, contextmanager

from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from nightlight.catalogue import migrate
from nightlight.catalogue.engine import Catalogue
from tests.support.services import DATABASE, needed, token


@contextmanager
def postgres_database():
    """The URL of a fresh PostgreSQL database, dropped afterwards."""
    server = make_url(needed(DATABASE))
    name = f"nightlight_test_{token()}"
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        admin.dispose()


@contextmanager
def catalogue_on(kind, folder):
    """A catalogue of one's own: SQLite in a folder, or PostgreSQL."""
    with ExitStack() as stack:
        url = f"sqlite:///{folder / 'c.sqlite3'}"
        if kind == "postgres":
            url = stack.enter_context(postgres_database())
        yield stack.enter_context(catalogue_at(url))


@contextmanager
def catalogue_at(url):
    """A catalogue with the newest schema."""
    catalogue = Catalogue(url)
    migrate.upgrade(catalogue.engine)
    try:
        yield catalogue
    finally:
        catalogue.close()
