"""Erasures of what S3 keeps under an object lock: all else goes, and the receipt says until when."""

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from nightlight.catalogue.schema import jobs as table
from nightlight.jobs import kinds
from nightlight.retention.erasure_receipt import chain_faults
from nightlight.store.s3 import S3Store
from tests.support.erasure_world import Places, access_to, asked, receipts, uploaded, url_of
from tests.support.services import token

pytestmark = [pytest.mark.failure, pytest.mark.integration]


def test_a_version_under_an_object_lock_stays_and_receipt_and_rows_say_until_when(catalogue, pair, folder, public):
    """The lock is S3's own, on one of two versions. Once it is over all goes, and the rows with it."""
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
    access = access_to(pair.endpoint)
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
    assert [receipt.payload["rows_removed"] for receipt in receipts(catalogue, image_id, public)] == [
        False,
        False,
        True,
    ]
    pair.owner.delete_bucket(Bucket=locked)
