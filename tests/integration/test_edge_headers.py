"""What reaches a viewer's browser of an answer, whatever the S3 server says: real nginx, real S3 server, hostile server."""

import base64
import hashlib
import http.server
import itertools
import re
import threading
import time

import httpx
import pytest

from nightlight.delivery.object_names import object_key
from nightlight_core.decisions.placeholder import placeholder_bytes
from nightlight_core.decisions.url_signing import HmacUrlSigner
from nightlight_core.keyring import KeyRing
from service.routes.rendition_files import HEADERS
from tests.integration.test_edge import DATA, KEYS, url_of
from tests.support.buckets import bucket_pair, infra_buckets
from tests.support.edge import Edge
from tests.support.services import S3_SERVICE, S3_WORKER, identity

pytestmark = pytest.mark.integration

# What an answer may say, besides the words of service/routes/rendition_files.py.
COMMON = {name.lower() for name in HEADERS} | {"server", "date", "connection", "cache-control"}
PICTURE = COMMON | {"content-type", "content-length", "etag", "expires"}
ALLOWED = {
    200: PICTURE,
    206: PICTURE | {"content-range"},
    304: PICTURE - {"content-type", "content-length"},
    404: COMMON | {"content-type", "content-length"},
    416: PICTURE | {"content-range"},
}
# What a header could tell of: a date of writing, a rule, a tag, a version, a key, the bucket.
TELLING = re.compile(
    r"^x-|amz|amazon|rgw|minio|expiration|last-modified|tagging|version|kms|replication|storage", re.IGNORECASE
)


@pytest.fixture(scope="module")
def buckets():
    with bucket_pair() as pair:
        rule = {"ID": "minors-30-days", "Status": "Enabled", "Filter": {"Prefix": "a/"}, "Expiration": {"Days": 30}}
        pair.owner.put_bucket_lifecycle_configuration(Bucket=pair.renditions, LifecycleConfiguration={"Rules": [rule]})
        yield pair


@pytest.fixture(scope="module")
def edge(tmp_path_factory, buckets):
    with Edge(tmp_path_factory.mktemp("edge"), buckets, KEYS) as started:
        yield started


@pytest.fixture(scope="module")
def signer(edge):
    return HmacUrlSigner(KeyRing.parse(KEYS, "test"), edge.url)


_numbers = itertools.count()


@pytest.fixture
def key(buckets):
    return written(buckets, f"headers {next(_numbers)}")


def written(buckets, seed):
    """Put a tagged picture, twice; return its key."""
    name = base64.b32encode(hashlib.sha256(seed.encode()).digest()[:20]).decode().lower()
    client = infra_buckets.client(buckets.endpoint, *identity(S3_WORKER))
    put_ = {"ContentType": "image/webp", "Metadata": {"sha256": hashlib.sha256(DATA).hexdigest()}}
    for state in ("current", "superseded"):
        client.put_object(
            Bucket=buckets.renditions,
            Key=object_key(name, "webp"),
            Body=DATA,
            Tagging=f"nightlight-state={state}",
            **put_,
        )
    client.close()
    return object_key(name, "webp")


def test_the_s3_server_does_say_what_must_not_arrive(buckets, key):
    """Otherwise this file would prove nothing."""
    client = infra_buckets.client(buckets.endpoint, *identity(S3_SERVICE))
    headers = client.get_object(Bucket=buckets.renditions, Key=key)["ResponseMetadata"]["HTTPHeaders"]
    client.close()
    assert {"x-amz-expiration", "x-amz-tagging-count", "x-amz-meta-sha256", "last-modified"} <= set(headers)
    assert "minors-30-days" in headers["x-amz-expiration"]


def check(answer, status):
    assert answer.status_code == status
    assert set(answer.headers) - ALLOWED[status] == set()
    telling = [name for name in answer.headers if TELLING.search(name) and name not in COMMON]
    assert telling == []


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_only_what_is_on_the_list_arrives(edge, signer, key, method):
    url = url_of(signer, key)
    for _ in range(2):  # from the bucket, then from the cache
        answer = httpx.request(method, url)
        check(answer, 200)
    etag = answer.headers["etag"]
    check(httpx.request(method, url, headers={"If-None-Match": etag}), 304)
    if method == "GET":
        check(httpx.get(url, headers={"Range": "bytes=2-5"}), 206)
        check(httpx.get(url, headers={"Range": "bytes=999999-"}), 416)
    # Nor can a date of writing be asked for: whatever date is named, the answer is the same.
    for condition, status in (("If-Modified-Since", 200), ("If-Unmodified-Since", 412)):
        for year in (2017, 2026, 2040):
            answer = httpx.request(method, url, headers={condition: f"Sun, 01 Jan {year} 00:00:00 GMT"})
            assert answer.status_code == status
            assert [name for name in answer.headers if TELLING.search(name) and name not in COMMON] == []
    check(httpx.request(method, url[:-1] + ("A" if url[-1] != "A" else "B")), 404)
    refused = httpx.request("POST", url)
    assert refused.status_code in {403, 405}
    assert set(refused.headers) <= COMMON | {"content-type", "content-length"}


