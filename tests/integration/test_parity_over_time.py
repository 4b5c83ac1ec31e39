"""No change of an age can be seen from outside, and the test that says so sees one that can."""

from collections import Counter

import pytest

from nightlight.flows.decisions.change_feed import ChangeFeedPoller
from nightlight.imaging import notice_views
from nightlight_core.decisions import profile_views
from tests.parity.gone import unlike
from tests.parity.lives import BANDS, Script, lives, scripts
from tests.parity.over_time import watched
from tests.parity.world import World

pytestmark = pytest.mark.integration

SEED = 3


def test_nothing_that_an_outsider_records_over_time_follows_an_age():
    seen = watched(scripts(3, 1, SEED), SEED)
    assert set(seen.begun) == set(BANDS)
    assert [str(difference) for difference in seen.differences] == []


def test_notices_and_erasures_tell_an_outsider_no_age():
    """A notice, an upload while it stands, its undoing, an erasure: of five ages at the same moments."""
    events = ("upload", "takedown", "nothing", "upload", "undo", "takedown", "delete_image", "upload", "delete_profile")
    script = Script(8, events, ("connections",) * len(events), ("eu",) * len(events), 4)
    seen = watched([script], SEED)
    assert set(seen.begun) == set(BANDS)
    assert [str(difference) for difference in seen.differences] == []


def test_what_is_taken_down_or_erased_looks_like_what_never_was(monkeypatch):
    monkeypatch.setattr(notice_views, "STEP", 0.1)
    with World() as world:
        assert list(unlike(world)) == []


@pytest.mark.parametrize("most", [profile_views.MOST_AGAIN, 0])
def test_no_decision_takes_longer_because_of_what_was_said_before_it(most, monkeypatch):
    """A decision reads what nobody has asked for before. Where it must read what has changed, it says who was declared."""
    read, by_decision = Counter(), ChangeFeedPoller.read

    def reading(poller, profile_ids, **options):
        read.update(profile_ids)
        return by_decision(poller, profile_ids, **options)

    monkeypatch.setattr(ChangeFeedPoller, "read", reading)
    monkeypatch.setattr(profile_views, "MOST_AGAIN", most)
    monkeypatch.setattr(profile_views, "LIFE_S", 1e6)
    drawn = scripts(2, 0, SEED)
    watched(drawn, SEED)
    assert {life.profile_id for script in drawn for life in lives(script, SEED)} == set(read)
    assert (set(read.values()) == {1}) == (most > 0)


def test_names_that_change_with_an_age_are_found_out():
    """A platform that has pictures named anew at each birthday: a placeholder for a moment, then another name."""
    seen = watched(scripts(1, 0, SEED), SEED, leak=lambda client, profile_id: client.revoke(profile_id))
    fields = {difference.when: {field for field, *_ in difference.fields} for difference in seen.differences}
    # Where outsiders were shown nothing at the birthday, the other name is seen at the next look.
    assert {"in between"} <= fields.keys() <= {"in between", "before"}
    assert "placeholder" in fields["in between"]
    assert fields.get("before", {"name"}) == {"name"}
