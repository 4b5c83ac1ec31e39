"""A catalogue that is behind what was written: how processes notice it, and how it comes to agree with the buckets."""

import json
import threading

import pytest
from sqlalchemy import delete

from nightlight.catalogue.position import CURRENT, REPLAYING
from nightlight.catalogue.schema import rendition_hashes, renditions
from nightlight.delivery.object_names import ObjectNames
from nightlight.delivery.purge import EdgePurge
from nightlight.flows.restore import position_watch, write_position
from nightlight.flows.restore.compare_stores import Compared, CompareStores
from nightlight.flows.restore.mend_restored import MendRestored, PolicyDiffers
from nightlight.flows.restore.position_marker import MARKER_KEY, PositionMarker, read_marker, write_marker
from nightlight.flows.restore.position_watch import PositionWatch
from nightlight.flows.restore.purge_restored import PurgeRestored
from nightlight.flows.restore.write_position import WritePosition
from nightlight.flows.retention.erase import ReplicaBucket
from nightlight.store.interface import put_bytes, replace_bytes
from nightlight.store.local import LocalStore
from nightlight_core.errors import CatalogueRestored, CatalogueUnavailable, InvalidInput, StoreDenied, StoreUnavailable
from tests.support.flow_container import HASHER

pytestmark = pytest.mark.integration
NAMES = ObjectNames(bytes(32))


@pytest.fixture(autouse=True)
def of_its_own(services):
    """The catalogue is shared with other tests, the stores are not."""
    with services.catalogue.transaction() as tx:
        tx.connection.exec_driver_sql("UPDATE catalogue_position SET number = 0, state = 'current', restored_at = 0")
        tx.connection.execute(delete(rendition_hashes))
        tx.connection.execute(delete(renditions))  # of pictures of other tests: the stores are other ones
    yield
    services.catalogue.gate = lambda _: None


def marked(number, **fields):
    return PositionMarker(
        **{"number": number, "at": 1, "audit": 0, "policy": 0, "candidate": 0, "receipt": "", **fields}
    )


def position(services):
    with services.catalogue.reading() as tx:
        return tx.position.get()


def mending(services, replicas=()):
    compare = CompareStores(
        services.catalogue, services.originals, services.renditions, NAMES.placeholders(), services.clock,
        EdgePurge(None, token=None, timeout_s=1), replicas,
    )  # fmt: skip
    purge = PurgeRestored(services.catalogue, services.delete, HASHER)
    return MendRestored(services.catalogue, services.renditions, purge, compare, services.clock)


def writing(services):
    return WritePosition(services.catalogue, services.renditions, services.clock)


def ready(services, profile_id):
    image_id = services.upload(profile_id).image_id
    services.deliver()
    assert services.state(image_id) == "ready"
    return image_id


def test_the_marker_follows_what_changes_and_rests_when_nothing_does(services, profile_id):
    schedule = writing(services)
    assert schedule.run_once()
    first = read_marker(services.renditions)
    assert first.number == position(services).number == 1
    services.clock.forward(seconds=write_position._EVERY_S)
    assert not schedule.run_once()
    services.upload(profile_id)
    assert not schedule.run_once()  # not so soon
    services.clock.forward(seconds=write_position._EVERY_S)
    assert schedule.run_once()
    second = read_marker(services.renditions)
    assert (second.number, second.audit > first.audit) == (2, True)
    services.clock.forward(days=1)
    assert schedule.run_once()  # a lifecycle rule counts the days of the object


def test_a_catalogue_behind_the_marker_is_left_alone_and_nothing_of_it_is_used(services):
    write_marker(services.renditions, marked(7))
    assert not writing(services).run_once()
    assert (read_marker(services.renditions), position(services).number) == (marked(7), 0)
    watch = PositionWatch(services.catalogue, services.renditions)
    assert watch.readiness() == "catalogue_restored"
    services.catalogue.gate = watch.refuse
    with pytest.raises(CatalogueRestored), services.catalogue.transaction():
        pass
    with pytest.raises(CatalogueRestored), services.catalogue.reading():
        pass
    with services.catalogue.reading(gated=False) as tx:
        assert tx.position.get().number == 0