def test_neither_does_a_version(tmp_path, buckets):
    """In a bucket with versions; there this server does not tell of its rules."""
    with bucket_pair() as others, Edge(tmp_path / "versions", others, KEYS) as edge:
        others.owner.put_bucket_versioning(Bucket=others.renditions, VersioningConfiguration={"Status": "Enabled"})
        client = infra_buckets.client(others.endpoint, *identity(S3_SERVICE))
        key = written(others, "versions")
        headers = client.get_object(Bucket=others.renditions, Key=key)["ResponseMetadata"]["HTTPHeaders"]
        client.close()
        assert {"x-amz-version-id", "x-amz-tagging-count"} <= set(headers)
        check(httpx.get(url_of(HmacUrlSigner(KeyRing.parse(KEYS, "test"), edge.url), key)), 200)


def test_the_etag_is_the_services_and_tells_of_no_writing(edge, signer, key, buckets):
    """Under KMS, and in parts, a server's ETag is another after each writing; ours is of the bytes alone."""
    before = httpx.get(url_of(signer, key)).headers["etag"]
    assert before == f'"{hashlib.sha256(DATA).hexdigest()[:32]}"'
    other = object_key("d" * 32, "webp")
    parts = buckets.owner.create_multipart_upload(
        Bucket=buckets.renditions, Key=other, ContentType="image/webp", Metadata={"sha256": hashlib.sha256(DATA).hexdigest()}
    )  # fmt: skip
    where = {"Bucket": buckets.renditions, "Key": other, "UploadId": parts["UploadId"]}
    part = buckets.owner.upload_part(**where, PartNumber=1, Body=DATA)
    buckets.owner.complete_multipart_upload(
        **where, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    )
    assert httpx.get(url_of(signer, other)).headers["etag"] == before


def test_an_object_without_our_digest_has_no_etag(edge, signer, buckets):
    other = object_key("e" * 32, "webp")
    buckets.owner.put_object(Bucket=buckets.renditions, Key=other, Body=DATA, ContentType="image/webp")
    answer = httpx.get(url_of(signer, other))
    check(answer, 200)
    assert answer.content == DATA
    assert "etag" not in answer.headers


# nginx breaks off over 408 by itself: its viewers get a bare 502.
STATUSES = [
    200, 300, 301, 302, 303, 305, 307, 308, 400, 401, 402, 403, 404, 405, 406, 407, 409, 410, 411, 412, 413, 414,
    415, 416, 417, 418, 421, 422, 423, 424, 425, 426, 428, 429, 431, 451, 500, 501, 502, 503, 504, 505, 506, 507, 508,
    509, 510, 511,
]  # fmt: skip


class Hostile(http.server.BaseHTTPRequestHandler):
    """A server that answers with the status that it is told to, and says everything that a server may say."""

    protocol_version = "HTTP/1.1"
    status = 200

    def do_GET(self):
        self.send_response(type(self).status)
        headers = {
            "Last-Modified": "Sun, 29 Nov 2026 10:00:00 GMT", "ETag": '"by-the-clock-7"', "Age": "77", "Via": "1.1 bucket",
            "x-amz-expiration": 'expiry-date="x", rule-id="minors"', "x-amz-tagging-count": "2", "Warning": "x",
            "x-amz-server-side-encryption-aws-kms-key-id": "arn:x", "x-amz-meta-band": "age_13_15", "Set-Cookie": "a=b",
            "x-minio-anything": "1", "x-Amz-Version-Id": "v", "x-amz-object-lock-retain-until-date": "2030",
            "Location": "http://nightlight-renditions.internal/x", "WWW-Authenticate": 'Basic realm="bucket"',
            "Proxy-Authenticate": "Basic", "Link": "<x>", "Content-Language": "en", "Retry-After": "5", "P3P": "x",
            "Content-Disposition": "attachment; filename=minor.webp", "Access-Control-Allow-Origin": "*", "Refresh": "1",
            "X-Accel-Redirect": "/purge", "X-Accel-Limit-Rate": "1", "X-Accel-Buffering": "no", "Trailer": "x-late",
            "X-Accel-Charset": "utf-7", "Content-Encoding": "br", "Content-Security-Policy": "default-src *",
            "Cache-Control": "private, max-age=1", "Expires": "Sun, 29 Nov 2026 10:00:00 GMT", "Pragma": "no-cache",
            "Vary": "*", "Server": "minio", "Alt-Svc": "h3", "X-Never-Heard-Of": "2026",
        }  # fmt: skip
        for name, value in headers.items():
            self.send_header(name, value)
        body = DATA if type(self).status == 200 else b"<Error><BucketName>nightlight-renditions</BucketName></Error>"
        self.send_header("Content-Type", "image/webp")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def hostile(tmp_path_factory, buckets):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with Edge(tmp_path_factory.mktemp("hostile"), buckets, KEYS, address=f"127.0.0.1:{server.server_port}") as started:
        yield started
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("status", STATUSES)
def test_whatever_the_s3_server_answers(hostile, status):
    Hostile.status = status
    name = base64.b32encode(hashlib.sha256(b"status %d" % status).digest()[:20]).decode().lower()
    signer = HmacUrlSigner(KeyRing.parse(KEYS, "test"), hostile.url)
    url, _ = signer.url(f"/{object_key(name, 'webp')}", now=int(time.time()), life_s=300)
    for method in ("GET", "HEAD"):
        answer = httpx.request(method, url)
        check(answer, 200)
        if status == 200:
            assert answer.content == (DATA if method == "GET" else b"")
        else:
            assert answer.content == (placeholder_bytes() if method == "GET" else b"")
            assert answer.headers["cache-control"] == "no-store"
            assert "etag" not in answer.headers
        for name_, value in HEADERS.items():
            assert answer.headers.get_list(name_) == [value], name_
