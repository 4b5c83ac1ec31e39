"""Manifests made small and put into pictures: the bytes of it. tests/integration/provenance has others read them."""

import brotli
import pytest

from nightlight.imaging.encode import encode, unexpected_parts
from nightlight.provenance.embed import MAX_ROOM, ManifestTooLarge, compact_manifest, reserve_room
from nightlight_core.errors import SigningFailed
from tests.support import pictures


def box(kind, body):
    return (8 + len(body)).to_bytes(4, "big") + kind + body


INNER = box(b"jumb", box(b"jumd", b"c2ma" + bytes(12) + b"\x03urn:c2pa:x\x00") + box(b"jumb", bytes(range(256)) * 9))
STORE = box(b"jumb", box(b"jumd", b"c2pa" + bytes(12) + b"\x03c2pa\x00") + INNER)


def test_what_is_compressed_is_the_manifest_box_whole():
    small = compact_manifest(STORE)
    assert len(small) < len(STORE)
    assert brotli.decompress(small[small.index(b"brob") + 4 :]) == INNER
    assert b"c2cm" in small
    assert b"urn:c2pa:x" in small  # by which a manifest is found


@pytest.mark.parametrize("more", [*range(12), 255, 256, 257, 258, 259, 4096])
def test_every_room_is_filled_to_the_byte_and_opens(more):
    room = len(compact_manifest(STORE)) + more
    filled = compact_manifest(STORE, room)
    assert len(filled) == room
    assert brotli.decompress(filled[filled.index(b"brob") + 4 :]) == INNER


def test_a_room_that_is_too_small_says_what_is_needed():
    needed = len(compact_manifest(STORE))
    with pytest.raises(ManifestTooLarge) as caught:
        compact_manifest(STORE, needed - 1)
    assert caught.value.needed == needed


@pytest.mark.parametrize(
    "store",
    [b"", b"jumb", bytes(7), bytes(8), bytes(100), STORE[:-1], STORE + b"x", STORE[:38], b"\xff" * 64,
     box(b"jumb", box(b"jumd", b"c2pa")), box(b"jumb", box(b"jumd", b"") + box(b"jumb", b"")),
     box(b"jumb", box(b"jumd", b"c2pa") + INNER + INNER), box(b"jumb", box(b"jumd", b"c2pa") + box(b"free", INNER)),
     compact_manifest(STORE)],
)  # fmt: skip
def test_anything_but_a_store_of_one_manifest_is_refused(store):
    with pytest.raises(SigningFailed):
        compact_manifest(store)


@pytest.mark.parametrize(("form", "part"), [("webp", "b'C2PA'"), ("jpeg", "segment 0xeb")])
def test_room_changes_no_pixel_and_is_all_that_is_not_signed(form, part):
    data = encode(pictures.gradient(65, 33), format=form, quality=80, effort=2)
    reserved = reserve_room(data, f"image/{form}", 1000)
    assert pictures.opened(reserved.data).tobytes() == pictures.opened(data).tobytes()
    assert unexpected_parts(reserved.data) == [part]
    assert reserved.data[reserved.at : reserved.at + 1000] == bytes(1000)
    filled = reserved.with_manifest(b"\xaa" * 1000)
    assert filled.count(b"\xaa" * 1000) == 1
    data_hash = reserved.binding()["data"]
    (gap,) = data_hash["exclusions"]
    assert gap == {"start": reserved.start, "length": reserved.at + 1000 - reserved.start}
    changed = filled[: gap["start"]] + b"\x00" * gap["length"] + filled[gap["start"] + gap["length"] :]
    assert len(changed) == len(reserved.data)


@pytest.mark.parametrize("room", [0, -2, 3, MAX_ROOM + 2])
def test_rooms_that_cannot_be_are_refused(room):
    data = encode(pictures.gradient(16, 16), format="webp", quality=80, effort=2)
    with pytest.raises(SigningFailed):
        reserve_room(data, "image/webp", room)


def test_other_forms_have_none():
    assert reserve_room(b"\x89PNG", "image/png", 1000) is None
    for media_type in ("image/webp", "image/jpeg", "image/avif"):
        for data in (b"", b"RIFF", b"\xff\xd8\xff", bytes(64)):
            assert reserve_room(data, media_type, 1000) is None
