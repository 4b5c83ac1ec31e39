"""nginx checks our URLs and serves the bucket's bytes without Python: real nginx, real S3 server."""

import base64
import hashlib
import time
from email.utils import parsedate_to_datetime
from io import BytesIO
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from nightlight.delivery.object_names import object_key
from nightlight.store.s3 import S3Access, S3Store
from nightlight_core.decisions.placeholder import placeholder_bytes
from nightlight_core.decisions.url_signing import HmacUrlSigner
from nightlight_core.keyring import KeyRing
from service.routes.rendition_files import HEADERS
from tests.support import pictures
from tests.support.buckets import bucket_pair
from tests.support.edge import PURGE_TOKEN, Edge
from tests.support.services import S3_WORKER, identity
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

KEYS = f"e1:{base64.b64encode(b'1' * 32).decode()},e0:{base64.b64encode(b'0' * 40).decode()}"
DATA = pictures.encoded(pictures.opened(pictures.jpeg(96, 96)), "WEBP")


@pytest.fixture(scope="module")
def buckets():
    with bucket_pair() as pair:
        yield pair


@pytest.fixture(scope="module")
def store(buckets):
    access, secret = identity(S3_WORKER)
    return S3Store(buckets.renditions, S3Access(buckets.endpoint, "us-east-1", access, secret, 2, 10))


@pytest.fixture(scope="module")
def edge(tmp_path_factory, buckets):
    with Edge(tmp_path_factory.mktemp("edge"), buckets, KEYS) as started:
        yield started


@pytest.fixture(scope="module")
def signer(edge):
    return HmacUrlSigner(KeyRing.parse(KEYS, "test"), edge.url)


@pytest.fixture
def key(store, request):
    name = base64.b32encode(hashlib.sha256(request.node.nodeid.encode()).digest()[:20]).decode().lower()
    return put(store, object_key(name, "webp"))


def put(store, key, data=DATA):
    digest = hashlib.sha256(data).hexdigest()
    store.put(key, BytesIO(data), sha256=digest, content_type="image/webp")
    return key


def url_of(signer, key, *, now=None, life_s=300):
    return signer.url(f"/{key}", now=int(now or time.time()), life_s=life_s)[0]


def test_a_good_url_gives_the_bytes_with_the_services_own_headers(edge, signer, key):
    answer = httpx.get(url_of(signer, key))
    assert (answer.status_code, answer.content) == (200, DATA), edge.errors()
    wanted = {name.lower(): value for name, value in HEADERS.items()}
    headers = dict(answer.headers)
    assert {name: headers.get(name) for name in wanted} == wanted
    assert headers["content-type"] == "image/webp"
    assert headers["cache-control"] == "public, immutable"
    assert 0 < parsedate_to_datetime(headers["expires"]).timestamp() - time.time() <= 300
    beyond = (
        set(headers)
        - set(wanted)
        - {"content-type", "content-length", "cache-control", "expires", "etag", "date", "connection", "server"}
    )
    assert beyond == set()
    assert headers["server"] == "nginx"


def test_another_expiry_of_the_same_name_is_a_hit_and_so_are_parts_of_it(edge, signer, key):
    first, second = (url_of(signer, key, now=time.time() + ahead) for ahead in (0, 400))
    assert first != second
    before = len(edge.statuses())
    assert httpx.get(first).content == httpx.get(second).content == DATA
    part = httpx.get(first, headers={"Range": "bytes=2-5"})
    assert (part.status_code, part.content) == (206, DATA[2:6])
    statuses = [(of_urls, of_pictures) for _, of_urls, of_pictures in edge.statuses()[before:]]
    assert statuses[:2] == [("MISS", "MISS"), ("MISS", "HIT")]
    assert statuses[2][0] == "HIT"  # this URL was checked before


def test_a_url_that_was_checked_is_refused_as_soon_as_it_expires(edge, signer, key):
    for life_s in (2, 4, 8, 16, 32, 64, 128):  # on a slow machine it must live longer to be asked for twice
        url, expires_at = signer.url(f"/{key}", now=int(time.time()), life_s=life_s)
        before = len(edge.statuses())
        if [httpx.get(url).status_code for _ in range(2)] == [200, 200]:
            break
    assert [of_urls for _, of_urls, _ in edge.statuses()[before:]] == ["MISS", "HIT"]
    eventually(lambda: httpx.get(url).status_code != 200)
    assert time.time() >= expires_at
    assert httpx.get(url).status_code == 404


