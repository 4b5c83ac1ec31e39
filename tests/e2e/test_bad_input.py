"""Hostile and mistaken requests: each has an answer of its own, and the service stays up."""

import io
import json
import re
import struct
import zlib
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from nightlight.cli import key_commands
from nightlight.delivery.access_tokens import issue_token
from nightlight.settings.viewers import AuthSettings
from nightlight_client import Problem
from tests.support import hostile, pictures

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

CAP = 64_000_000


@pytest.fixture(scope="module")
def profile(client):
    client.declare("bad-input", band="adult", assurance="verified", region="eu")
    return "bad-input"


@pytest.fixture(autouse=True)
def still_up(stack):
    yield
    assert httpx.get(f"{stack.url}/healthz").status_code == 200


def png_header(width, height, *, good_crc=True):
    ihdr = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    crc = zlib.crc32(ihdr) if good_crc else 0
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + ihdr + struct.pack(">I", crc)


def webp_canvas(side):
    """An animation with one small frame on a large canvas."""
    data = hostile.webp_frames(1)
    return data[:24] + struct.pack("<I", side - 1)[:3] * 2 + data[30:]


REFUSED = {
    "empty": (b"", 422, "corrupt_image"),
    "text": (b"hello, this is no picture at all", 415, "unsupported_format"),
    "html named jpg": (b"<html><script>alert(1)</script></html>", 415, "unsupported_format"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', 415, "unsupported_format"),
    "tiff": (b"II*\x00\x08\x00\x00\x00" + bytes(64), 415, "unsupported_format"),
    "pdf": (b"%PDF-1.7\n" + bytes(64), 415, "unsupported_format"),
    "header cut short": (pictures.jpeg()[:12], 422, "corrupt_image"),
    "png with a bad checksum": (png_header(10, 10, good_crc=False), 422, "corrupt_image"),
    "png of 0 by 10": (png_header(0, 10), 422, "corrupt_image"),
    "400 megapixels in 33 bytes": (png_header(20_000, 20_000), 422, "image_too_large"),
    "one side too long": (png_header(16_385, 1), 422, "image_too_large"),
    "2 to the 31 pixels a side": (png_header(2**31 - 1, 2**31 - 1), 422, "image_too_large"),
    "webp canvas of 16 megapixels a side": (
        webp_canvas(1 << 24),
        422,
        "image_too_large",
    ),
    "too many bytes": (b"\xff\xd8\xff" + bytes(CAP), 413, "payload_too_large"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_upload_that_is_refused_at_once(client, profile, name):
    data, status, code = REFUSED[name]
    with pytest.raises(Problem) as refused:
        client.upload(profile, data)
    assert (refused.value.status, refused.value.code) == (status, code)


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_a_truncated_picture_is_accepted_then_rejected(client, profile, share):
    picture = pictures.jpeg(800, 600)
    image = client.upload(profile, picture[: int(len(picture) * share)])
    done = client.wait(image.image_id)
    assert (done.state, done.reason) == ("rejected", "truncated_image")
    assert re.fullmatch(r"jpeg: \d+ % of the rows arrived", done.reason_detail)


def test_a_picture_whose_pixels_are_noise_does_not_stop_the_worker(client, profile):
    broken = png_header(64, 64) + struct.pack(">I", 20) + b"IDAT" + bytes(20) + struct.pack(">I", 0)
    assert client.wait(client.upload(profile, broken).image_id).state == "rejected"
    assert client.wait(client.upload(profile, pictures.jpeg()).image_id).state == "ready"


def test_a_mislabelled_picture_is_taken_for_what_its_bytes_say(stack, client, profile):
    files = {"file": ("cat.gif", pictures.jpeg(), "image/gif")}
    answer = httpx.post(f"{stack.url}/v1/profiles/{profile}/image", files=files, headers=bearer(client))
    assert answer.status_code == 202
    assert client.wait(answer.json()["image_id"]).state == "ready"


def test_a_body_that_lies_about_its_length_is_cut_off(stack, client, profile):
    def endless():
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n\xff\xd8\xff'
        for _ in range(1_200):
            yield bytes(65_536)

    headers = {**bearer(client), "Content-Type": "multipart/form-data; boundary=b"}
    try:
        status = httpx.post(f"{stack.url}/v1/profiles/{profile}/image", content=endless(), headers=headers).status_code
    except (httpx.WriteError, httpx.ReadError):
        status = 413  # it hung up on us while we were still sending
    assert status == 413


def test_an_upload_for_a_profile_that_was_never_declared(client):
    with pytest.raises(Problem) as refused:
        client.upload("never-declared", pictures.jpeg())
    assert refused.value.code == "profile_not_declared"


@pytest.mark.parametrize(
    "body",
    [
        {"band": "teen", "assurance": "verified"},
        {"band": "adult", "assurance": "trust me"},
        {"band": "adult", "assurance": "verified", "region": "atlantis"},
        {"band": "adult", "assurance": "verified", "choice": "public"},
        {"band": "adult"},
        {"band": "adult", "assurance": "verified", "birthday": "2010-01-01"},
        {"band": ["adult"], "assurance": "verified"},
        [],
    ],
)
def test_a_declaration_with_words_that_are_not_known(stack, client, body):
    answer = httpx.put(f"{stack.url}/v1/profiles/someone", json=body, headers=bearer(client))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


@pytest.mark.parametrize("profile_id", ["%2e%2e", "a%0ab", "x" * 257, "%ff", "%00", "%E2%80%AE"])
def test_profile_ids_that_are_none(stack, client, profile_id):
    body = {"band": "adult", "assurance": "verified"}
    answer = httpx.put(f"{stack.url}/v1/profiles/{profile_id}", json=body, headers=bearer(client))
    assert answer.status_code in {404, 405, 422}


@pytest.mark.parametrize("profile_id", ["a\u0000b", "\ud800", "\u202e", "a" * 256, "'; DROP TABLE profiles; --", "💡"])
def test_ids_that_no_profile_can_have_get_the_placeholder_or_a_refusal(stack, client, profile_id):
    body = json.dumps({"viewer": "peer", "items": [{"profile_id": profile_id}, {"profile_id": "nobody"}]})
    headers = {**bearer(client), "Content-Type": "application/json"}
    answer = httpx.post(f"{stack.url}/v1/decisions", content=body, headers=headers)
    if answer.status_code != 422:
        assert answer.status_code == 200
        first, second = answer.json()["items"]
        assert first["url"] == second["url"]


def test_json_that_is_broken_too_deep_or_too_large(stack, client):
    url = f"{stack.url}/v1/decisions"
    headers = {**bearer(client), "Content-Type": "application/json"}
    assert httpx.post(url, content=b"{", headers=headers).status_code == 422
    assert httpx.post(url, content=b"[" * 100_000, headers=headers).status_code in {400, 422}
    assert httpx.post(url, content=b" " * 2_000_000, headers=headers).status_code == 413


ROUTES = [
    ("PUT", "/v1/profiles/p", "ingest"),
    ("DELETE", "/v1/profiles/p", "ingest"),
    ("PUT", "/v1/profiles/p/report-flag", "report"),
    ("POST", "/v1/profiles/p/image", "ingest"),
    ("GET", f"/v1/images/{'0' * 32}", "ingest"),
    ("DELETE", f"/v1/images/{'0' * 32}", "ingest"),
    ("POST", "/v1/decisions", "decide"),
    ("POST", "/v1/explain", "explain"),
    ("GET", "/v1/policy", "policy"),
    ("GET", "/v1/policy/bundle", "decide"),
    ("GET", "/v1/policy/bundle/1", "policy"),
    ("POST", "/v1/policy/activate", "policy"),
    ("PUT", "/v1/policy/candidate", "policy"),
    ("DELETE", "/v1/policy/candidate", "policy"),
    ("GET", "/v1/policy/counters", "policy"),
    ("POST", "/v1/policy/explain", "explain"),
]


@pytest.mark.parametrize(("method", "path", "scope"), ROUTES)
def test_every_route_wants_its_own_scope(stack, method, path, scope):
    others = [other for other in ("ingest", "decide", "explain", "report", "policy") if other != scope]
    token = key_commands.token(stack.folder, scopes=others, subject="tests", hours=1)
    answer = httpx.request(method, f"{stack.url}{path}", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert httpx.request(method, f"{stack.url}{path}").status_code == 401


def test_tokens_that_are_expired_forged_or_for_somebody_else(stack, tmp_path):
    private = json.loads((stack.folder / "keys" / key_commands.PRIVATE).read_text())
    claims = {
        "subject": "tests",
        "scopes": ["decide"],
        "issuer": AuthSettings().issuer,
        "audience": AuthSettings().audience,
    }
    expired = issue_token(private, **claims, now=datetime.now(UTC) - timedelta(hours=2), life=timedelta(hours=1))
    key_commands.init(tmp_path)
    stranger = key_commands.token(tmp_path, scopes=["decide"], subject="tests", hours=1)
    good = key_commands.token(stack.folder, scopes=["decide"], subject="tests", hours=1)
    head, payload, signature = good.split(".")
    none_alg = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0." + payload + "."
    for token in (expired, stranger, none_alg, f"{head}.{payload}.{signature[:-4]}AAAA", "x", "x.y.z", "a" * 10_000):
        answer = httpx.post(
            f"{stack.url}/v1/decisions", json={"items": []}, headers={"Authorization": f"Bearer {token}"}
        )
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), token[:40]
        assert answer.headers["www-authenticate"] == "Bearer"


def test_a_large_upload_without_a_token_is_refused_before_it_is_read(stack):
    files = {"file": ("x", io.BytesIO(bytes(10_000_000)), "image/jpeg")}
    answer = httpx.post(f"{stack.url}/v1/profiles/p/image", files=files)
    assert answer.status_code == 401


def bearer(client):
    return {"Authorization": f"Bearer {client._token()}"}


def test_a_bundle_that_is_not_even_ascii_is_refused_like_any_that_is_no_base64(stack):
    token = key_commands.token(stack.folder, scopes=["policy"], subject="t", hours=1)
    for bundle in ("\u00e9", "a b", "====", "\U0001f600"):
        answer = httpx.put(
            f"{stack.url}/v1/policy/candidate", json={"bundle": bundle}, headers={"Authorization": f"Bearer {token}"}
        )
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/decisions", "POST"),
        ("PATCH", f"/v1/images/{'0' * 32}", "DELETE, GET"),
        ("POST", "/v1/profiles/someone", "DELETE, PUT"),
        ("DELETE", f"/a/{'a' * 32}.webp", "GET, HEAD"),
    ],
)
def test_another_method_is_told_those_that_there_are(stack, method, path, allowed):
    answer = httpx.request(method, f"{stack.url}{path}")
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


def test_the_openapi_document_tells_of_problems_and_of_the_token(stack):
    document = httpx.get(f"{stack.url}/openapi.json").json()
    assert "HTTPValidationError" not in json.dumps(document)
    for path, item in document["paths"].items():
        for method, operation in item.items():
            responses = operation["responses"]
            assert "422" not in responses, (method, path)
            assert "application/problem+json" in responses["4XX"]["content"], (method, path)
            if not path.startswith(("/a/", "/.well-known/", "/v1/c2pa/services/")):
                assert operation["security"] == [{"bearer": []}], (method, path)
                continue
            assert httpx.request(method, stack.url + path.replace("{", "").replace("}", "")).status_code != 401


@pytest.mark.parametrize(
    "query",
    ["", "e=1", "&".join(f"p{n}=1" for n in range(500)), "e=1&e=2&k=a&s=b", "e=%FF&k=%00&s=%C3%A9", "e=" + "9" * 3000,
     "e=1790000000&k=d1&s=" + "A" * 22, "=&=&=", "e&k&s", ";;;"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["a" * 32 + ".webp", "a", ".", "%00", "a" * 3000, "%C3%97.webp", "a" * 32 + ".exe"])
def test_whatever_is_no_url_of_ours_is_not_found(stack, name, query):
    answer = httpx.get(f"{stack.url}/a/{name}?{query}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
