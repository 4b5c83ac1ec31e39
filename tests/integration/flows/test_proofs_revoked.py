"""Proofs that were issued before a revocation: every way to revoke, on both databases, and by the feed."""

from datetime import timedelta
from types import SimpleNamespace

import pytest

from nightlight.catalogue.decision_inputs import seen
from nightlight.catalogue.feed import PROFILE
from nightlight.catalogue.profiles import Declaration
from nightlight.catalogue.proof_revocations import EVERYBODY
from nightlight.flows.decisions.blocks import BlockViewers
from nightlight.flows.pictures.delete import DeletePictures
from nightlight.flows.pictures.profiles import DeclareProfile
from nightlight.flows.pictures.revoke import RevokeUrls
from nightlight.flows.retention.expiry import Expiry
from nightlight_core.decisions.relation_proofs import MAX_LEEWAY_S, MAX_LIFE_S
from tests.support.house import Clock

pytestmark = pytest.mark.integration

P, V = "profile-p", "viewer-v"


@pytest.fixture
def house(fresh, table):
    """The flows that revoke, over a catalogue with one profile."""
    clock = Clock()
    words = {**table.attributes, "assurance": ("none", "verified")}
    made = SimpleNamespace(
        catalogue=fresh,
        clock=clock,
        declare=DeclareProfile(fresh, lambda: words, lambda: (table,), 30, clock),
        delete=DeletePictures(fresh, clock),
        revoke=RevokeUrls(fresh, clock),
        block=BlockViewers(fresh, clock),
        expiry=Expiry(fresh, 24, 30, clock),
    )
    declared(made)
    return made


def declared(house):
    said = Declaration("age_13_15", "verified", "eu", "connections")
    house.declare.declare(P, said, follow_band=False, actor="t")


def after(house, most=1000):
    with house.catalogue.reading() as tx:
        (found,) = seen(tx.connection, [P], most_blocked=most)
    return found.proofs_count_after()


def now(house):
    return int(house.clock().timestamp())


def told(house, change):
    with house.catalogue.reading() as tx:
        cursor = tx.feed.since(None).cursor
    change()
    with house.catalogue.reading() as tx:
        return tx.feed.since(cursor).changed


def test_a_new_profile_has_no_revocations(house):
    assert after(house) == {}
    declared(house)
    house.declare.set_report_flag(P, "reported", actor="t")
    assert after(house) == {}


def test_a_revocation_is_of_every_viewer_and_the_feed_tells_of_it(house):
    assert (PROFILE, P) in told(house, lambda: house.revoke.profile(P, actor="t"))
    assert after(house) == {EVERYBODY: now(house)}
    before = now(house)
    house.clock.forward(seconds=10)
    assert (PROFILE, P) in told(house, lambda: house.revoke.profile(P, actor="t"))
    assert after(house) == {EVERYBODY: before + 10}


def test_a_clock_that_is_behind_takes_nothing_back(house):
    house.revoke.profile(P, actor="t")
    moment = now(house)
    house.clock.forward(seconds=-60)
    house.revoke.profile(P, actor="t")
    assert after(house) == {EVERYBODY: moment}


def test_a_block_and_its_end_are_of_the_pair_and_the_feed_tells_of_both(house):
    assert (PROFILE, P) in told(house, lambda: house.block.block(P, V, actor="t"))
    first = now(house)
    assert after(house) == {V: first}
    house.clock.forward(seconds=60)
    house.block.block(P, V, actor="t")  # it was there already
    assert after(house) == {V: first}
    assert (PROFILE, P) in told(house, lambda: house.block.unblock(P, V, actor="t"))
    assert after(house) == {V: first + 60}
    house.clock.forward(seconds=60)
    house.block.unblock(P, V, actor="t")  # nothing was there
    house.block.unblock(P, "another", actor="t")
    assert after(house) == {V: first + 60}


def test_a_deletion_keeps_nothing_and_a_profile_that_comes_back_begins_anew(house):
    house.block.block(P, V, actor="t")
    house.delete.profile(P, actor="t")
    with house.catalogue.reading() as tx:
        assert seen(tx.connection, [P], most_blocked=10) == []
        assert tx.connection.exec_driver_sql("SELECT count(*) FROM proof_revocations").scalar_one() == 0
    house.clock.forward(seconds=60)
    declared(house)
    assert after(house) == {EVERYBODY: now(house)}


def test_where_pairs_are_too_many_to_tell_the_last_is_everybodys(house):
    for number in range(4):
        house.clock.forward(seconds=1)
        house.block.block(P, f"v{number}", actor="t")
    assert after(house, most=4) == {f"v{number}": now(house) - 3 + number for number in range(4)}
    assert after(house, most=3) == {EVERYBODY: now(house)}


def test_rows_are_kept_for_as_long_as_a_proof_of_before_can_count(house):
    house.revoke.profile(P, actor="t")
    kept = after(house)
    longest = timedelta(seconds=MAX_LIFE_S + 2 * MAX_LEEWAY_S)
    house.clock.now += longest
    house.expiry.run_once()
    assert after(house) == kept
    house.clock.forward(seconds=1)
    house.expiry.run_once()
    assert after(house) == {}


def test_nobody_is_revoked_by_what_is_rolled_back(house):
    with pytest.raises(RuntimeError), house.catalogue.transaction() as tx:
        tx.proof_revocations.add(P, house.clock(), V)
        raise RuntimeError
    assert after(house) == {}
