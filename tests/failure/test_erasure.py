"""Erasures on the real S3 server with versions: killed at every step, resumed, nothing left, and a receipt of it."""

import io
import json
import os
import signal
import time
from datetime import UTC, datetime, timedelta

import pytest

from nightlight.cli import key_commands
from nightlight.delivery.object_names import ObjectNames
from nightlight.delivery.purge import EdgePurge
from nightlight.flows.pictures.delete import DeletePictures
from nightlight.flows.retention.erase import EraseObjects
from nightlight.flows.retention.receipt_issuer import ReceiptIssuer
from nightlight.flows.retention.remove_rows import RemoveErasedRows
from nightlight.jobs import kinds
from nightlight.jobs.enqueue import enqueue
from nightlight.jobs.runner import JobRunner
from nightlight.policy.signing import SigningKey
from nightlight.retention.erasure_receipt import chain_faults, open_receipt, subject_digest
from nightlight.settings.process import WorkerSettings
from nightlight.store.s3 import S3Access, S3Store
from nightlight_core.errors import StoreUnavailable
from nightlight_core.policy.public_keys import PublicKeys
from tests.support.buckets import bucket_pair
from tests.support.databases import catalogue_on
from tests.support.flow_container import HASHER
from tests.support.services import S3_WORKER, identity

pytestmark = [pytest.mark.failure, pytest.mark.integration]

TIERS = ("tiny", "low", "medium")


@pytest.fixture(scope="module")
def pair():
    with bucket_pair() as buckets:
        for name in (buckets.originals, buckets.renditions):
            buckets.owner.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        yield buckets
        for name in (buckets.originals, buckets.renditions):
            for page in buckets.owner.get_paginator("list_object_versions").paginate(Bucket=name):
                for version in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                    buckets.owner.delete_object(Bucket=name, Key=version["Key"], VersionId=version["VersionId"])


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def catalogue(request, tmp_path_factory):
    with catalogue_on(request.param, tmp_path_factory.mktemp("c")) as opened:
        yield opened


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    keys_folder = tmp_path_factory.mktemp("keys")
    key_commands.init(keys_folder)
    return keys_folder / "keys"


@pytest.fixture(autouse=True)
def closed():
    """Every connection that a test opened is closed at its end."""
    yield
    opened, Places.opened = Places.opened, ()
    for place in opened:
        place.close()


@pytest.fixture
def public(folder):
    return PublicKeys.read(folder / "receipts.jwks.json")


class Places:
    """What an erasure reaches, made anew for each process: clients and connections are not carried over a fork."""

    opened = ()

    def __init__(self, pair, url, folder, before=None):
        from nightlight.catalogue.engine import Catalogue

        access = S3Access(pair.endpoint, "us-east-1", *identity(S3_WORKER), 2, 10)
        self.catalogue = Catalogue(url)
        Places.opened = (*Places.opened, self.catalogue)
        stores = [Stepped(S3Store(name, access), before) for name in (pair.originals, pair.renditions)]
        receipts = ReceiptIssuer(SigningKey.read(folder / "receipts.private.jwk.json"), (("database backups", 35),))
        work = JobRunner(self.catalogue, WorkerSettings(), lambda: datetime.now(UTC))
        purge = Stepped(EdgePurge(None, token=None, timeout_s=1), before)
        self.erase = EraseObjects(
            work, *stores, purge, RemoveErasedRows(work, HASHER, receipts, 400, lambda: 100), 3600
        )
        if before is not None:
            finish = EraseObjects._finish

            def stepped(*arguments, **named):
                before()
                return finish(*arguments, **named)

            EraseObjects._finish = stepped


class Stepped:
    """Calls ``before`` before every call: that is where a process is killed."""

    def __init__(self, real, before):
        self._real, self._before = real, before

    def __getattr__(self, name):
        method = getattr(self._real, name)

        def call(*arguments, **named):
            if self._before is not None:
                self._before()
            return method(*arguments, **named)

        return call


def url_of(catalogue):
    return catalogue.engine.url.render_as_string(hide_password=False)


