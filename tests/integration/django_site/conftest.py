import os

import django
import pytest

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.support.django_site.settings"
django.setup()
# Celery looks for it too: a worker that a test starts is no part of the site.
del os.environ["DJANGO_SETTINGS_MODULE"]

from django.core.management import call_command  # noqa: E402 - the settings come first
from django.db import connections  # noqa: E402

from nightlight_django import conf  # noqa: E402
from tests.support.django_site import nightlight as site  # noqa: E402
from tests.support.django_site.models import Member  # noqa: E402


@pytest.fixture(scope="session")
def database(tmp_path_factory):
    """The site's own migrations, and the package's, on a database of this run."""
    connections["default"].settings_dict["NAME"] = str(tmp_path_factory.mktemp("site") / "site.sqlite3")
    call_command("migrate", verbosity=0)
    yield
    connections.close_all()


@pytest.fixture(autouse=True)
def empty(database):
    site.asked.clear()
    yield
    call_command("flush", verbosity=0, interactive=False)
    conf.configuration.cache_clear()


@pytest.fixture
def member(django_nightlight):
    """Make members: `member("ada", "age_13_15", picture=PNG)`."""

    def create(name, band="adult", picture=None, **more):
        created = Member(username=name, age_band=band, **more)
        if picture is not None:
            created.picture = picture
        created.save()
        return created

    return create
