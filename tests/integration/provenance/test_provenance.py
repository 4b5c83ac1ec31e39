"""Manifests signed, read back, tampered with. test_readers.py has others read them."""

import io
import json
from datetime import timedelta

import numpy as np
import pytest
from PIL import Image

from nightlight.provenance.certificates import CertificateChain, SigningAlgorithm, create_development_chain
from nightlight.provenance.embed import compact_manifest
from nightlight.provenance.manifest import (
    HASH_ALGORITHM,
    WATERMARK_ALGORITHM,
    ManifestClaims,
    manifest_definition,
    watermark_binding,
    watermark_from_binding,
)
from nightlight.provenance.signing import ManifestSigner, SigningCredential
from nightlight.provenance.verify import ManifestState, verify_manifest
from nightlight_core.errors import CertificateExpired, SettingsRefused, SigningFailed
from tests.integration.provenance.conftest import CLAIMS, MEDIA_TYPES, now, picture, unpacked

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module", params=MEDIA_TYPES)
def signed(request, credential):
    """(media type, the bytes before, and signed)."""
    data = picture(request.param)
    return (
        MEDIA_TYPES[request.param],
        data,
        ManifestSigner(credential, now).sign(data, MEDIA_TYPES[request.param], CLAIMS, embed=True),
    )


def test_what_is_signed_is_trusted_by_our_root_and_valid_without_it(signed, root):
    media_type, data, signed_file = signed
    manifest_check = verify_manifest(signed_file.data, media_type, anchors=root)
    assert (manifest_check.state, manifest_check.failures) == (ManifestState.TRUSTED, [])
    assert manifest_check.signed_by == "Nightlight leaf"
    assert manifest_check.actions == ["c2pa.created", "c2pa.edited", "c2pa.watermarked"]
    assert manifest_check.bindings.keys() == {WATERMARK_ALGORITHM, HASH_ALGORITHM}
    assert watermark_from_binding(manifest_check.bindings[WATERMARK_ALGORITHM]) == CLAIMS.watermark
    assert verify_manifest(signed_file.data, media_type, anchors=None).state is ManifestState.VALID
    assert np.array_equal(
        np.asarray(Image.open(io.BytesIO(signed_file.data))), np.asarray(Image.open(io.BytesIO(data)))
    )


def test_a_manifest_says_nothing_of_anybody(signed):
    _, _, signed_file = signed
    text = unpacked(signed_file.manifest).lower()
    for word in (b"band", b"under_13", b"adult", b"minor", b"policy", b"profile", b"ingredient", b"thumbnail", b"tier"):
        assert word not in text
    for word in (b"notallowed", b"cawg.training-mining", b"c2pa.training-mining", b"algorithmicallyenhanced"):
        assert word in text


def test_a_manifest_beside_the_picture_adds_nothing_to_it_and_holds(credential, root):
    data = picture("WEBP")
    signed_file = ManifestSigner(credential, now).sign(data, "image/webp", CLAIMS, embed=False)
    assert signed_file.data == data
    assert verify_manifest(data, "image/webp", anchors=root).state is ManifestState.NONE
    assert (
        verify_manifest(data, "image/webp", anchors=root, manifest=signed_file.manifest).state is ManifestState.TRUSTED
    )
    other = verify_manifest(picture("WEBP", seed=2), "image/webp", anchors=root, manifest=signed_file.manifest)
    assert other.state is ManifestState.INVALID  # another picture's manifest
    assert any("assertion.dataHash.mismatch" in failure for failure in other.failures)


def altered(signed_file):
    """What was signed, with another word in its manifest, which is whole again and as long as before."""
    for word in (
        b"yesAllowed",
        b"notallowed",
        b"nnnAllowed",
        b"eeeeeeeeee",
    ):  # one may compress worse than the word was
        manifest = unpacked(signed_file.manifest).replace(b"notAllowed", word)
        if b"brob" not in signed_file.manifest:
            return signed_file.data.replace(signed_file.manifest, manifest)
        store = (8 + 30 + len(manifest)).to_bytes(4, "big") + b"jumb" + signed_file.manifest[8:38] + manifest
        if len(compact_manifest(store)) <= len(signed_file.manifest):
            manifest = compact_manifest(store, len(signed_file.manifest))
            return signed_file.data.replace(signed_file.manifest, manifest)
    raise AssertionError("no other word is as short")