def test_a_catalogue_that_is_restored_under_a_running_process_is_noticed_without_the_store(services):
    watch = PositionWatch(services.catalogue, services.renditions)
    watch.look()
    with services.catalogue.transaction() as tx:
        tx.position.advance(5)
    with services.catalogue.reading() as tx:
        watch.check(tx, watch.expected())
    services.renditions.off.add("get")
    with services.catalogue.transaction() as tx:
        tx.connection.exec_driver_sql("UPDATE catalogue_position SET number = 5")
    with services.catalogue.reading() as tx, pytest.raises(CatalogueRestored):
        watch.check(tx, watch.expected())
    assert closed(services, watch)
    with services.catalogue.transaction() as tx:
        tx.position.advance(6)
    watch.look()
    assert not closed(services, watch)


def test_a_look_needs_no_store_once_the_marker_was_read(services):
    watch = PositionWatch(services.catalogue, services.renditions)
    with services.catalogue.transaction() as tx:
        tx.position.advance(5)
    watch.look()
    services.renditions.off.add("get")
    with services.catalogue.transaction() as tx:
        tx.connection.exec_driver_sql("UPDATE catalogue_position SET number = 5")
    watch._look_at = watch._marker_at = 0.0
    watch.look()
    assert closed(services, watch)


def test_the_first_transaction_of_a_connection_looks_before_it_does_anything(services):
    """A database is never exchanged without an end of its connections."""
    watch = PositionWatch(services.catalogue, services.renditions)
    with services.catalogue.transaction() as tx:
        tx.position.advance(5)
    watch.look()
    services.catalogue.gate = watch.refuse
    with services.catalogue.reading() as tx:
        tx.audit.last()
    services.catalogue.engine.dispose()
    with services.catalogue.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE catalogue_position SET number = 5")
    services.catalogue.engine.dispose()
    with pytest.raises(CatalogueRestored), services.catalogue.transaction():
        pass


def test_a_catalogue_that_is_half_restored_is_behind(services):
    watch = PositionWatch(services.catalogue, services.renditions)
    watch.look()
    assert not closed(services, watch)
    with services.catalogue.transaction() as tx:
        rows = tx.connection.exec_driver_sql(
            "DELETE FROM catalogue_position RETURNING number, state, restored_at"
        ).all()
    assert watch.readiness() == "catalogue_restored"
    assert closed(services, watch)
    with services.catalogue.transaction() as tx:
        number, state, restored_at = rows[0]
        tx.connection.exec_driver_sql(f"INSERT INTO catalogue_position VALUES (1, {number}, '{state}', {restored_at})")
    assert watch.readiness() is None


def test_a_database_that_does_not_answer_is_not_taken_for_a_restored_one(services):
    """Whoever looks meets a lock: that is an outage, and wakes nobody with the words of a restore."""
    if services.catalogue.engine.dialect.name != "postgresql":
        pytest.skip("readers of SQLite wait for no lock")
    watch = PositionWatch(services.catalogue, services.renditions)
    watch.look()
    with services.catalogue.engine.begin() as connection:
        connection.exec_driver_sql("LOCK TABLE catalogue_position IN ACCESS EXCLUSIVE MODE")
        assert watch.readiness() == "catalogue_unavailable"
    assert not closed(services, watch)


def test_a_marker_that_is_denied_counts_as_none_for_who_may_not_list_alone_and_is_not_written_over(
    services, monkeypatch
):
    write_marker(services.renditions, marked(7))
    monkeypatch.setattr(LocalStore, "get", lambda *_, **__: (_ for _ in ()).throw(StoreDenied("denied")))
    worker = PositionWatch(services.catalogue, services.renditions)
    service = PositionWatch(services.catalogue, services.renditions, may_list=False)
    for watch in (worker, service):
        watch.look()
    assert closed(services, worker)
    assert not closed(services, service)
    with pytest.raises(StoreDenied):
        writing(services).run_once()
    with pytest.raises(StoreDenied):
        mending(services).mend([], force=True)
    monkeypatch.undo()
    assert read_marker(services.renditions) == marked(7)
    service._marker_at = service._look_at = 0.0
    service.look()
    assert closed(services, service)


