"""What is written into the parts of a manifest that no signature covers: the check notices, others as far as they can."""

import io
import json
import subprocess
from pathlib import Path

import brotli
import pytest
from PIL import Image

from nightlight.provenance.coverage import uncovered_parts
from nightlight.provenance.embed import compact_manifest
from nightlight.provenance.manifest import PADDING_FIELD
from nightlight.provenance.signing import _LEFT, ManifestSigner
from nightlight.provenance.verify import ManifestState, manifest_state, reader_context, verify_manifest
from tests.integration.provenance.conftest import CLAIMS, MEDIA_TYPES, now, picture, unpacked
from tests.support.services import node_in

pytestmark = pytest.mark.integration
HERE = Path(__file__).parent
TEXT = b"FREE TEXT"


@pytest.fixture(scope="module")
def signing(credential):
    return ManifestSigner(credential, now)


def box(kind, body):
    return (8 + len(body)).to_bytes(4, "big") + kind + body


def skipped(text):
    """A metadata block of Brotli (RFC 7932, section 9.2): a decoder passes over it."""
    head = 0b0_1_0_110 | (len(text) - 1) << 6
    return head.to_bytes(2, "little") + text


def filling_of(manifest):
    """Where the blocks that only fill a compressed manifest begin and end."""
    end = manifest.rindex(b"\x03")
    begin = end
    while manifest[begin - 1] == 6:
        begin -= 1
    return begin, end


def opened(manifest):
    """A compressed manifest store as (its description, what is compressed)."""
    return manifest[8:38], brotli.decompress(manifest[manifest.index(b"brob") + 4 :])


def packed(describe, inner, room=None):
    return compact_manifest(box(b"jumb", describe + inner), room)


@pytest.mark.parametrize("embed", [True, False])
@pytest.mark.parametrize("form", MEDIA_TYPES)
def test_what_is_signed_has_nothing_in_it_but_what_we_write(signing, root, form, embed):
    signed_file = signing.sign(picture(form), MEDIA_TYPES[form], CLAIMS, embed=embed)
    beside = None if embed else signed_file.manifest
    assert uncovered_parts(signed_file.data, MEDIA_TYPES[form], beside) == []
    assert (
        verify_manifest(signed_file.data, MEDIA_TYPES[form], anchors=root, manifest=beside).state
        is ManifestState.TRUSTED
    )


@pytest.mark.parametrize("form", ["WEBP", "JPEG"])
def test_what_only_fills_the_room_is_signed_but_for_a_few_bytes(signing, form):
    """Before, some 100 to 250 bytes of every picture were anybody's to write, and three readers called it trusted."""
    for seed in range(8):
        signed_file = signing.sign(picture(form, seed=seed), MEDIA_TYPES[form], CLAIMS, embed=True)
        begin, end = filling_of(signed_file.manifest)
        assert end - begin <= _LEFT
        assert PADDING_FIELD.encode() in unpacked(signed_file.manifest)


def test_text_in_the_room_is_noticed(signing, root):
    data = picture("WEBP")
    signed_file = signing.sign(data, "image/webp", CLAIMS, embed=False)
    longer = signed_file.manifest[:-1] + skipped(TEXT) + b"\x03"
    grown = len(longer) - len(signed_file.manifest)
    # The boxes around it grow with it: the store's, the manifest's, the compressed one's.
    patched, at = bytearray(longer), 0
    for where in (0, 38, longer.index(b"brob") - 4):
        size = int.from_bytes(longer[where : where + 4], "big") + grown
        patched[where : where + 4] = size.to_bytes(4, "big")
    assert brotli.decompress(bytes(patched)[longer.index(b"brob") + 4 :]) == opened(signed_file.manifest)[1]
    assert (
        manifest_state(reader_context(root), data, "image/webp", bytes(patched)) is ManifestState.TRUSTED
    )  # the library passes over it
    manifest_check = verify_manifest(data, "image/webp", anchors=root, manifest=bytes(patched))
    assert manifest_check.state is ManifestState.INVALID
    assert "nightlight.uncovered" in manifest_check.failures[0]
    assert at == 0


def changed_box(inner, name, change):
    """A manifest whose part ``name`` was changed, its lengths mended."""
    size = int.from_bytes(inner[8:12], "big")
    described, parts = inner[8 : 8 + size], inner[8 + size :]
    out, at = described, 0
    while at < len(parts):
        length = int.from_bytes(parts[at : at + 4], "big")
        part = parts[at : at + length]
        out += change(part) if name in part[:60] else part
        at += length
    return box(b"jumb", out)