def uploaded(catalogue, pair, name):
    """An image as a worker leaves it, with earlier versions, a delete marker and an unfinished upload besides."""
    from sqlalchemy import insert

    from nightlight.catalogue.images import RenditionRow
    from nightlight.catalogue.schema import images, profiles
    from nightlight_core.ids import new_image_id

    now, image_id, original = datetime.now(UTC), new_image_id(), f"o/{name}"
    names = {tier: ObjectNames(bytes(32)).rendition(image_id, tier, 0, "r") for tier in TIERS}
    with catalogue.transaction() as tx:
        tx.connection.execute(insert(profiles).values(
            profile_id=name, state="live", band="adult", assurance="verified", region="eu", choice="connections",
            report_flag="clear", asserted_at=now, generation=0, uploads=1, current_image_id=image_id, asserted_band="adult",
            created_at=now))  # fmt: skip
        tx.connection.execute(insert(images).values(
            image_id=image_id, profile_id=name, sequence=1, state="ready", original_key=original, original_bytes=1,
            format="jpeg", width=1, height=1, band="adult", ceiling_band="adult", created_at=now))  # fmt: skip
        tx.images.add_renditions(
            image_id, [RenditionRow(names[tier], tier, 0, "r", "webp", 1, 1, 1, "0" * 64) for tier in TIERS], now
        )
        # A worker that was killed while it rendered: what it planned to write counts too.
        enqueue(tx, kinds.RENDER, image_id, now, planned=[f"a/{'z' * 32}{name}.webp"])
    leftover = f"a/{'z' * 32}{name}.webp"
    rendition_keys = [f"a/{name}.webp" for name in names.values()] + [leftover]
    for bucket, key in [(pair.originals, original), *((pair.renditions, key) for key in rendition_keys)]:
        for version in range(2):
            pair.owner.put_object(Bucket=bucket, Key=key, Body=f"{version}".encode())
    pair.owner.delete_object(Bucket=pair.renditions, Key=rendition_keys[0])  # leaves a marker
    pair.owner.create_multipart_upload(Bucket=pair.originals, Key=original)
    return image_id, original, rendition_keys


def left(pair, original, rendition_keys):
    leftovers = []
    for bucket, keys_ in ((pair.originals, [original]), (pair.renditions, rendition_keys)):
        for key in keys_:
            page = pair.owner.list_object_versions(Bucket=bucket, Prefix=key)
            leftovers += page.get("Versions", []) + page.get("DeleteMarkers", [])
            leftovers += pair.owner.list_multipart_uploads(Bucket=bucket, Prefix=key).get("Uploads", [])
    return leftovers


def asked(catalogue, image_id):
    """Ask for the erasure; the id of its job."""
    from sqlalchemy import select

    from nightlight.catalogue.schema import jobs as table

    DeletePictures(catalogue, lambda: datetime.now(UTC)).image(image_id, actor="t")
    with catalogue.reading() as tx:
        query = select(table.c.job_id).where(table.c.image_id == image_id, table.c.kind == kinds.ERASE.name)
        return tx.connection.execute(query).scalar_one()


def receipts(catalogue, image_id, public):
    with catalogue.reading() as tx:
        return [open_receipt(envelope, public) for envelope in tx.receipts.of_image(image_id)]


def test_every_version_marker_and_upload_is_gone_and_the_receipt_says_so(
    catalogue, pair, folder, public, record_property
):
    image_id, original, rendition_keys = uploaded(catalogue, pair, f"whole-{os.urandom(4).hex()}")
    assert len(left(pair, original, rendition_keys)) == 12
    begin, asked_at = time.monotonic(), datetime.now(UTC)
    job_id = asked(catalogue, image_id)
    places = Places(pair, url_of(catalogue), folder)
    assert places.erase.run(job_id, redelivered=False) == "erased"
    record_property("erased_s", time.monotonic() - begin)
    assert left(pair, original, rendition_keys) == []
    (receipt,) = receipts(catalogue, image_id, public)
    assert (receipt.kind, receipt.objects, receipt.versions) == ("erased", 5, 12)
    objects = {entry["key_sha256"]: entry for entry in receipt.payload["objects"]}
    assert objects.keys() == {subject_digest(key) for key in [original, *rendition_keys]}
    assert sum(version["marker"] for entry in objects.values() for version in entry["versions"]) == 1
    assert all(version["request_id"] for entry in objects.values() for version in entry["versions"])
    backups, rows = receipt.residuals
    assert rows["what"] == "rows of the catalogue"
    kept = timedelta(days=35)
    assert (asked_at + kept).date().isoformat() <= backups["until"] <= (datetime.now(UTC) + kept).date().isoformat()
    whole = json.dumps(receipt.payload)
    assert image_id not in whole
    assert original not in whole
    assert places.erase.run(job_id, redelivered=True) == "nothing"