def closed(services, watch):
    """Say whether the gate keeps a transaction out."""
    with services.catalogue.reading(gated=False) as tx:
        try:
            watch.refuse(tx.connection)
        except (CatalogueRestored, CatalogueUnavailable):
            return True
    return False


def test_while_nobody_can_say_how_far_it_was_nothing_is_read_or_written(services):
    services.renditions.off.add("get")
    watch = PositionWatch(services.catalogue, services.renditions)
    watch.look()
    with pytest.raises(CatalogueUnavailable):
        watch.expected()
    assert closed(services, watch)
    assert watch.readiness() == "catalogue_unavailable"
    services.renditions.off.clear()
    watch.look()
    assert not closed(services, watch)
    services.renditions.off.add("get")
    assert not closed(services, watch)  # it was known a moment ago


def test_whoever_looks_again_and_again_ends_when_told_to(services, monkeypatch):
    monkeypatch.setattr(position_watch, "_LOOK_S", 0.01)
    stop, watch = threading.Event(), PositionWatch(services.catalogue, services.renditions)
    thread = threading.Thread(target=watch.run, args=(stop,))
    thread.start()
    stop.set()
    thread.join()
    assert not closed(services, watch)


GOOD = {"number": 1, "at": 1, "audit": 0, "policy": 0, "candidate": 0, "receipt": ""}
MALFORMED = {
    "nothing": b"",
    "no json": b"{",
    "another kind": b"[1, 2]",
    "a field less": json.dumps({"number": 1, "at": 1, "audit": 0, "policy": 0}).encode(),
    "a negative number": json.dumps(GOOD | {"number": -1}).encode(),
    "a huge number": json.dumps(GOOD | {"number": 2**63}).encode(),
    "a number as text": json.dumps(GOOD | {"number": "1"}).encode(),
    "true": json.dumps(GOOD | {"number": True}).encode(),
    "no hash": json.dumps(GOOD | {"receipt": "x" * 64}).encode(),
    "deep": b"[" * 3000,
    "long": b" " * 5000,
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_marker_is_refused_and_closes_everything(services, data):
    replace_bytes(services.renditions, MARKER_KEY, data, "application/json")
    with pytest.raises(StoreUnavailable):
        read_marker(services.renditions)
    watch = PositionWatch(services.catalogue, services.renditions)
    watch.look()
    assert closed(services, watch)


def test_a_marker_of_a_later_release_is_read(services):
    replace_bytes(services.renditions, MARKER_KEY, json.dumps(GOOD | {"more": [1]}).encode(), "application/json")
    assert read_marker(services.renditions) == marked(1)


def test_what_the_catalogue_does_not_know_is_erased_and_what_is_missing_is_rendered_again(services, profile_id):
    image_id = ready(services, profile_id)
    put_bytes(services.renditions, f"a/{NAMES.placeholder()}.webp", b"placeholder", "image/webp")
    before, generation = set(services.objects()), generation_of(services, profile_id)
    known = {f"a/{'b' * 32}.webp", f"p/{'c' * 64}.c2pa"}
    for key in known:
        put_bytes(services.renditions, key, b"unknown", "image/webp")
    put_bytes(services.originals, f"o/{'d' * 64}", b"unknown", "application/octet-stream")
    put_bytes(services.originals, "c/somewhere-else", b"has an end of its own", "application/octet-stream")
    compare = mending(services).compare
    assert compare.run() == Compared(0, (), 3, 0)
    assert set(services.objects()) == before | {"c/somewhere-else"}
    assert generation_of(services, profile_id) > generation + 1000

    with services.catalogue.reading() as tx:
        names = {name for name, _ in tx.images.rendition_names(image_id)}
    services.renditions.store.delete(next(key for key in services.shown() if NAMES.placeholder() not in key))
    assert compare.run().missing == 1
    with services.catalogue.reading() as tx:
        assert tx.images.rendition_names(image_id) == []
        assert tx.jobs.is_open(image_id, "rerender")
    assert not any(name in key for key in services.objects() for name in names)  # no name of before is there
    assert compare.run() == Compared(0, (), 0, 0)


def test_what_nobody_knows_goes_from_replicas_too_and_what_is_locked_stays_and_is_counted(
    services, profile_id, tmp_path, monkeypatch
):
    ready(services, profile_id)
    replica, key = LocalStore(tmp_path / "replica"), f"a/{'b' * 32}.webp"
    for store in (replica, services.renditions.store):
        put_bytes(store, key, b"unknown", "image/webp")
    compare = mending(services, [ReplicaBucket("renditions", "renditions replica r", replica)]).compare
    assert compare.run().unknown == 1
    assert list(replica.keys()) == []

    put_bytes(services.renditions.store, key, b"unknown", "image/webp")
    monkeypatch.setattr(LocalStore, "erase", lambda *_: (_ for _ in ()).throw(StoreDenied("locked")))
    monkeypatch.setattr(LocalStore, "locked_until", lambda *_: "")
    compared = mending(services).compare.run()
    assert (compared.unknown, compared.locked) == (0, 1)


def test_a_picture_whose_original_is_gone_too_is_counted(services, profile_id):
    image_id = ready(services, profile_id)
    for store in (services.originals.store, services.renditions.store):
        for key in list(store.keys()):
            store.delete(key)
    compared = mending(services).compare.run()
    assert (compared.missing, compared.lost) == (1, (image_id,))


def test_mended_it_shows_nothing_until_it_is_resumed_and_every_reader_begins_from_nothing(services, profile_id):
    ready(services, profile_id)
    with services.catalogue.reading() as tx:
        cursor = tx.feed.since(None).cursor
    write_marker(services.renditions, marked(50, audit=10**6, policy=3, receipt="e" * 64))
    mend = mending(services)
    mended = mend.mend([])
    assert (mended.receipts_missing, mended.policy, mended.policy_before) == (True, 0, 3)
    assert position(services).state == REPLAYING
    assert position(services).number > 50
    watch = PositionWatch(services.catalogue, services.renditions)
    assert watch.readiness() == "catalogue_restored"
    with services.catalogue.reading() as tx:
        assert tx.audit.last() > 2 * 10**6
        assert tx.feed.since(cursor).reset
    with services.catalogue.transaction() as tx:
        line = tx.audit.append("anything", now=services.clock(), actor="t")
        assert line > 2 * 10**6
    again = mend.mend([])
    assert (again.since, again.missing, again.unknown) == (mended.since, 0, 0)
    assert mend.resume() == PolicyDiffers(0, 3, 0, 0)
    assert position(services).state == REPLAYING
    assert mend.resume(policy_lost=True) is None
    assert position(services).state == CURRENT
    assert read_marker(services.renditions).number == position(services).number > 51
    assert watch.readiness() is None
    with pytest.raises(InvalidInput, match="nothing to resume"):
        mend.resume()


def test_a_catalogue_that_is_not_behind_is_mended_only_if_somebody_insists(services, profile_id):
    ready(services, profile_id)
    writing(services).run_once()
    with pytest.raises(InvalidInput, match="--force"):
        mending(services).mend([])
    assert position(services).state == CURRENT
    mending(services).mend([], force=True)
    mending(services).mend([])  # what was interrupted is run again
    assert position(services).state == REPLAYING


def generation_of(services, profile_id):
    with services.catalogue.reading() as tx:
        return tx.profiles.get(profile_id).generation