def with_more_in_the_part(part):
    return box(b"jumb", part[8:] + box(b"free", TEXT))


def with_text_in_the_pad(part):
    at = part.index(b"\x63pad") + 10
    return part[:at] + TEXT + part[at + len(TEXT) :]


@pytest.mark.parametrize(
    ("name", "change"),
    [(b"c2pa.signature", with_text_in_the_pad), (b"c2pa.signature", with_more_in_the_part),
     (b"c2pa.claim.v2", with_more_in_the_part)],
)  # fmt: skip
@pytest.mark.parametrize("form", ["WEBP", "JPEG", "AVIF"])
def test_text_in_the_boxes_is_noticed(signing, root, form, name, change):
    data = picture(form)
    signed_file = signing.sign(data, MEDIA_TYPES[form], CLAIMS, embed=False)
    describe, inner = opened(signed_file.manifest)
    beside = packed(describe, changed_box(inner, name, change))
    assert beside != signed_file.manifest
    assert verify_manifest(data, MEDIA_TYPES[form], anchors=root, manifest=beside).state is ManifestState.INVALID


def test_text_after_or_beside_the_manifest_is_noticed(signing, root):
    data = picture("WEBP")
    signed_file = signing.sign(data, "image/webp", CLAIMS, embed=False)
    describe, inner = opened(signed_file.manifest)
    for beside in (
        signed_file.manifest + TEXT,
        signed_file.manifest + box(b"free", TEXT),
        box(b"jumb", signed_file.manifest[8:] + box(b"free", TEXT)),
        packed(describe.replace(b"c2pa\x00\x00", b"c2pa\x00\x00"), inner) + b"\x00",
    ):
        assert verify_manifest(data, "image/webp", anchors=root, manifest=beside).state is ManifestState.INVALID, (
            beside[-20:]
        )


@pytest.mark.parametrize("kind", [b"free", b"skip", b"uuid"])
def test_a_box_of_an_avif_that_nothing_hashes_is_noticed(signing, root, kind):
    signed_file = signing.sign(picture("AVIF"), "image/avif", CLAIMS, embed=True)
    assert (
        verify_manifest(signed_file.data + box(kind, TEXT + bytes(32)), "image/avif", anchors=root).state
        is ManifestState.INVALID
    )


def test_text_in_the_room_of_an_avifs_signature_is_noticed(signing, root):
    signed_file = signing.sign(picture("AVIF"), "image/avif", CLAIMS, embed=True)
    at = signed_file.data.index(b"\x63pad", signed_file.data.index(b"c2pa.signature")) + 12
    changed = signed_file.data[:at] + TEXT + signed_file.data[at + len(TEXT) :]
    assert verify_manifest(changed, "image/avif", anchors=root).state is ManifestState.INVALID


def test_others_notice_a_change_in_what_fills_the_manifest(signing, folder, root, tmp_path):
    """It is in the claim, so its signature breaks: for the library, for web pages, and for who wrote by the text."""
    files = []
    for form in ("WEBP", "JPEG"):
        signed_file = signing.sign(picture(form), MEDIA_TYPES[form], CLAIMS, embed=True)
        describe, inner = opened(signed_file.manifest)
        at = inner.index(PADDING_FIELD.encode()) + len(PADDING_FIELD) + 3
        changed = packed(describe, inner[:at] + TEXT + inner[at + len(TEXT) :])
        room = len(signed_file.manifest)
        if len(changed) <= room:
            changed = packed(describe, inner[:at] + TEXT + inner[at + len(TEXT) :], room)
        files.append(tmp_path / f"changed.{form.lower()}")
        files[-1].write_bytes(signed_file.data.replace(signed_file.manifest, changed))
        assert verify_manifest(files[-1].read_bytes(), MEDIA_TYPES[form], anchors=root).state is ManifestState.INVALID
        assert (
            manifest_state(reader_context(root), files[-1].read_bytes(), MEDIA_TYPES[form], None)
            is ManifestState.INVALID
        )
        Image.open(io.BytesIO(files[-1].read_bytes())).load()
    ran = subprocess.run(
        [node_in(HERE), "read.mjs", folder / "root.pem", *files], cwd=HERE, capture_output=True, text=True, check=True
    )
    for line in ran.stdout.splitlines():
        verdict = json.loads(line)
        assert verdict["web"]["state"] == "Invalid"
        assert not verdict["independent"]["valid"]