@pytest.mark.parametrize("form", MEDIA_TYPES)
def test_tampering_is_seen(credential, root, form, tmp_path):
    media_type, data = MEDIA_TYPES[form], picture(form)
    signed_file = ManifestSigner(credential, now).sign(data, media_type, CLAIMS, embed=True)
    changed = bytearray(signed_file.data)
    at = changed.rindex(data[-40:-20]) + 5 if data[-40:-20] in changed else len(changed) - 60
    changed[at] ^= 1
    assert verify_manifest(bytes(changed), media_type, anchors=root).state is ManifestState.INVALID
    assert verify_manifest(altered(signed_file), media_type, anchors=root).state is ManifestState.INVALID
    stripped = io.BytesIO()
    Image.open(io.BytesIO(signed_file.data)).save(stripped, form, quality=60)
    assert verify_manifest(stripped.getvalue(), media_type, anchors=root).state is ManifestState.NONE
    create_development_chain(tmp_path, SigningAlgorithm.ED25519, now())
    foreign = SigningCredential.read(tmp_path / "chain.pem", tmp_path / "leaf.key.pem", None)
    forged = ManifestSigner(foreign, now).sign(data, media_type, CLAIMS, embed=True)
    assert (
        verify_manifest(forged.data, media_type, anchors=root).state is ManifestState.VALID
    )  # whole, and by nobody whom we trust


@pytest.mark.parametrize("data", [b"", b"no picture", b"RIFF\x04\x00\x00\x00WEBP", bytes(100_000)])
def test_what_is_no_picture_raises_nothing(data, root):
    for media_type in MEDIA_TYPES.values():
        assert verify_manifest(data, media_type, anchors=root).state in {ManifestState.NONE, ManifestState.INVALID}
    assert (
        verify_manifest(picture("JPEG"), "image/jpeg", anchors=root, manifest=b"no manifest").state
        is ManifestState.INVALID
    )


def test_a_certificate_that_ends_within_a_day_or_begins_later_signs_nothing(folder, credential):
    data = picture("WEBP")
    ends = credential.chain.not_after
    for moment in (
        ends - timedelta(hours=23),
        ends + timedelta(days=1),
        credential.chain.not_before - timedelta(days=1),
    ):
        with pytest.raises(CertificateExpired):
            ManifestSigner(credential, lambda moment=moment: moment).sign(data, "image/webp", CLAIMS, embed=True)
    assert 362 < credential.chain.days_left(now) < 365
    with pytest.raises(SettingsRefused, match="already"):
        create_development_chain(folder, SigningAlgorithm.ED25519, now())


def test_a_signer_that_fails_or_signs_wrongly_publishes_nothing(folder, root):
    chain = CertificateChain.read(folder / "chain.pem")

    def broken(_):
        raise OSError("the key is away")

    for sign in (broken, lambda _: b"", lambda _: bytes(64)):
        with pytest.raises(SigningFailed):
            ManifestSigner(SigningCredential(chain, sign=sign, anchors=root), now).sign(
                picture("WEBP"), "image/webp", CLAIMS, embed=True
            )


