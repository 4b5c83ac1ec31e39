"""What the service says of a picture beside its bytes: nothing of when it was written, by what rule, or where it lies."""

import re

import httpx
import pytest

from service.routes.rendition_files import HEADERS
from tests.support import pictures
from tests.support.services import token

pytestmark = pytest.mark.e2e

COMMON = {"date", "server", "connection", "x-request-id", "content-length", "content-type", "cache-control"}
# A 404 is an error like every other; what it is of is not to be seen.
ALLOWED = {name.lower() for name in HEADERS} | COMMON | {"etag", "content-range"}
TELLING = re.compile(r"amz|last-modified|expires|age|version|expiration|tag(ging)?-count|kms|rgw|minio", re.IGNORECASE)


def test_only_what_is_on_the_list_arrives(stack, client):
    who = f"headers-{token()}"
    client.declare(who, band="age_13_15", assurance="verified", region="eu")
    assert client.wait(client.upload(who, pictures.jpeg(200, 200)).image_id).state == "ready"
    (decision,) = client.decide("peer", "profile", [(who, "stranger")], viewer_id="v")
    url = decision.url
    etag = httpx.get(url).headers["etag"]
    since = {"If-Modified-Since": "Sun, 01 Jan 2017 00:00:00 GMT"}
    asked = [
        ("GET", url, {}, 200), ("HEAD", url, {}, 200), ("GET", url, {"If-None-Match": etag}, 304), ("GET", url, since, 200),
        ("GET", url, {"Range": "bytes=0-3"}, 206), ("GET", url, {"Range": "bytes=9999999-"}, 416), ("HEAD", url[:-2], {}, 404),
        ("HEAD", url, {"Range": "bytes=0-3"}, 200),
        ("GET", url[:-2], {}, 404), ("GET", url.split("?")[0], {}, 404), ("POST", url, {}, 405), ("OPTIONS", url, {}, 405),
    ]  # fmt: skip
    for method, where, headers, status in asked:
        answer = httpx.request(method, where, headers=headers)
        assert answer.status_code == status, (method, headers)
        allowed = ALLOWED if status != 405 else ALLOWED | {"allow"}
        assert set(answer.headers) <= allowed, (method, headers, sorted(set(answer.headers) - allowed))
        assert [name for name in answer.headers if TELLING.search(name) and name not in ALLOWED] == []
        if answer.content and status in {404, 405}:
            assert "a/" not in answer.text.replace(stack.url, "")
