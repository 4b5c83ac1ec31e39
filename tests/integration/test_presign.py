"""The real S3 server takes our presigned URLs, for as long as they live and for nothing else."""

import hashlib
import time
from io import BytesIO

import httpx
import pytest

from nightlight.delivery.presigned_urls import Presigner
from nightlight.store.s3 import S3Access, S3Store
from tests.support.services import S3_SERVICE, S3_WORKER, identity

pytestmark = pytest.mark.integration

DATA = b"bytes of a picture"
KEY = "a/" + "p" * 32 + ".webp"


@pytest.fixture(scope="module")
def presigner(buckets):
    worker = S3Store(buckets.renditions, S3Access(buckets.endpoint, "us-east-1", *identity(S3_WORKER), 2, 10))
    digest = hashlib.sha256(DATA).hexdigest()
    worker.put(KEY, BytesIO(DATA), sha256=digest, content_type="image/webp")
    return Presigner(buckets.endpoint, f"/{buckets.renditions}", "us-east-1", *identity(S3_SERVICE))


def test_a_presigned_url_gives_the_bytes(presigner):
    now = int(time.time())
    url, expiry = presigner.url(f"/{KEY}", now=now, life_s=600)
    answer = httpx.get(url)
    assert (answer.status_code, answer.content) == (200, DATA)
    assert 300 <= expiry - now <= 600


def test_late_and_changed_ones_are_refused(presigner, buckets):
    now = int(time.time())
    good = presigner.signed(f"/{KEY}", begin=now, life_s=60)
    assert httpx.get(good).status_code == 200
    for wrong in (
        presigner.signed(f"/{KEY}", begin=now - 7200, life_s=60),
        good.replace("Expires=60", "Expires=600"),
        good.replace("pppp", "qqqq", 1),
        good[:-1] + ("0" if good[-1] != "0" else "1"),
        good.replace(buckets.renditions, buckets.originals),
        good.split("?")[0],
    ):
        assert httpx.get(wrong).status_code in {401, 403, 404}
    assert httpx.delete(good).status_code == 403
