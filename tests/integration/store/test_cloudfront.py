"""The list of revoked pictures at CloudFront, against a server of the API's shape."""

import hashlib
import json
import re
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote, urlsplit

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from nightlight.delivery.purge import KEPT_S
from nightlight.store.cloudfront import CloudFrontList
from nightlight.store.sigv4a import derive_key
from nightlight_core.errors import Unavailable

pytestmark = pytest.mark.integration

ARN = "arn:aws:cloudfront::123456789012:key-value-store/7a2b7f7c-1111-2222-3333-444444444444"
NOW = 1_800_000_000
# Two identities and the public keys that AWS derives from them: from the tests of aws-c-auth.
VECTOR = (
    ("AKISORANDOMAASORANDOM", "q+jcrXGc+0zWN6uzclKVhvMmUsIfRPa4rlRandom"),
    0x15D242CEEBF8D8169FD6A8B5A746C41140414C3B07579038DA06AF89190FFFCB,
    0x0515242CEDD82E94799482E4C0514B505AFCCF2C0C98D6A553BF539F424C5EC0,
)
IDENTITY = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
PUBLIC = ec.EllipticCurvePublicNumbers(
    0xB6618F6A65740A99E650B33B6B4B5BD0D43B176D721A3EDFEA7E7D2D56D936B1,
    0x865ED22A7EADC9C5CB9D2CBACA1B3699139FEDC5043DC6661864218330C8E518,
    ec.SECP256R1(),
).public_key()


