"""Erasures on the real S3 server with versions: nothing is left, and a receipt of it."""

import io
import json
import os
import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from nightlight.catalogue.schema import jobs as table
from nightlight.jobs import kinds
from nightlight.retention.erasure_receipt import chain_faults, subject_digest
from nightlight.store.s3 import S3Access, S3Store
from nightlight_core.errors import StoreUnavailable
from tests.support.erasure_world import Places, access_to, asked, left, receipts, uploaded, url_of
from tests.support.services import S3_WORKER, identity

pytestmark = [pytest.mark.failure, pytest.mark.integration]


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


def test_what_comes_back_is_found_and_deleted_again(catalogue, pair, folder, public):
    """A worker that was slow to die puts a rendition after its image was erased."""
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
    store = S3Store(pair.originals, access_to(pair.endpoint))
    assert store.erase("o/never-there") == []
    assert store.remains("o/never-there") == []
    away = S3Store(pair.originals, S3Access("http://127.0.0.1:9", "us-east-1", *identity(S3_WORKER), 1, 1))
    for call in (away.erase, away.remains):
        with pytest.raises(StoreUnavailable):
            call("o/x")
