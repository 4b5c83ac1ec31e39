"""AVIF, HEIC and WebP whose lists are long, whose names are longer, or that are cut after they are turned."""

import struct
import tracemalloc

import pytest
from PIL import Image

from nightlight.imaging.formats import Format
from nightlight.imaging.isobmff_header import _Meta
from nightlight.imaging.item_transform import Transform
from nightlight.imaging.probe import UploadCaps, decode_bytes, probe
from nightlight_core.errors import ImageTooComplex
from tests.support import phone_pictures, pictures

CAPS = UploadCaps(formats=frozenset(Format))
_PRIMARY = 1


def _box(kind, payload):
    return struct.pack(">I4s", len(payload) + 8, kind) + payload


def _full(kind, payload, version=0):
    return _box(kind, bytes((version, 0, 0, 0)) + payload)


def _avif(kinds, references, properties, associations):
    """The boxes of an AVIF without any pixels: items from 1 on, and lists of references and associations."""
    items = [
        _full(b"infe", struct.pack(">HH4s", number, 0, kind) + b"\0", 2) for number, kind in enumerate(kinds, _PRIMARY)
    ]
    references = [
        _full(b"iref", _box(kind, struct.pack(f">HH{len(targets)}H", source, len(targets), *targets)))
        for kind, source, targets in references
    ]
    lists = [
        struct.pack(">I", len(entries))
        + b"".join(struct.pack(">HB", item, len(indices)) + bytes(indices) for item, indices in entries)
        for entries in associations
    ]
    held = _box(b"iprp", _box(b"ipco", b"".join(properties)) + b"".join(_full(b"ipma", entries) for entries in lists))
    listed = _full(b"iinf", struct.pack(">H", len(items)) + b"".join(items))
    meta = _full(b"meta", _full(b"pitm", struct.pack(">H", _PRIMARY)) + listed + b"".join(references) + held)
    return _box(b"ftyp", b"avif\0\0\0\0avifmif1") + meta


def _extent(width, height):
    return _full(b"ispe", struct.pack(">II", width, height))


_CODING = _box(b"av1C", b"\x81\0\x0c\0")


def test_the_properties_of_an_item_are_read_once_however_often_it_is_referred_to(monkeypatch):
    reads = []
    properties_of = _Meta.properties_of
    monkeypatch.setattr(_Meta, "properties_of", lambda meta, item: reads.append(item) or properties_of(meta, item))
    data = _avif(
        [b"grid", b"av01"],
        [(b"dimg", 1, [2] * 1000)] * 7,
        [_extent(64, 64), _CODING],
        [[(2, [1] * 255)] * 30],  # 8 seconds in the service, from 22 kB
    )
    assert probe(data, CAPS).coded == 7000 * 64 * 64
    assert reads.count(2) <= 3


def test_entries_of_no_associations_are_counted():
    data = _avif([b"av01"], [], [_extent(64, 64), _CODING], [[(1, [1, 2])], *[[(2, [])] * 1000] * 100])
    with pytest.raises(ImageTooComplex):
        probe(data, CAPS)


@pytest.mark.parametrize("name", [bytes(8_000_000), b"x" * 8_000_000])
def test_a_long_name_of_an_auxiliary_picture_is_not_copied(name):
    data = _avif(
        [b"av01", b"av01"],
        [(b"auxl", 2, [1])],
        [_extent(64, 64), _CODING, _full(b"auxC", name)],
        [[(1, [1, 2]), (2, [1, 2, *[3] * 200])]],
    )
    tracemalloc.start()
    try:
        assert not probe(data, CAPS).alpha
        assert tracemalloc.get_traced_memory()[1] < 1_000_000  # 64 MB of nothing but zeros took 500 MB and more
    finally:
        tracemalloc.stop()


def test_the_frames_of_an_animation_are_counted():
    data = pictures.encoded(
        Image.new("RGB", (16, 16)), "WEBP", save_all=True, append_images=[Image.new("RGB", (16, 16), "red")]
    )
    data += (struct.pack("<4sI", b"ANMF", 128) + bytes(128)) * 20_000
    with pytest.raises(ImageTooComplex):
        probe(data, CAPS)


def test_a_grid_of_avif_takes_the_memory_of_all_of_it():
    planes = 4096 * 4096 * 3 // 2
    data = _avif(
        [b"grid", b"av01"],
        [(b"dimg", 1, [2] * 64)],
        [_extent(4096, 4096), _extent(512, 512), _CODING],
        [[(1, [1]), (2, [2, 3])]],
    )
    whole = _avif([b"av01"], [], [_extent(4096, 4096), _CODING], [[(1, [1, 2])]])
    header = probe(data, CAPS)
    assert header.samples == 1.5
    assert decode_bytes(header, edge=320) >= decode_bytes(probe(whole, CAPS), edge=320) > planes


def _transform(*properties, coded=(256, 192)):
    data, places = b"", []
    for kind, payload in properties:
        places.append((kind, len(data), len(data) + len(payload)))
        data += payload
    return Transform.read(memoryview(data), places, coded)


@pytest.mark.parametrize(
    ("before", "size", "offset", "kept"),
    [
        ([], (100, 80), (10, 20), (88, 76, 100, 80)),
        ([(b"irot", b"\2")], (100, 80), (10, 20), (68, 36, 100, 80)),
        ([(b"irot", b"\1")], (80, 100), (20, 10), (68, 76, 100, 80)),
        ([(b"irot", b"\3")], (80, 100), (20, 10), (88, 36, 100, 80)),
        ([(b"imir", b"\0")], (100, 80), (10, 20), (88, 36, 100, 80)),
        ([(b"imir", b"\1")], (100, 80), (10, 20), (68, 76, 100, 80)),
    ],
)
def test_a_clean_aperture_cuts_what_is_turned_before_it(before, size, offset, kept):
    aperture = (b"clap", phone_pictures.clap(*size, *(2 * way for way in offset)))
    transform = _transform(*before, aperture)
    assert transform.aperture == (*kept[:2], 256, 192)
    assert transform.size == kept[2:]


def test_a_second_clean_aperture_never_shows_what_the_first_cut_off():
    small, large = (b"clap", phone_pictures.clap(64, 48)), (b"clap", phone_pictures.clap(200, 180))
    assert _transform(small, large) == _transform(small)
    assert _transform(large, small) == _transform(small)
