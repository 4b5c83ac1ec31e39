"""An erasure's parts on the real S3 server with versions, and an image as a worker leaves it, for tests of erasures."""

import os
import signal
from datetime import UTC, datetime

from sqlalchemy import insert, select

from nightlight.catalogue.engine import Catalogue
from nightlight.catalogue.images import RenditionRow
from nightlight.catalogue.schema import images, jobs, profiles
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
from nightlight.retention.erasure_receipt import open_receipt
from nightlight.settings.process import WorkerSettings
from nightlight.store.s3 import S3Access, S3Store
from nightlight_core.ids import new_image_id
from tests.support.flow_container import HASHER
from tests.support.services import S3_WORKER, identity

TIERS = ("tiny", "low", "medium")
# What ``uploaded`` leaves: an original and four renditions; of each two versions, a marker, and an unfinished upload.
OBJECTS, VERSIONS = 5, 12


def access_to(endpoint):
    return S3Access(endpoint, "us-east-1", *identity(S3_WORKER), 2, 10)


class Places:
    """What an erasure reaches, made anew for each process: clients and connections are not carried over a fork."""

    opened = ()

    def __init__(self, pair, url, folder, before=None, *, endpoint=None):
        access = access_to(endpoint or pair.endpoint)
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
    DeletePictures(catalogue, lambda: datetime.now(UTC)).image(image_id, actor="t")
    with catalogue.reading() as tx:
        query = select(jobs.c.job_id).where(jobs.c.image_id == image_id, jobs.c.kind == kinds.ERASE.name)
        return tx.connection.execute(query).scalar_one()


def receipts(catalogue, image_id, public):
    with catalogue.reading() as tx:
        return [open_receipt(envelope, public) for envelope in tx.receipts.of_image(image_id)]


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