def killed_at(step, pair, url, folder, job_id):
    """Erase in a process of its own that is killed before its step-th call; say whether it came that far."""
    child = os.fork()
    if child == 0:
        calls = 0

        def before():
            nonlocal calls
            calls += 1
            if calls == step:
                os.kill(os.getpid(), signal.SIGKILL)

        Places(pair, url, folder, before).erase.run(job_id, redelivered=True)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def test_killed_at_every_step_it_is_resumed_and_nothing_is_left(catalogue, pair, folder, public):
    url = url_of(catalogue)
    catalogue.close()  # no connection is carried over a fork
    step, kills = 1, 0
    while True:
        name = f"killed-{step}-{os.urandom(4).hex()}"
        image_id, original, rendition_keys = uploaded(catalogue, pair, name)
        job_id = asked(catalogue, image_id)
        catalogue.close()
        was_killed = killed_at(step, pair, url, folder, job_id)
        if was_killed:
            kills += 1
            places = Places(pair, url, folder)
            assert places.erase.run(job_id, redelivered=True) == "erased"
            places.catalogue.close()
        assert left(pair, original, rendition_keys) == []
        (receipt,) = receipts(catalogue, image_id, public)
        # Whatever an attempt that was killed had deleted is named too.
        assert (receipt.objects, receipt.versions) == (5, 12)
        assert all(entry["left"] == 0 for entry in receipt.payload["objects"])
        if not was_killed:
            break
        step += 1
    assert kills == 17  # five keys listed, then erased and listed again; the purge, the end
    with catalogue.reading() as tx:
        chain = [open_receipt(envelope, public) for _, envelope in tx.receipts.after(0, limit=1000)]
    assert chain_faults(chain) == []


def test_what_comes_back_is_found_and_deleted_again(catalogue, pair, folder, public):
    """A worker that was slow to die puts a rendition after its image was erased."""
    from sqlalchemy import select

    from nightlight.catalogue.schema import jobs as table

    image_id, original, rendition_keys = uploaded(catalogue, pair, f"back-{os.urandom(4).hex()}")
    places = Places(pair, url_of(catalogue), folder)
    assert places.erase.run(asked(catalogue, image_id), redelivered=False) == "erased"
    places.erase.renditions.put(rendition_keys[-1], io.BytesIO(b"late"), sha256="0" * 64, content_type="image/webp")
    assert len(left(pair, original, rendition_keys)) == 1
    with catalogue.reading() as tx:
        query = select(table.c.job_id).where(table.c.image_id == image_id, table.c.kind == kinds.VERIFY_ERASURE.name)
        again = tx.connection.execute(query).scalar_one()
    assert places.erase.verify(again, redelivered=False) == "verified"
    assert left(pair, original, rendition_keys) == []
    first, second = receipts(catalogue, image_id, public)
    assert (second.kind, second.objects, second.versions) == ("proved again", 5, 1)
    assert chain_faults([first, second]) == [] or second.previous != first.hash  # others may have come between


def test_a_server_that_keeps_something_is_asked_again_later(catalogue, pair, folder, public):
    image_id, original, rendition_keys = uploaded(catalogue, pair, f"kept-{os.urandom(4).hex()}")
    places = Places(pair, url_of(catalogue), folder)
    real = places.erase.renditions._real
    places.erase.renditions._real = Keeps(real)
    job_id = asked(catalogue, image_id)
    assert places.erase.run(job_id, redelivered=False) == "later"
    assert receipts(catalogue, image_id, public) == []
    places.erase.renditions._real = real
    assert places.erase.run(job_id, redelivered=True) == "erased"
    assert left(pair, original, rendition_keys) == []


def test_replicas_are_erased_too_and_one_that_is_away_keeps_the_erasure_open(catalogue, pair, folder, public):
    from dataclasses import replace

    from nightlight.flows.retention.erase import ReplicaBucket
    from tests.support.services import token

    copies = f"copies-{token()}"
    pair.owner.create_bucket(Bucket=copies)
    pair.owner.put_bucket_policy(Bucket=copies, Policy=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam:::user/worker"]}, "Action": "s3:*",
         "Resource": [f"arn:aws:s3:::{copies}", f"arn:aws:s3:::{copies}/*"]}]}))  # fmt: skip
    image_id, original, rendition_keys = uploaded(catalogue, pair, f"copied-{os.urandom(4).hex()}")
    pair.owner.put_object(Bucket=copies, Key=original, Body=b"copy")
    places = Places(pair, url_of(catalogue), folder)
    access = S3Access(pair.endpoint, "us-east-1", *identity(S3_WORKER), 2, 10)
    away = replace(access, endpoint_url="http://127.0.0.1:9", connect_timeout_s=0.2)
    job_id = asked(catalogue, image_id)
    erase = replace(places.erase, replicas=[ReplicaBucket("originals", "originals replica", S3Store(copies, away))])
    assert erase.run(job_id, redelivered=False) == "later"
    assert receipts(catalogue, image_id, public) == []
    erase = replace(places.erase, replicas=[ReplicaBucket("originals", "originals replica", S3Store(copies, access))])
    assert erase.run(job_id, redelivered=True) == "erased"
    assert left(pair, original, rendition_keys) == []
    assert "Contents" not in pair.owner.list_objects_v2(Bucket=copies)
    (receipt,) = receipts(catalogue, image_id, public)
    (copy,) = [entry for entry in receipt.payload["objects"] if entry["bucket"] == "originals replica"]
    assert (copy["key_sha256"], len(copy["versions"])) == (subject_digest(original), 1)
    pair.owner.delete_bucket(Bucket=copies)


