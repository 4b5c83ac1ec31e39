"""A picture that lost its manifest leads back to it: over HTTP, on both deployments."""

import base64
import io

import httpx
import numpy as np
import pytest
from PIL import Image

from nightlight.cli import key_commands
from nightlight.provenance.manifest import HASH_ALGORITHM, WATERMARK_ALGORITHM, watermark_binding
from nightlight.provenance.verify import ManifestState, verify_manifest
from tests.support import pictures
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e
WHO = "durable"


@pytest.fixture(scope="module")
def certificates(stack):
    return stack.folder / "keys" / "provenance"


@pytest.fixture(scope="module")
def urls(stack):
    """What the owner's connection is given, and a stranger: {relation: URL}."""
    with stack.client() as client:
        client.declare(WHO, band="adult", assurance="verified", region="eu", choice="connections")
        image = client.wait(client.upload(WHO, pictures.photograph("astronaut.png")).image_id)
        assert image.state == "ready"
        asked = [(WHO, "connection"), (WHO, "stranger")]
        decisions = client.decide("peer", "profile", asked, viewer_id="somebody")
    return {relation: decision.url for (_, relation), decision in zip(asked, decisions, strict=True)}


@pytest.fixture(scope="module")
def shown(urls):
    """The same: {relation: bytes}."""
    return {relation: httpx.get(url).content for relation, url in urls.items()}


def call(stack, method, path, scopes=("trace",), **asked):
    token = key_commands.token(stack.folder, scopes=list(scopes), subject="investigator", hours=1)
    headers = {"Authorization": f"Bearer {token}", **asked.pop("headers", {})}

    def answered():
        answer = httpx.request(method, f"{stack.url}/v1/c2pa{path}", headers=headers, **asked)
        # 503 says that no worker came to it in time: a slow machine is asked again.
        return answer if answer.status_code != 503 else None

    return eventually(answered)


def test_connections_get_a_manifest_in_the_picture_and_strangers_none(shown, certificates):
    root = (certificates / "root.pem").read_text()
    assert verify_manifest(shown["connection"], "image/webp", anchors=root).state is ManifestState.TRUSTED
    assert verify_manifest(shown["stranger"], "image/webp", anchors=root).state is ManifestState.NONE


