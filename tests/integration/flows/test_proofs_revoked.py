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
from tests.support.flow_container import HASHER, Clock

pytestmark = pytest.mark.integration

P, V = "profile-p", "viewer-v"


@pytest.fixture
def services(fresh, table):
    """The flows that revoke, over a catalogue with one profile."""
    clock = Clock()
    vocabulary = {**table.attributes, "assurance": ("none", "verified")}
    components = SimpleNamespace(
        catalogue=fresh,
        clock=clock,
        declare=DeclareProfile(fresh, lambda: vocabulary, lambda: (table,), 30, clock, HASHER),
        delete=DeletePictures(fresh, clock),
        revoke=RevokeUrls(fresh, clock),
        block=BlockViewers(fresh, clock),
        expiry=Expiry(fresh, 24, 30, clock, HASHER),
    )
    declared(components)
    return components


def declared(services):
    declaration = Declaration("age_13_15", "verified", "eu", "connections")
    services.declare.declare(P, declaration, follow_band=False, actor="t")


def after(services, most=1000):
    with services.catalogue.reading() as tx:
        (inputs,) = seen(tx.connection, [P], most_blocked=most)
    return inputs.proofs_count_after()


def now(services):
    return int(services.clock().timestamp())


def event_changes(services, change):
    with services.catalogue.reading() as tx:
        cursor = tx.feed.since(None).cursor
    change()
    with services.catalogue.reading() as tx:
        return tx.feed.since(cursor).changed


def test_a_new_profile_has_no_revocations(services):
    assert after(services) == {}
    declared(services)
    services.declare.set_report_flag(P, "reported", actor="t")
    assert after(services) == {}


def test_a_revocation_is_of_every_viewer_and_the_feed_tells_of_it(services):
    assert (PROFILE, P) in event_changes(services, lambda: services.revoke.profile(P, actor="t"))
    assert after(services) == {EVERYBODY: now(services)}
    before = now(services)
    services.clock.forward(seconds=10)
    assert (PROFILE, P) in event_changes(services, lambda: services.revoke.profile(P, actor="t"))
    assert after(services) == {EVERYBODY: before + 10}


def test_a_clock_that_is_behind_takes_nothing_back(services):
    services.revoke.profile(P, actor="t")
    moment = now(services)
    services.clock.forward(seconds=-60)
    services.revoke.profile(P, actor="t")
    assert after(services) == {EVERYBODY: moment}


def test_a_block_and_its_end_are_of_the_pair_and_the_feed_tells_of_both(services):
    assert (PROFILE, P) in event_changes(services, lambda: services.block.block(P, V, actor="t"))
    first = now(services)
    assert after(services) == {V: first}
    services.clock.forward(seconds=60)
    services.block.block(P, V, actor="t")  # it was there already
    assert after(services) == {V: first}
    assert (PROFILE, P) in event_changes(services, lambda: services.block.unblock(P, V, actor="t"))
    assert after(services) == {V: first + 60}
    services.clock.forward(seconds=60)
    services.block.unblock(P, V, actor="t")  # nothing was there
    services.block.unblock(P, "another", actor="t")
    assert after(services) == {V: first + 60}


def test_a_deletion_keeps_nothing_and_a_profile_that_comes_back_starts_again(services):
    services.block.block(P, V, actor="t")
    services.delete.profile(P, actor="t")
    with services.catalogue.reading() as tx:
        assert seen(tx.connection, [P], most_blocked=10) == []
        assert tx.connection.exec_driver_sql("SELECT count(*) FROM proof_revocations").scalar_one() == 0
    services.clock.forward(seconds=60)
    declared(services)
    assert after(services) == {EVERYBODY: now(services)}


def test_where_pairs_are_too_many_to_tell_the_last_is_everybodys(services):
    for number in range(4):
        services.clock.forward(seconds=1)
        services.block.block(P, f"v{number}", actor="t")
    assert after(services, most=4) == {f"v{number}": now(services) - 3 + number for number in range(4)}
    assert after(services, most=3) == {EVERYBODY: now(services)}


def test_rows_are_kept_for_as_long_as_a_proof_of_before_can_count(services):
    services.revoke.profile(P, actor="t")
    kept = after(services)
    longest = timedelta(seconds=MAX_LIFE_S + 2 * MAX_LEEWAY_S)
    services.clock.now += longest
    services.expiry.run_once()
    assert after(services) == kept
    services.clock.forward(seconds=1)
    services.expiry.run_once()
    assert after(services) == {}


def test_nobody_is_revoked_by_what_is_rolled_back(services):
    with pytest.raises(RuntimeError), services.catalogue.transaction() as tx:
        tx.proof_revocations.add(P, services.clock(), V)
        raise RuntimeError
    assert after(services) == {}
