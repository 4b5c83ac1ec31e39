"""No change of an age can be seen from outside, and the test that says so sees one that can."""

import pytest

from tests.parity.lives import BANDS, scripts
from tests.parity.over_time import watched

pytestmark = pytest.mark.integration

SEED = 3


def test_nothing_that_an_outsider_records_over_time_follows_an_age():
    seen = watched(scripts(3, 1, SEED), SEED)
    assert set(seen.begun) == set(BANDS)
    assert [str(one) for one in seen.differences] == []


def test_names_that_change_with_an_age_are_found_out():
    """A platform that has pictures named anew at each birthday: a placeholder for a moment, then another name."""
    seen = watched(scripts(1, 0, SEED), SEED, leak=lambda client, profile_id: client.revoke(profile_id))
    assert {one.when for one in seen.differences} == {"in between"}
    assert all("placeholder" in dict.fromkeys(field for field, *_ in one.fields) for one in seen.differences)
