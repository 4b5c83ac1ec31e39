"""Which table a platform's own process decides by, on a clock that is turned by hand."""

from array import array
from datetime import UTC, datetime

import pytest

from nightlight_client.local_policy import PoliciesInUse, PolicyInForce
from nightlight_core.decisions.profile_views import ProfileView
from nightlight_core.policy.dates import BACK_S, Timeline
from nightlight_core.policy.table import DOUBT, Table

MIDNIGHT = datetime(2027, 1, 1, tzinfo=UTC).timestamp()
VIEW, CHOSEN = ProfileView("p"), ProfileView("p", candidate=True)


def table():
    return Table({"unknown": ("",)}, array("H", [0]), (DOUBT,), {})


@pytest.fixture
def tables():
    return {name: table() for name in ("first", "second", "third", "earlier", "earlier-later", "candidate", "staged")}


@pytest.fixture
def turned():
    """A clock that is turned by hand, and what decides by it."""

    class Turned:
        now = MIDNIGHT - 86_400.0

        def __init__(self):
            self.policy = PolicyInForce(lambda: self.now)

        def at(self, moment):
            self.now = moment
            return self.policy.now()

    return Turned()


def in_use(tables, *, candidate=False, activated_at=MIDNIGHT - 86_400.0, revision=1):
    active = Timeline(tables["first"], (("2027-01-01", tables["second"]), ("2027-02-01", tables["third"])))
    staged = Timeline(tables["candidate"], (("2027-01-15", tables["staged"]),)) if candidate else None
    earlier = Timeline(tables["earlier"], (("2026-12-31", tables["earlier-later"]),))
    return PoliciesInUse(active, staged, earlier, revision, activated_at)


def test_nothing_decides_before_anything_is_known(turned):
    assert turned.at(MIDNIGHT) is None


def test_the_table_changes_at_midnight_and_stays_the_same_object_until_the_next(turned, tables):
    turned.policy.use(in_use(tables))
    before = turned.at(MIDNIGHT - 0.001)
    assert before.table is tables["first"]
    assert turned.at(MIDNIGHT - 0.001) is before
    after = turned.at(MIDNIGHT)
    assert (after.table, after.earlier_for(VIEW)) == (tables["second"], tables["first"])
    turned.policy.use(in_use(tables))  # a poll that says the same
    assert turned.at(MIDNIGHT + 86_400) is after
    assert turned.at(MIDNIGHT + 31 * 86_400).table is tables["third"]


def test_a_process_that_slept_over_two_dates_wakes_in_the_last(turned, tables):
    turned.policy.use(in_use(tables))
    late = turned.at(MIDNIGHT + 90 * 86_400)
    assert (late.table, late.earlier_for(VIEW)) == (tables["third"], tables["second"])


def test_a_clock_that_is_set_back_a_little_takes_nothing_back(turned, tables):
    turned.policy.use(in_use(tables))
    after = turned.at(MIDNIGHT)
    assert turned.at(MIDNIGHT - BACK_S) is after
    turned.policy.use(in_use(tables, revision=2))
    assert turned.policy.now().table is tables["second"]
    assert turned.at(MIDNIGHT - BACK_S - 1).table is tables["first"]
    turned.policy.use(in_use(tables, revision=3))
    assert turned.policy.now().table is tables["first"]


def test_what_was_active_before_the_activation_is_as_it_was_then(turned, tables):
    turned.policy.use(in_use(tables))
    assert turned.policy.now().earlier_for(VIEW) is tables["earlier-later"]
    turned.policy.use(in_use(tables, activated_at=MIDNIGHT - 2 * 86_400))
    assert turned.policy.now().earlier_for(VIEW) is tables["earlier"]


def test_a_date_that_was_over_at_the_activation_left_nothing_behind(turned, tables):
    turned.policy.use(in_use(tables, activated_at=MIDNIGHT + 1))
    assert turned.at(MIDNIGHT + 2).table is tables["second"]
    assert turned.policy.now().earlier_for(VIEW) is tables["earlier-later"]
    # A service that does not say when: what protects more often is taken for what decided.
    turned.policy.use(in_use(tables, activated_at=None))
    assert turned.policy.now().earlier_for(VIEW) is tables["first"]


def test_a_candidate_goes_by_its_own_dates(turned, tables):
    turned.policy.use(in_use(tables, candidate=True))
    moments = [(MIDNIGHT - 1, "candidate", "first"), (MIDNIGHT, "candidate", "second")]
    for moment, staged, active in (*moments, (MIDNIGHT + 14 * 86_400, "staged", "second")):
        policy = turned.at(moment)
        assert (policy.table_for(CHOSEN), policy.table_for(VIEW)) == (tables[staged], tables[active])
        assert policy.earlier_for(CHOSEN) is tables[active]
