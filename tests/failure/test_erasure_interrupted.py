"""Erasures that are killed, cut off or refused at every step: resumed, nothing left, and all of it in the receipt."""

import json
import os
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from nightlight.flows.retention.erase import ReplicaBucket
from nightlight.retention.erasure_receipt import chain_faults, open_receipt, subject_digest
from nightlight.settings.process import WorkerSettings
from nightlight.store.s3 import S3Store
from tests.support.erasure_world import (
    OBJECTS,
    VERSIONS,
    Places,
    access_to,
    asked,
    killed_at,
    left,
    receipts,
    uploaded,
    url_of,
)
from tests.support.proxy import Proxy
from tests.support.services import token

pytestmark = [pytest.mark.failure, pytest.mark.integration]


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
        assert (receipt.objects, receipt.versions) == (OBJECTS, VERSIONS)
        assert all(entry["left"] == 0 for entry in receipt.payload["objects"])
        if not was_killed:
            break
        step += 1
    assert kills == 17  # five keys listed, then erased and listed again; the purge, the end
    assert faults_of(catalogue, public) == []


@pytest.fixture
def way(pair):
    """A way to the S3 server that can be cut."""
    server = urlsplit(pair.endpoint)
    proxy = Proxy(server.hostname, server.port)
    yield proxy
    proxy.close()


# Of the fifteen times that the server is asked: five lists of what there is, then each key is deleted and listed again.
@pytest.mark.parametrize("step", [1, 6, 7, 9, 12, 15])
def test_with_s3_away_in_the_middle_it_is_finished_later_and_the_receipt_has_all(
    catalogue, pair, folder, public, way, step
):
    image_id, original, rendition_keys = uploaded(catalogue, pair, f"away-{step}-{os.urandom(4).hex()}")
    job_id = asked(catalogue, image_id)
    places = Places(pair, url_of(catalogue), folder, endpoint=f"http://127.0.0.1:{way.port}")
    calls = 0

    def cut_at_step():
        nonlocal calls
        calls += 1
        if calls == step:
            way.cut()

    for store in (places.erase.originals, places.erase.renditions):
        store._before = cut_at_step
    before = len(left(pair, original, rendition_keys))
    assert places.erase.run(job_id, redelivered=False) == "later"
    still_stored = len(left(pair, original, rendition_keys))
    assert still_stored == before if step <= 6 else 0 <= still_stored < before
    # Nothing is claimed while it is not so; and nothing of the image is shown.
    assert receipts(catalogue, image_id, public) == []
    with catalogue.reading() as tx:
        assert tx.images.get(image_id).state == "deleted"
        assert tx.profiles.get(tx.images.get(image_id).profile_id).current_image_id is None
    assert places.erase.run(job_id, redelivered=False) == "later"
    way.mend()
    assert places.erase.run(job_id, redelivered=False) == "erased"
    assert left(pair, original, rendition_keys) == []
    (receipt,) = receipts(catalogue, image_id, public)
    assert (receipt.objects, receipt.versions) == (OBJECTS, VERSIONS)
    assert all(entry["left"] == 0 for entry in receipt.payload["objects"])
    assert faults_of(catalogue, public) == []


def faults_of(catalogue, public):
    """What is wrong with the whole chain of receipts."""
    with catalogue.reading() as tx:
        return chain_faults([open_receipt(envelope, public) for _, envelope in tx.receipts.after(0, limit=1000)])


def test_however_many_workers_die_over_it_it_is_not_given_up(catalogue, pair, folder, public):
    url, limit = url_of(catalogue), WorkerSettings().max_attempts
    image_id, original, rendition_keys = uploaded(catalogue, pair, f"deadly-{os.urandom(4).hex()}")
    job_id = asked(catalogue, image_id)
    catalogue.close()  # no connection is carried over a fork
    for _ in range(limit + 1):
        assert killed_at(8, pair, url, folder, job_id)
    places = Places(pair, url, folder)
    assert places.erase.run(job_id, redelivered=True) == "erased"
    assert left(pair, original, rendition_keys) == []
    (receipt,) = receipts(catalogue, image_id, public)
    assert (receipt.objects, receipt.versions) == (OBJECTS, VERSIONS)


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


def test_replicas_are_erased_too_and_one_that_is_away_keeps_the_erasure_open(catalogue, pair, folder, public):
    copies = f"copies-{token()}"
    pair.owner.create_bucket(Bucket=copies)
    pair.owner.put_bucket_policy(Bucket=copies, Policy=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam:::user/worker"]}, "Action": "s3:*",
         "Resource": [f"arn:aws:s3:::{copies}", f"arn:aws:s3:::{copies}/*"]}]}))  # fmt: skip
    image_id, original, rendition_keys = uploaded(catalogue, pair, f"copied-{os.urandom(4).hex()}")
    pair.owner.put_object(Bucket=copies, Key=original, Body=b"copy")
    places = Places(pair, url_of(catalogue), folder)
    access = access_to(pair.endpoint)
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