class _Handler(BaseHTTPRequestHandler):
    """GetKey, ListKeys, UpdateKeys and DescribeKeyValueStore, as the API's reference has them."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        store, parts = self.server, urlsplit(self.path)
        self._check(b"")
        rest = unquote(parts.path).removeprefix(f"/key-value-stores/{ARN}")
        if store.failing:
            self._answer(500, {"Message": "broken"}, kind="InternalServerException")
        elif rest == "":
            size = store.size if store.size is not None else sum(map(len, [*store.held, *store.held.values()]))
            description = {"ItemCount": len(store.held), "TotalSizeInBytes": size, "KvsARN": ARN, "Created": 1}
            self._answer(200, description, etag=store.etag)
        elif rest == "/keys":
            first = int(dict(pair.split("=") for pair in parts.query.split("&")).get("NextToken", 0))
            items = [{"Key": key, "Value": value} for key, value in sorted(store.held.items())][first : first + 50]
            more = {"NextToken": str(first + 50)} if first + 50 < len(store.held) else {}
            self._answer(200, {"Items": items, **more})
        else:
            key = rest.removeprefix("/keys/")
            if key in store.held:
                description = {"Key": key, "Value": store.held[key], "ItemCount": 1, "TotalSizeInBytes": 1}
                self._answer(200, description)
            else:
                self._answer(404, {"Message": "none"}, kind="ResourceNotFoundException")

    def do_POST(self):
        store = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._check(body)
        changes = json.loads(body)
        if store.conflicts or self.headers["If-Match"] != store.etag:
            store.conflicts -= 1
            self._answer(409, {"Message": "other"}, kind="ConflictException")
            return
        assert len(changes["Puts"]) + len(changes["Deletes"]) <= 50
        store.held.update({entry["Key"]: entry["Value"] for entry in changes["Puts"]})
        for entry in changes["Deletes"]:
            del store.held[entry["Key"]]
        store.etag += "x"
        self._answer(200, {"ItemCount": len(store.held), "TotalSizeInBytes": 1}, etag=store.etag)

    def _check(self, body):
        """Verify the request's signature with what AWS derives from the same secret: the service's half."""
        names = re.search("SignedHeaders=([^,]+)", self.headers["Authorization"])[1].split(";")
        path, _, query = self.path.partition("?")
        lines = [self.command, quote(path, safe="/~"), query, *(f"{name}:{self.headers[name]}" for name in names)]
        canonical = "\n".join([*lines, "", ";".join(names), hashlib.sha256(body).hexdigest()])
        moment = self.headers["x-amz-date"]
        scope = f"{moment[:8]}/cloudfront-keyvaluestore/aws4_request"
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"AWS4-ECDSA-P256-SHA256\n{moment}\n{scope}\n{hashed}"
        signature = bytes.fromhex(self.headers["Authorization"].rpartition("Signature=")[2])
        PUBLIC.verify(signature, text.encode(), ec.ECDSA(hashes.SHA256()))
        self.server.signed += 1

    def _answer(self, status, answer, *, kind=None, etag=None):
        body = json.dumps(answer).encode()
        self.send_response(status)
        for name, value in (("x-amzn-ErrorType", kind), ("ETag", etag), ("Content-Length", str(len(body)))):
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", IDENTITY[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", IDENTITY[1])
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    started = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    started.held, started.etag, started.conflicts, started.failing, started.size, started.signed = (
        {},
        "e",
        0,
        False,
        None,
        0,
    )
    threading.Thread(target=started.serve_forever, args=(0.02,), daemon=True).start()
    yield started
    started.shutdown()
    started.server_close()


@pytest.fixture
def kept(server):
    return CloudFrontList(
        ARN,
        kept_s=KEPT_S,
        clock=lambda: datetime.fromtimestamp(NOW, UTC),
        timeout_s=5,
        endpoint_url=f"http://127.0.0.1:{server.server_port}",
    )


def test_what_is_revoked_is_on_the_list_until_no_url_of_it_can_live(server, kept):
    keys = [f"a/{number}.webp" for number in range(120)]
    kept.revoke(keys)
    assert server.held == {f"/{key}": str(NOW + KEPT_S) for key in keys}
    assert server.signed == 6


def test_the_signing_key_is_the_one_that_aws_derives():
    """The vectors of aws-c-auth."""
    for (access, secret), x, y in (VECTOR, (IDENTITY, PUBLIC.public_numbers().x, PUBLIC.public_numbers().y)):
        numbers = derive_key(access, secret).public_key().public_numbers()
        assert (numbers.x, numbers.y) == (x, y)


def test_without_an_identity_nothing_is_told(kept, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(Unavailable, match="no AWS identity"):
        kept.revoke(["a/1.webp"])


def test_the_list_is_confirmed_and_tidied(server, kept):
    server.held.update({f"/a/{number}.webp": str(NOW - 1) for number in range(60)})
    server.held.update({"/a/new.webp": str(NOW), "key_d1": "a key", "at": str(NOW - 5)})
    assert kept.confirm(since=NOW - 5, at=NOW) is True
    assert server.held == {"/a/new.webp": str(NOW), "key_d1": "a key", "at": str(NOW)}
    assert kept.confirm(since=NOW, at=NOW - 3) is True
    assert server.held["at"] == str(NOW)


def test_a_store_that_lost_its_list_asks_for_everything_again(server, kept):
    assert kept.confirm(since=NOW - 5, at=NOW) is False
    assert server.held == {}
    assert kept.confirm(since=None, at=NOW) is True


def test_who_writes_at_the_same_time_makes_it_try_again(server, kept):
    server.conflicts = 3
    kept.revoke(["a/1.webp"])
    assert list(server.held) == ["/a/1.webp"]
    server.conflicts = 50
    with pytest.raises(Unavailable, match="answers 409"):
        kept.revoke(["a/2.webp"])


def test_a_full_store_and_one_that_does_not_answer_are_no_success(server, kept):
    server.size = 5_100_000
    with pytest.raises(Unavailable, match="full"):
        kept.revoke(["a/1.webp"])
    server.size, server.failing = None, True
    for call in (lambda: kept.revoke(["a/1.webp"]), lambda: kept.confirm(since=None, at=NOW)):
        with pytest.raises(Unavailable):
            call()