@pytest.mark.parametrize("how", ["junk", "order", "escaped", "twice", "fragment"])
def test_a_url_is_written_in_one_way_only(edge, signer, key, how):
    url = url_of(signer, key)
    assert httpx.get(url).status_code == 200
    bare, query = url.split("?")
    other = {
        "junk": f"{url}&x=1", "order": bare + "?" + "&".join(reversed(query.split("&"))),
        "escaped": bare.replace("/a/", "/%61/") + "?" + query, "twice": f"{url}&{query}",
        "fragment": f"{bare}?{query}&",
    }[how]  # fmt: skip
    assert httpx.get(other).status_code == 404


def refused(answer):
    return answer.status_code == 404 and DATA not in answer.content


def test_forged_and_expired_urls_are_refused_even_when_the_picture_is_cached(edge, signer, key):
    good = url_of(signer, key)
    assert httpx.get(good).status_code == 200
    query = {name: values[0] for name, values in parse_qs(urlsplit(good).query).items()}
    bare = good.split("?")[0]
    other = "/a/" + "b" * 32 + ".webp"
    changes = [
        {"e": str(int(query["e"]) + 1)}, {"e": "9999999999"}, {"e": ""}, {"e": "1e9"}, {"k": "e0"}, {"k": "zz"}, {"k": ""},
        {"k": "constructor"}, {"k": "__proto__"}, {"s": "A" * 22}, {"s": query["s"][:-1]}, {"s": query["s"] + "A"},
        {"s": ""}, {"s": query["s"].swapcase()},
    ]  # fmt: skip
    for change in changes:
        assert refused(httpx.get(bare, params={**query, **change})), change
    assert refused(httpx.get(bare))
    assert refused(httpx.get(f"{edge.url}{other}", params=query))
    assert refused(httpx.get(good.replace(".webp", ".jpg")))
    assert refused(httpx.get(f"{good}&s=again"))
    assert refused(httpx.get(url_of(signer, key, now=time.time() - 1200)))
    stranger = HmacUrlSigner(KeyRing.parse("e1:" + base64.b64encode(b"x" * 32).decode(), "x"), edge.url)
    assert refused(httpx.get(url_of(stranger, key)))


def test_the_older_key_of_the_ring_still_counts(edge, key):
    old = HmacUrlSigner(KeyRing.parse("e0:" + base64.b64encode(b"0" * 40).decode(), "x"), edge.url)
    assert httpx.get(url_of(old, key)).content == DATA


@pytest.mark.parametrize(
    "path", ["/", "/a/", "/a/x.webp", "/nightlight-originals/o/x", "/a/../purge", "/a/%2e%2e/x", "/metrics"]
)
def test_there_is_nothing_else(edge, path):
    assert httpx.get(f"{edge.url}{path}").status_code == 404


def test_what_is_missing_gives_the_placeholder_and_is_kept_by_nobody(edge, signer):
    answer = httpx.get(url_of(signer, object_key("c" * 32, "webp")))
    assert (answer.status_code, answer.content) == (200, placeholder_bytes())
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-robots-tag"] == "noai, noimageai, noindex"
    assert "last-modified" not in answer.headers
    assert "etag" not in answer.headers


def test_while_the_bucket_is_away_it_gives_the_placeholder(tmp_path, buckets, key):
    with Edge(tmp_path / "away", buckets, KEYS, address="127.0.0.1:9") as away:
        answer = httpx.get(url_of(HmacUrlSigner(KeyRing.parse(KEYS, "t"), away.url), key))
        assert (answer.status_code, answer.content) == (200, placeholder_bytes())


def test_a_purged_picture_that_was_deleted_is_gone_at_once(edge, signer, store, key):
    url = url_of(signer, key)
    assert httpx.get(url).content == DATA
    store.delete(key)
    assert httpx.get(url).content == DATA  # from the cache
    purge = {"paths": [f"/{key}", "/a/none", "/../../etc/passwd", 7]}
    for wrong in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {PURGE_TOKEN}"}):
        assert httpx.post(f"{edge.url}/purge", json=purge, headers=wrong).status_code == 404
    assert httpx.get(url).content == DATA
    headers = {"Authorization": f"Bearer {PURGE_TOKEN}"}
    assert httpx.put(f"{edge.url}/purge", headers=headers).status_code == 404
    for body in (b"", b"[]", b"{}", b'{"paths": 1}', b"\xff"):
        assert httpx.post(f"{edge.url}/purge", content=body, headers=headers).status_code == 400
    assert httpx.post(f"{edge.url}/purge", json=purge, headers=headers).status_code == 204
    assert refused(httpx.get(url))
    assert refused(httpx.get(url_of(signer, key, now=time.time() + 400)))


def test_the_log_names_no_picture(edge, signer, key):
    httpx.get(url_of(signer, key))
    edge.statuses()
    assert "/a/" not in edge.log.read_text()
    assert key.split("/")[1] not in edge.log.read_text()