def test_credentials_that_do_not_belong_together_are_refused(tmp_path):
    for name in ("one", "two"):
        create_development_chain(tmp_path / name, SigningAlgorithm.ED25519, now())
    first, second = tmp_path / "one", tmp_path / "two"
    with pytest.raises(SettingsRefused, match="not that of the certificate"):  # nothing starts on them
        SigningCredential.read(first / "chain.pem", second / "leaf.key.pem", first / "root.pem")
    other = (second / "leaf.key.pem").read_text()  # as a key store may sign with
    mixed = SigningCredential(CertificateChain.read(first / "chain.pem"), other, None, (first / "root.pem").read_text())
    with pytest.raises(SigningFailed):  # which jobs wait for: an operator's mistake is no fault of a picture
        ManifestSigner(mixed, now).sign(picture("WEBP"), "image/webp", CLAIMS, embed=True)
    for text in ("", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        (tmp_path / "bad.pem").write_text(text)
        with pytest.raises(SettingsRefused):
            CertificateChain.read(tmp_path / "bad.pem")
    with pytest.raises(SettingsRefused):
        CertificateChain.read(tmp_path / "missing.pem")
    assert "PRIVATE" not in repr(
        SigningCredential.read(tmp_path / "one" / "chain.pem", tmp_path / "one" / "leaf.key.pem", None)
    )


def test_marks_and_hashes_as_soft_bindings():
    for mark in (0, 1, 2**56 - 1):
        assert watermark_from_binding(watermark_binding(mark)) == mark
    for value in ("", "!", "AAAA", "A" * 100):
        assert watermark_from_binding(value) is None
    bare = manifest_definition(ManifestClaims(None, None, visible_watermark=False))
    assert "soft-binding" not in json.dumps(bare)
    assert "watermarked" not in json.dumps(bare)


@pytest.fixture(scope="module")
def marked(render, all_recipes, credential):
    """A rendition with a real invisible watermark, signed: (its bytes, the number)."""
    from nightlight.matching.pdq import pdq
    from tests.support import pictures

    number = 0x00FACE00BEEF
    recipe = next(candidate for candidate in all_recipes if candidate.tier == "medium")
    (rendition,) = render(pictures.photograph("astronaut.png"), [recipe], watermark_ids={"medium": number})
    claims = ManifestClaims(number, bytes(pdq(rendition.luma(512)).hashes[0]), visible_watermark=True)
    return ManifestSigner(credential, now).sign(rendition.data, "image/webp", claims, embed=True).data


def checked(path, folder, monkeypatch, *more):
    import base64

    from typer.testing import CliRunner

    from nightlight.cli.main import app

    monkeypatch.setenv("NIGHTLIGHT_INVISIBLE_WATERMARK_KEYS", "m1:" + base64.b64encode(bytes(range(32))).decode())
    result = CliRunner().invoke(app, ["provenance", "check", str(path), "--anchors", str(folder / "root.pem"), *more])
    return result.exit_code, result.output


def test_the_command_says_whether_mark_and_hash_agree(marked, folder, credential, tmp_path, monkeypatch):
    path = tmp_path / "a.webp"
    path.write_bytes(marked)
    code, output = checked(path, folder, monkeypatch, "--json")
    report = json.loads(output)
    assert (code, report["state"], report["watermark_agrees"]) == (0, "trusted", True)
    assert report["hash_distance"] <= 31
    assert "is the one that the manifest names" in checked(path, folder, monkeypatch)[1]
    # The same mark under another picture's manifest: whole and signed, and the picture is not the one.
    other = ManifestSigner(credential, now).sign(
        marked, "image/webp", ManifestClaims(7, bytes(32), visible_watermark=True), embed=False
    )
    (tmp_path / "a.c2pa").write_bytes(other.manifest)
    Image.open(io.BytesIO(marked)).save(tmp_path / "b.webp", lossless=True)
    code, output = checked(tmp_path / "b.webp", folder, monkeypatch, "--json", "--sidecar", str(tmp_path / "a.c2pa"))
    report = json.loads(output)
    assert (code, report["watermark_agrees"]) == (2, False)
    assert report["hash_distance"] > 31


def test_the_command_makes_certificates_for_development(tmp_path):
    from typer.testing import CliRunner

    from nightlight.cli.main import app

    run = CliRunner().invoke
    assert run(app, ["provenance", "init", str(tmp_path / "p"), "--algorithm", "es256"]).exit_code == 0
    assert CertificateChain.read(tmp_path / "p" / "chain.pem").algorithm is SigningAlgorithm.ES256
    assert (tmp_path / "p" / "leaf.key.pem").stat().st_mode & 0o077 == 0
    assert run(app, ["provenance", "init", str(tmp_path / "q"), "--algorithm", "rsa"]).exit_code != 0


def test_every_manifest_of_a_form_has_the_same_shape_and_size(credential):
    """Whoever looks at outsiders' renditions learns nothing from their manifests: not even from how long they are."""
    data, signer = picture("WEBP"), ManifestSigner(credential, now)
    other_claims = [
        ManifestClaims(mark, bytes([fill] * 32), visible_watermark=True)
        for mark, fill in ((0, 0), (1, 255), (2**56 - 1, 7))
    ]
    other_claims += [
        ManifestClaims(None, None, visible_watermark=False),
        ManifestClaims(5, None, visible_watermark=True),
    ]
    signed_files = [signer.sign(data, "image/webp", claims, embed=True) for claims in [CLAIMS, *other_claims]]
    assert len({len(signed_file.manifest) for signed_file in signed_files}) == 1
    assert len({len(signed_file.data) for signed_file in signed_files}) == 1
    assert len(signed_files[0].data) - len(data) <= 2_400
