"""Whether Nightlight ever had a picture of a profile: what a migration shows old pictures by."""

import uuid
from datetime import UTC, datetime

import pytest

from nightlight.catalogue.profiles import Declaration

pytestmark = pytest.mark.integration

NOW = datetime(2026, 12, 1, tzinfo=UTC)
ADULT = Declaration("adult", "verified", "eu", "connections")


@pytest.fixture
def profile_id(catalogue):
    name = f"p-{uuid.uuid4()}"
    with catalogue.transaction() as tx:
        assert not tx.profiles.had_no_picture(name)  # nobody has this id
        tx.profiles.declare(name, ADULT, NOW)
    return name


def test_a_profile_that_was_declared_and_nothing_more_had_none(catalogue, profile_id):
    with catalogue.transaction() as tx:
        assert tx.profiles.had_no_picture(profile_id)


def test_an_upload_that_is_not_there_any_more_counts(catalogue, profile_id):
    with catalogue.transaction() as tx:
        tx.profiles.next_upload(profile_id)
        assert not tx.profiles.had_no_picture(profile_id)


def test_a_revocation_counts(catalogue, profile_id):
    with catalogue.transaction() as tx:
        tx.profiles.raise_generation(profile_id)
        assert not tx.profiles.had_no_picture(profile_id)
