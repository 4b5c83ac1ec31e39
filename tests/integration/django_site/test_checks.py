"""`manage.py check` says what is wrong; the migrations are whole."""

import pytest
from django.conf import settings
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import models
from django.test import override_settings

from nightlight_django.fields import NightlightImageField
from tests.support.django_site.models import Member

pytestmark = pytest.mark.integration


def faults(**changes):
    values = {**settings.NIGHTLIGHT, **changes}
    with override_settings(NIGHTLIGHT={name: value for name, value in values.items() if value is not None}):
        return {message.id.removeprefix("nightlight."): message.msg for message in run_checks(tags=["nightlight"])}


def test_the_site_is_right():
    assert faults() == {}
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


@pytest.mark.parametrize(
    ("changes", "number", "word"),
    [
        ({"URL": None}, "E003", "URL"),
        ({"URL": "nightlight.internal"}, "E003", "https"),
        ({"TOKEN": None}, "E003", "TOKEN"),
        ({"TOKEN": "two words"}, "E003", "token"),
        ({"TOKEN_FILE": "/nowhere"}, "E003", "both"),
        ({"TOKEN": None, "TOKEN_FILE": "/nowhere"}, "E004", "TOKEN_FILE"),
        ({"RELATION_KEYS": "nonsense"}, "E003", "relation_keys"),
        ({"BUDGET_S": -1}, "E003", "budget"),
        ({"RELATIONS": "tests.nowhere"}, "E005", "RELATIONS"),
        ({"VIEWER": 7}, "E005", "VIEWER"),
        ({"RELATION": "x"}, "E002", "RELATION"),
        ({"DECLARE": None}, "W001", "DECLARE"),
        ({"RELATION_KEYS": None}, "W003", "RELATION_KEYS"),
    ],
)
def test_what_is_wrong_is_named(changes, number, word):
    assert word in faults(**changes)[number]


def test_no_settings_and_no_middleware_are_named():
    with override_settings(NIGHTLIGHT={}, MIDDLEWARE=[]):
        assert [message.id for message in run_checks(tags=["nightlight"])] == ["nightlight.E001"]
    with override_settings(MIDDLEWARE=[]):
        assert [message.id for message in run_checks(tags=["nightlight"])] == ["nightlight.W002"]


def test_the_deployment_check_asks_the_service(django_nightlight):
    def asked():
        return [message.id for message in run_checks(tags=["nightlight"], include_deployment_checks=True)]

    assert asked() == []
    assert ("GET", "/v1/caller") in django_nightlight.calls
    with django_nightlight.outage():
        assert asked() == ["nightlight.E010"]


def test_fields_that_cannot_work_are_named():
    class Two(models.Model):  # noqa: DJ008
        first = NightlightImageField(owner="nobody")
        second = NightlightImageField()

        class Meta:
            app_label = "nightlight_django_checks"

    found_ids = [message.id for field in Two._meta.local_fields[1:] for message in field.check()]
    assert found_ids == ["nightlight.E020", "nightlight.E021"]


def test_a_migration_holds_nothing_of_the_storage():
    _, path, args, options = Member._meta.get_field("picture").deconstruct()
    assert (path, args, options) == (
        "nightlight_django.fields.NightlightImageField",
        [],
        {"blank": True},
    )