@pytest.mark.parametrize("body", ["form", "picture"])
def test_a_copy_cropped_re_encoded_and_stripped_is_resolved_to_its_manifest(stack, shown, certificates, body):
    root = (certificates / "root.pem").read_text()
    whole = verify_manifest(shown["connection"], "image/webp", anchors=root)
    picture = Image.open(io.BytesIO(shown["connection"])).convert("RGB")
    wide, high = picture.size
    copy = io.BytesIO()
    picture.crop((wide // 20, high // 20, wide - wide // 20, high - high // 20)).save(copy, "JPEG", quality=75)
    assert verify_manifest(copy.getvalue(), "image/jpeg", anchors=root).state is ManifestState.NONE
    sent = {"files": {"file": copy.getvalue()}}
    if body == "picture":  # as the specification has it: the body itself; and by the mark alone
        sent = {
            "content": copy.getvalue(),
            "params": {"alg": WATERMARK_ALGORITHM},
            "headers": {"Content-Type": "image/jpeg"},
        }

    def asked():
        answer = call(stack, "POST", "/matches/byContent", **sent)
        return answer if answer.status_code == 200 and answer.json()["matches"] else None

    best = eventually(asked).json()["matches"][0]
    assert (best["manifestId"], best["similarityScore"]) == (whole.manifest_id, 100)
    manifest = call(stack, "GET", f"/manifests/{best['manifestId']}?returnActiveManifest=true")
    assert (manifest.status_code, manifest.headers["content-type"]) == (200, "application/c2pa")
    manifest_check = verify_manifest(shown["connection"], "image/webp", anchors=root, manifest=manifest.content)
    assert (manifest_check.state, manifest_check.manifest_id) == (ManifestState.TRUSTED, best["manifestId"])


def test_bindings_lead_to_their_manifests(stack, shown, certificates):
    whole = verify_manifest(shown["connection"], "image/webp", anchors=(certificates / "root.pem").read_text())
    for algorithm, value in whole.bindings.items():
        by_query = call(stack, "GET", "/matches/byBinding", params={"alg": algorithm, "value": value})
        by_body = call(stack, "POST", "/matches/byBinding", json={"alg": algorithm, "value": value})
        assert by_query.json() == by_body.json()
        assert whole.manifest_id in [match["manifestId"] for match in by_query.json()["matches"]]
    nobody = call(
        stack, "GET", "/matches/byBinding", params={"alg": WATERMARK_ALGORITHM, "value": watermark_binding(5)}
    )
    assert (nobody.status_code, nobody.json()) == (200, {"matches": []})


def test_urls_lead_to_the_manifests_of_both_forms(stack, urls, shown, certificates):
    root = (certificates / "root.pem").read_text()
    for relation, url in urls.items():
        for address in (url, url.partition("?")[0], url.replace("http://", "https://")):
            asked = {"referenceUrl": address, "assetLength": len(shown[relation]), "assetType": "image/webp"}
            ((match,),) = call(stack, "POST", "/matches/byReference", json=asked).json().values()
            assert match["similarityScore"] == 100
            manifest = call(stack, "GET", f"/manifests/{match['manifestId']}").content
            manifest_check = verify_manifest(shown[relation], "image/webp", anchors=root, manifest=manifest)
            assert (manifest_check.state, manifest_check.manifest_id) == (ManifestState.TRUSTED, match["manifestId"])
    nobody = {"referenceUrl": f"{stack.url}/a/{'a' * 32}.webp", "assetLength": 1}
    assert call(stack, "POST", "/matches/byReference", json=nobody).json() == {"matches": []}


@pytest.mark.parametrize(
    "url", ["", "x", "http://", "https://[", "https://example.org/", "file:///a/" + "a" * 32 + ".webp",
            "https://x/a/" + "a" * 31 + ".webp", "https://x/a/../a.webp", "https://x/?/a/" + "a" * 32 + ".webp",
            "https://x/" + "y" * 2_000],
)  # fmt: skip
def test_what_is_no_url_of_a_picture_is_refused_and_nothing_is_fetched(stack, url):
    asked = {"referenceUrl": url, "assetLength": 1}
    assert call(stack, "POST", "/matches/byReference", json=asked).status_code == 422


def test_the_api_says_what_it_is_in_the_specifications_words(stack):
    description = httpx.get(f"{stack.url}/.well-known/c2pa-soft-binding-resolution").json()
    assert description == {
        "apiEndpoint": f"{stack.url}/v1/c2pa", "c2paSpecificationVersion": "2.4.0",
        "capabilitiesEndpoint": f"{stack.url}/v1/c2pa/services/capabilities",
        "statusEndpoint": f"{stack.url}/v1/c2pa/services/status",
    }  # fmt: skip
    assert httpx.get(description["statusEndpoint"]).json()["status"] == "ok"
    assert httpx.get(description["capabilitiesEndpoint"]).json() == {
        "c2paSpecificationVersion": "2.4.0",
        "supportedCapabilities": ["queryByContent", "queryByReference"],
    }
    supported = httpx.get(f"{description['apiEndpoint']}/services/supportedAlgorithms").json()
    assert supported == {"watermarks": [{"alg": WATERMARK_ALGORITHM}], "fingerprints": [{"alg": HASH_ALGORITHM}]}


def test_only_investigators_are_answered(stack):
    ask = {"params": {"alg": WATERMARK_ALGORITHM, "value": watermark_binding(5)}}
    for method, path, more in (
        ("GET", "/matches/byBinding", ask),
        ("GET", "/manifests/urn:c2pa:" + "0" * 8 + "-0000" * 3 + "-" + "0" * 12, {}),
    ):
        assert call(stack, method, path, scopes=["decide", "ingest", "report"], **more).status_code == 403
        assert httpx.request(method, f"{stack.url}/v1/c2pa{path}", **more).status_code == 401
    assert call(stack, "POST", "/matches/byContent", scopes=["decide"], files={"file": b"x"}).status_code == 403


@pytest.mark.parametrize(
    ("alg", "value"),
    [("com.example.other", "AAAA"), (WATERMARK_ALGORITHM, "!"), (WATERMARK_ALGORITHM, base64.b64encode(bytes(8)).decode()),
     (HASH_ALGORITHM, base64.b64encode(bytes(31)).decode()), ("", "AAAA"), (WATERMARK_ALGORITHM, ""), (WATERMARK_ALGORITHM, "A" * 201)],
)  # fmt: skip
def test_what_is_no_binding_is_refused(stack, alg, value):
    assert call(stack, "GET", "/matches/byBinding", params={"alg": alg, "value": value}).status_code == 422
    assert call(stack, "POST", "/matches/byBinding", json={"alg": alg, "value": value}).status_code == 422


def test_what_is_no_manifest_or_no_picture_is_refused(stack):
    assert call(stack, "GET", "/manifests/urn:c2pa:" + "0" * 8 + "-0000" * 3 + "-" + "0" * 12).status_code == 404
    for wrong in ("x", "urn:c2pa:1", "..%2f..%2fa"):
        assert call(stack, "GET", f"/manifests/{wrong}").status_code in {404, 422}
    assert call(stack, "POST", "/matches/byContent", files={"file": b"no picture"}).status_code == 415
    for kind, sent, status in (
        ("image/png", b"no picture", 415),
        ("image/png", b"", 422),
        ("image/png", bytes(80_000_000), 413),
        ("application/pdf", b"%PDF", 422),
    ):
        answer = call(stack, "POST", "/matches/byContent", content=sent, headers={"Content-Type": kind})
        assert answer.status_code == status
    answer = call(stack, "POST", "/matches/byBinding", content=bytes(5_000_000), headers={"Content-Type": "image/png"})
    assert answer.status_code == 413  # a picture is taken by one path alone
    assert call(stack, "POST", "/matches/byContent", params={"alg": "x"}, files={"file": b"x"}).status_code == 422
    other = io.BytesIO()
    Image.fromarray(np.random.default_rng(3).integers(0, 255, (200, 200, 3)).astype("uint8")).save(other, "PNG")
    answer = call(stack, "POST", "/matches/byContent", files={"file": other.getvalue()})
    assert (answer.status_code, answer.json()) == (200, {"matches": []})


def test_an_erased_picture_has_no_manifest_any_more(stack, shown, certificates):
    whole = verify_manifest(shown["connection"], "image/webp", anchors=(certificates / "root.pem").read_text())
    with stack.client() as client:
        client.delete_profile(WHO)
    eventually(lambda: call(stack, "GET", f"/manifests/{whole.manifest_id}").status_code == 404)
    value = {"alg": WATERMARK_ALGORITHM, "value": whole.bindings[WATERMARK_ALGORITHM]}
    # Its objects go first, and then the rows that lead to them.
    eventually(lambda: call(stack, "GET", "/matches/byBinding", params=value).json() == {"matches": []})
