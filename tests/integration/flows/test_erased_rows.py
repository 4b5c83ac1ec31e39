"""Of what was erased no row is left but a tombstone and lines about a number, and what must outlast it does."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text, update

from nightlight.catalogue.events import TAKEN_DOWN
from nightlight.catalogue.profiles import Declaration
from nightlight.catalogue.retention_schema import tombstones
from nightlight.catalogue.schema import audit, changes, events, jobs, metadata, proof_revocations
from nightlight.cli import key_commands
from nightlight.flows.restore.purge_restored import Purged, PurgeRestored
from nightlight.flows.retention.receipt_issuer import ReceiptIssuer
from nightlight.flows.traces.search import TraceSearch
from nightlight.jobs import kinds
from nightlight.matching.index import HashIndex
from nightlight.policy.signing import SigningKey
from nightlight.retention.erasure_receipt import open_receipt, subject_digest
from nightlight.retention.erasure_subjects import SubjectHasher
from nightlight_core.keyring import KeyRing
from nightlight_core.policy.public_keys import PublicKeys
from tests.support.flow_container import HASHER

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return key_commands.init(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def erasing(services, keys):
    """The services, with receipts; what other tests asked for is done."""
    services.receipts = ReceiptIssuer(SigningKey.read(keys / "receipts.private.jwk.json"), (("database backups", 35),))
    services.__post_init__()
    later(services)
    return services


def later(services, **by):
    """Let time pass, and everything happen that is due by then."""
    services.clock.forward(**(by or {"hours": 2}))
    services.reconciler.run_once()
    return services.deliver()


def uploaded(services, profile_id):
    image = services.upload(profile_id, key=f"key-{profile_id}")
    assert services.deliver() == ["ready"]
    return image.image_id


def rows_with(services, *needles, but=()):
    """Return (table, column) of every value of the database that holds one of these texts."""
    columns = set()
    with services.catalogue.reading() as tx:
        for table in metadata.sorted_tables:
            for row in tx.connection.execute(table.select()).mappings():
                for column, value in row.items():
                    text_ = json.dumps(value, default=repr)
                    columns |= {(table.name, column) for needle in needles if needle in text_}
    return columns - set(but)


def receipts_of(services, keys):
    public = PublicKeys.read(keys / "receipts.jwks.json")
    with services.catalogue.reading() as tx:
        return [open_receipt(envelope, public) for _, envelope in tx.receipts.after(0, limit=10_000)]


def tombstone(services, profile_id):
    with services.catalogue.reading() as tx:
        return tx.tombstones.erased_at(HASHER.every(profile_id))


def test_after_the_second_proof_only_a_tombstone_and_lines_about_a_number_are_left(erasing, profile_id, keys):
    image_id = uploaded(erasing, profile_id)
    with erasing.catalogue.reading() as tx:
        original = tx.images.get(image_id).original_key
        planned = tx.jobs.planned_keys(image_id)
    with erasing.catalogue.transaction() as tx:
        tx.abuse_signals.note("viewer", profile_id, "canary", erasing.clock())
        tx.abuse_signals.plant(profile_id, erasing.clock())
        tx.proof_revocations.add("somebody-else", erasing.clock(), viewer_id=profile_id)
    assert len(planned) >= 4
    erasing.delete.profile(profile_id, actor="t")
    with erasing.catalogue.reading() as tx:  # at once: nothing of age, region or choice
        left = tx.profiles.get(profile_id)
        words = (left.band, left.asserted_band, left.assurance, left.region, left.choice)
        assert set(words) == {"unknown"}
        image = tx.images.get(image_id)
        assert (image.band, image.ceiling_band, image.width, image.height) == ("unknown", "unknown", 0, 0)
    assert erasing.deliver() == ["erased"]
    assert tombstone(erasing, profile_id) is None
    assert "verified" in later(erasing)
    but = {("changes", "key")}  # forgotten by itself, two hours after it was told
    assert rows_with(erasing, profile_id, original, *planned, but=but) == set()
    assert rows_with(erasing, image_id) == {("audit", "image_id"), ("receipts", "image_id")}
    assert tombstone(erasing, profile_id) == erasing.clock()
    subject = HASHER.subject(profile_id)
    own_receipts = [receipt for receipt in receipts_of(erasing, keys) if subject.digest in json.dumps(receipt.payload)]
    assert [(receipt.kind, receipt.payload["rows_removed"]) for receipt in own_receipts] == [
        ("erased", False), ("proved again", True), ("rows removed", True),
    ]  # fmt: skip
    stays = {left["what"]: left["until"] for left in own_receipts[-1].residuals}
    days = {
        what: (erasing.clock() + timedelta(days=number)).date().isoformat()
        for what, number in (("database backups", 35), ("audit log by image id", 100), ("tombstone", 400))
    }
    assert stays.items() >= days.items()
    assert "change feed" in stays
    assert erasing.delete.receipts(image_id)
    assert erasing.delete.erased(image_id)


def test_the_feed_is_not_told_that_rows_went(erasing, profile_id):
    uploaded(erasing, profile_id)
    erasing.delete.profile(profile_id, actor="t")
    erasing.deliver()
    with erasing.catalogue.transaction() as tx:
        before = tx.connection.execute(select(func.max(changes.c.change_id))).scalar_one()
    later(erasing)
    with erasing.catalogue.reading() as tx:
        query = select(changes.c.change_id).where(changes.c.change_id > before, changes.c.key == profile_id)
        told_since = tx.connection.execute(query).all()
    # Of the image alone, while its profile is there; of none of the removed rows.
    assert rows_with(erasing, profile_id) <= {("changes", "key")}
    assert told_since == []


def test_a_profile_without_images_goes_by_a_job_of_its_own(erasing, profile_id, keys):
    erasing.delete.profile(profile_id, actor="t")
    assert "removed" in erasing.deliver()
    assert rows_with(erasing, profile_id, but={("changes", "key")}) == set()
    assert tombstone(erasing, profile_id) == erasing.clock()
    assert receipts_of(erasing, keys)[-1].kind == "rows removed"


def test_an_image_of_a_kept_profile_goes_and_the_profile_stays(erasing, profile_id, keys):
    image_id = uploaded(erasing, profile_id)
    erasing.delete.image(image_id, actor="t")
    assert erasing.deliver() == ["erased"]
    assert "verified" in later(erasing)
    assert rows_with(erasing, image_id) == {("audit", "image_id"), ("receipts", "image_id")}
    with erasing.catalogue.reading() as tx:
        assert tx.profiles.get(profile_id).state == "live"
    assert tombstone(erasing, profile_id) is None
    assert "profile" not in receipts_of(erasing, keys)[-1].payload


@pytest.mark.parametrize("hasher", [HASHER, SubjectHasher(KeyRing({"e1": b"x" * 32}))], ids=["known", "key lost"])
def test_proofs_of_before_count_for_nothing_when_the_id_is_declared_anew(erasing, profile_id, hasher):
    uploaded(erasing, profile_id)
    erasing.delete.profile(profile_id, actor="t")
    erasing.deliver()
    later(erasing)
    declare = replace(erasing.declare, hasher=hasher)
    _, new, _ = declare.declare(
        profile_id, Declaration("adult", "verified", "eu", "everyone"), follow_band=False, actor="t"
    )
    assert new
    with erasing.catalogue.reading() as tx:
        query = select(proof_revocations.c.revoked_at).where(proof_revocations.c.profile_id == profile_id)
        assert tx.connection.execute(query).scalars().all() == [int(erasing.clock().timestamp())]
        assert tx.profiles.get(profile_id).report_flag == "clear"


def test_a_lost_key_is_said_and_an_old_one_finds_what_it_wrote(erasing, profile_id):
    erasing.delete.profile(profile_id, actor="t")
    erasing.deliver()
    rotated = SubjectHasher(KeyRing({"e2": b"n" * 32, "e1": b"e" * 32}))
    lost = SubjectHasher(KeyRing({"e1": b"other" * 8}))  # of the same name, and another key
    with erasing.catalogue.reading() as tx:
        assert tx.tombstones.erased_at(rotated.every(profile_id)) is not None
        assert tx.tombstones.unreadable(rotated.key_ids) == {}
        assert tx.tombstones.erased_at(lost.every(profile_id)) is None
        assert set(tx.tombstones.unreadable(lost.key_ids)) == {HASHER.subject(profile_id).key_id}


def test_what_somebody_works_on_at_that_moment_keeps_its_rows_until_they_are_done(erasing, profile_id, keys):
    image_id = uploaded(erasing, profile_id)
    erasing.delete.profile(profile_id, actor="t")
    erasing.deliver()
    with erasing.catalogue.transaction() as tx:  # a render that was begun before, and goes on and on
        until = erasing.clock() + timedelta(hours=3)
        of_render = jobs.c.image_id == image_id, jobs.c.kind == kinds.RENDER.name
        tx.connection.execute(update(jobs).where(*of_render).values(state="leased", lease_until=until))
    assert "verified" in later(erasing)
    assert not receipts_of(erasing, keys)[-1].payload["rows_removed"]
    with erasing.catalogue.reading() as tx:
        assert tx.images.get(image_id) is not None
    assert "verified" in later(erasing)
    with erasing.catalogue.reading() as tx:
        assert tx.images.get(image_id) is None
    assert tombstone(erasing, profile_id) is not None


def test_what_an_earlier_release_left_behind_is_found_by_the_sweep_and_goes(erasing, profile_id, sweep):
    image_id = uploaded(erasing, profile_id)
    erasing.delete.profile(profile_id, actor="t")
    erasing.deliver()
    with erasing.catalogue.transaction() as tx:  # that release's last job was done, and the rows stayed
        done = jobs.c.image_id == image_id
        tx.connection.execute(update(jobs).where(done).values(state="done", lease_until=None))
    sweep = replace(sweep, leftovers=erasing.rows.leftovers)
    assert sweep.batch()["rows"] >= 1
    erasing.reconciler.run_once()
    assert "verified" in erasing.deliver()
    assert tombstone(erasing, profile_id) is not None
    assert rows_with(erasing, profile_id, but={("changes", "key")}) == set()


def test_lines_about_an_erased_image_go_after_their_days_and_no_others(erasing, profile_id):
    image_id = uploaded(erasing, profile_id)
    erasing.delete.profile(profile_id, actor="t")
    erasing.deliver()
    later(erasing)

    def lines(*where):
        with erasing.catalogue.reading() as tx:
            return tx.connection.execute(select(func.count()).select_from(audit).where(*where)).scalar_one()

    assert lines(audit.c.image_id == image_id) >= 4
    others = lines(audit.c.image_id.is_(None))
    erasing.clock.forward(days=99)
    erasing.rows.leftovers()
    assert lines(audit.c.image_id == image_id) >= 4
    erasing.clock.forward(days=2)
    erasing.rows.leftovers()
    assert lines(audit.c.image_id == image_id) == 0
    assert lines(audit.c.image_id.is_(None)) >= others


def test_tombstones_go_after_their_days(erasing, profile_id):
    erasing.delete.profile(profile_id, actor="t")
    erasing.deliver()
    erasing.clock.forward(days=399)
    erasing.rows.leftovers()
    assert tombstone(erasing, profile_id) is not None
    erasing.clock.forward(days=2)
    erasing.rows.leftovers()
    with erasing.catalogue.reading() as tx:
        assert tx.connection.execute(select(func.count()).select_from(tombstones)).scalar_one() == 0


def test_a_restored_catalogue_is_purged_of_whom_receipts_tell_and_of_nobody_else(erasing, profile_id, keys):
    """What stands for the backup: rows written again as they were before the erasure."""
    erased, anew = f"{profile_id}-erased", f"{profile_id}-anew"
    words = Declaration("age_13_15", "verified", "eu", "connections")
    for name in (erased, anew):
        erasing.declare.declare(name, words, follow_band=False, actor="t")
        erasing.delete.profile(name, actor="t")
    erasing.deliver()
    digests = {HASHER.subject(name).digest for name in (erased, anew)}
    every = receipts_of(erasing, keys)
    own_receipts = [receipt for receipt in every if receipt.payload.get("profile", {}).get("hmac_sha256") in digests]
    image_id = uploaded(erasing, profile_id)
    with erasing.catalogue.transaction() as tx:
        tx.connection.execute(tombstones.delete())  # the backup is older
        tx.profiles.declare(erased, words, erasing.clock() - timedelta(days=3))
    erasing.clock.forward(minutes=1)
    erasing.declare.declare(anew, words, follow_band=False, actor="t")
    image_receipt = replace(own_receipts[-1], payload={"subject_sha256": subject_digest(image_id)})
    purge = PurgeRestored(erasing.catalogue, erasing.delete, HASHER)
    assert purge.run([*own_receipts, image_receipt]) == Purged(1, 1, ())
    with erasing.catalogue.reading() as tx:
        states = {name: tx.profiles.get(name).state for name in (profile_id, erased, anew)}
        assert states == {profile_id: "live", erased: "deleted", anew: "live"}
        assert tx.images.get(image_id).state == "deleted"
    assert purge.run([*own_receipts, image_receipt]) == Purged(0, 0, ())
    lost = replace(purge, hasher=SubjectHasher(KeyRing({"e2": b"n" * 32})))
    assert lost.run(own_receipts).keys_lost == (HASHER.subject(erased).key_id,)


def test_an_erased_hash_leaves_the_files_of_the_index(erasing, profile_id, tmp_path):
    folder, gone = tmp_path / "index", bytes(range(100, 132))
    uploaded(erasing, profile_id)
    with erasing.catalogue.reading() as tx:
        number, kept = tx.rendition_hashes.after(0, limit=10_000)[-1]
    search = TraceSearch(erasing.catalogue, folder, None, None, erasing.clock)
    assert search.forget_erased() == 0  # no index yet
    with HashIndex(folder, write=True) as index:
        index.extend([(number.to_bytes(16, "big"), kept), ((10**9).to_bytes(16, "big"), gone)])
        index.seal()
    assert search.forget_erased() == 1
    left = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert kept in left
    assert gone not in left
    assert search.forget_erased() == 0


def test_rows_of_what_was_not_deleted_cannot_be_removed(erasing, profile_id):
    uploaded(erasing, profile_id)
    for statement in ("DELETE FROM images WHERE state = 'ready'", "DELETE FROM profiles WHERE state = 'live'"):
        with erasing.catalogue.engine.connect() as connection, pytest.raises(Exception, match="that were deleted"):
            connection.execute(text(statement))


def test_events_about_what_was_erased_go_with_it_taken_or_not(erasing, profile_id):
    """About an image with the image, though its profile stays; about a profile with the profile."""
    first = uploaded(erasing, profile_id)
    second = erasing.upload(profile_id).image_id
    erasing.deliver()
    with erasing.catalogue.transaction() as tx:
        for image_id in (first, first, second):
            tx.events.add(profile_id, erasing.clock(), kind=TAKEN_DOWN, image_id=image_id)
        taken, *_ = tx.events.listed(limit=1)
        tx.events.taken(taken.event_id, erasing.clock(), status=204)

    def about():
        own = events.select().where(events.c.profile_id == profile_id)
        with erasing.catalogue.reading() as tx:
            return {row.image_id for row in tx.connection.execute(own)}

    assert about() >= {first, second}
    erasing.delete.image(first, actor="t")
    erasing.deliver()
    later(erasing)
    assert first not in about()
    assert second in about()
    erasing.delete.profile(profile_id, actor="t")
    erasing.deliver()
    later(erasing)
    assert about() == set()