def test_a_version_under_an_object_lock_stays_and_receipt_and_rows_say_until_when(catalogue, pair, folder, public):
    """The lock is S3's own, on one of two versions. Once it is over all goes, and the rows with it."""
    from dataclasses import replace

    from sqlalchemy import select

    from nightlight.catalogue.schema import jobs as table
    from tests.support.services import token

    locked, until = f"locked-{token()}", datetime.now(UTC) + timedelta(days=2)
    pair.owner.create_bucket(Bucket=locked, ObjectLockEnabledForBucket=True)
    pair.owner.put_bucket_policy(Bucket=locked, Policy=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam:::user/worker"]}, "Action": "s3:*",
         "Resource": [f"arn:aws:s3:::{locked}", f"arn:aws:s3:::{locked}/*"]},
        {"Effect": "Deny", "Principal": {"AWS": ["arn:aws:iam:::user/worker"]}, "Action": "s3:BypassGovernanceRetention",
         "Resource": [f"arn:aws:s3:::{locked}/*"]}]}))  # fmt: skip
    image_id, original, _ = uploaded(catalogue, pair, f"locked-{os.urandom(4).hex()}")
    kept = pair.owner.put_object(Bucket=locked, Key=original, Body=b"kept")["VersionId"]
    pair.owner.put_object_retention(
        Bucket=locked, Key=original, VersionId=kept, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until}
    )
    pair.owner.put_object(Bucket=locked, Key=original, Body=b"free")
    places = Places(pair, url_of(catalogue), folder)
    access = S3Access(pair.endpoint, "us-east-1", *identity(S3_WORKER), 2, 10)
    erase = replace(places.erase, originals=S3Store(locked, access))
    assert erase.run(asked(catalogue, image_id), redelivered=False) == "erased"
    (receipt,) = receipts(catalogue, image_id, public)
    (entry,) = [entry for entry in receipt.payload["objects"] if entry["left"]]
    assert (entry["bucket"], entry["left"], entry["locked_until"]) == ("originals", 1, until.date().isoformat())
    assert {"what": "object lock on originals", "until": until.date().isoformat()} in receipt.residuals
    assert chain_faults([receipt]) == []
    assert len(pair.owner.list_object_versions(Bucket=locked, Prefix=original)["Versions"]) == 1

    def look_again():
        with catalogue.reading() as tx:
            verify = table.c.image_id == image_id, table.c.kind == kinds.VERIFY_ERASURE.name, table.c.state != "done"
            (job_id,) = tx.connection.execute(select(table.c.job_id).where(*verify)).scalars()
        return erase.verify(job_id, redelivered=False)

    assert look_again() == "verified"
    with catalogue.reading() as tx:
        assert tx.images.get(image_id) is not None
    pair.owner.delete_object(Bucket=locked, Key=original, VersionId=kept, BypassGovernanceRetention=True)
    assert look_again() == "verified"
    with catalogue.reading() as tx:
        assert tx.images.get(image_id) is None
    assert [one.payload["rows_removed"] for one in receipts(catalogue, image_id, public)] == [False, False, True]
    pair.owner.delete_bucket(Bucket=locked)


class Keeps:
    """The real store, whose deletions do not happen."""

    def __init__(self, real):
        self._real = real

    def erase(self, _key):
        return []

    def locked_until(self, _key):
        return None

    def remains(self, key):
        return self._real.remains(key)


def test_fifty_versions_are_gone_soon(catalogue, pair, folder, record_property):
    image_id, original, _ = uploaded(catalogue, pair, f"fifty-{os.urandom(4).hex()}")
    for number in range(50):
        pair.owner.put_object(Bucket=pair.originals, Key=original, Body=f"{number}".encode())
    job_id = asked(catalogue, image_id)
    places = Places(pair, url_of(catalogue), folder)
    begin = time.monotonic()
    assert places.erase.run(job_id, redelivered=False) == "erased"
    record_property("fifty_versions_s", time.monotonic() - begin)


def test_erasing_what_is_not_there_is_no_error(pair):
    store = S3Store(pair.originals, S3Access(pair.endpoint, "us-east-1", *identity(S3_WORKER), 2, 10))
    assert store.erase("o/never-there") == []
    assert store.remains("o/never-there") == []
    away = S3Store(pair.originals, S3Access("http://127.0.0.1:9", "us-east-1", *identity(S3_WORKER), 1, 1))
    for call in (away.erase, away.remains):
        with pytest.raises(StoreUnavailable):
            call("o/x")
