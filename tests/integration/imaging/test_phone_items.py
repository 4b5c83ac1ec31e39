"""AVIF and HEIC that are turned, mirrored or cut, whose sizes are lies, or whose lists are long."""

import struct
from dataclasses import replace

import pytest
from PIL import Image

from nightlight.imaging.header_limits import HeaderBounds
from nightlight.imaging.probe import probe
from nightlight_core.errors import (
    CorruptImage,
    ImageRefused,
    ImageTooComplex,
    UnsupportedFormat,
)
from tests.support import hostile, phone_pictures, pictures
from tests.support.phone_frames import CAPS, SMALL, difference, frame

pytestmark = pytest.mark.integration


TURNED = {
    "irot 1": ([(b"irot", b"\1")], [Image.Transpose.ROTATE_90]),
    "irot 2": ([(b"irot", b"\2")], [Image.Transpose.ROTATE_180]),
    "irot 3": ([(b"irot", b"\3")], [Image.Transpose.ROTATE_270]),
    "imir 0": ([(b"imir", b"\0")], [Image.Transpose.FLIP_TOP_BOTTOM]),
    "imir 1": ([(b"imir", b"\1")], [Image.Transpose.FLIP_LEFT_RIGHT]),
    "irot 1, imir 1": (
        [(b"irot", b"\1"), (b"imir", b"\1")],
        [Image.Transpose.ROTATE_90, Image.Transpose.FLIP_LEFT_RIGHT],
    ),
    "irot 3, imir 0": (
        [(b"irot", b"\3"), (b"imir", b"\0")],
        [Image.Transpose.ROTATE_270, Image.Transpose.FLIP_TOP_BOTTOM],
    ),
}


@pytest.mark.parametrize("name", TURNED)
@pytest.mark.parametrize("format_", ["AVIF", "HEIF"])
def test_a_picture_is_turned_and_mirrored_as_its_properties_say(name, format_):
    properties, turns = TURNED[name]
    image = pictures.gradient(320, 256)  # whole blocks, so the writer cuts nothing off
    data, expected = pictures.encoded(image, format_, quality=95), image
    for kind, payload in properties:
        data = phone_pictures.with_property(data, kind, payload)
    for turn in turns:
        expected = expected.transpose(turn)
    assert difference(frame(data, edge=256), expected) < 3


@pytest.mark.parametrize("format_", ["AVIF", "HEIF"])
def test_the_orientation_of_exif_is_ignored_where_properties_count(format_):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = pictures.encoded(pictures.gradient(320, 256), format_, quality=95)
    assert probe(data, CAPS).orientation == 1
    turned = phone_pictures.with_property(data, b"irot", b"\1")
    assert frame(turned, edge=256).size == (256, 320)


@pytest.mark.parametrize("format_", ["AVIF", "HEIF"])
def test_a_clean_aperture_is_what_is_kept(format_, sandbox):
    image = pictures.gradient(320, 256)
    data = phone_pictures.with_property(
        pictures.encoded(image, format_, quality=95), b"clap", phone_pictures.clap(200, 120, -40, 20)
    )
    header = probe(data, CAPS)
    assert (header.width, header.height) == (200, 120)
    left, top = (320 - 200) // 2 - 20, (256 - 120) // 2 + 10
    for shown in (frame(data, edge=120), sandbox.frame(data, header, edge=120)):
        assert difference(shown, image.crop((left, top, left + 200, top + 120))) < 3


@pytest.mark.parametrize("size", [(301, 203), (1, 1), (65, 63)])
@pytest.mark.parametrize("format_", ["AVIF", "HEIF", "WEBP"])
def test_odd_sizes_pass_through_the_sandbox(format_, size, sandbox):
    image = pictures.gradient(*size)
    data = pictures.encoded(image, format_, quality=95)
    shown = sandbox.frame(data, probe(data, CAPS, edge=320), edge=320)
    assert difference(shown, image) < 6
    assert shown.tobytes() == frame(data, edge=320).tobytes()


@pytest.mark.parametrize(
    "payload", [phone_pictures.clap(400, 100), phone_pictures.clap(100, 100, 900), bytes(32), phone_pictures.clap(0, 0)]
)
def test_a_clean_aperture_beyond_the_picture_is_ignored(payload):
    data = pictures.encoded(pictures.gradient(320, 256), "AVIF", quality=95)
    header = probe(phone_pictures.with_property(data, b"clap", payload), CAPS)
    assert (header.width, header.height) == (320, 256)


@pytest.mark.parametrize("stated", [(64, 64), (1, 1), (4032, 3040), (65_535, 1)])
@pytest.mark.parametrize("format_", ["AVIF", "HEIF"])
def test_a_size_that_is_not_that_of_the_coded_picture_costs_no_more_than_it_says(format_, stated, sandbox):
    preset = {"speed": 10} if format_ == "AVIF" else {"enc_params": {"preset": "ultrafast"}}
    data = phone_pictures.with_ispe(
        pictures.encoded(Image.new("RGB", (4032, 3024), (90, 120, 60)), format_, quality=40, **preset), *stated
    )
    try:
        shown = sandbox.frame(data, probe(data, CAPS, edge=64), edge=64)
    except ImageRefused:
        pass
    else:
        assert min(shown.size) <= 64
    assert sandbox.alive
    assert sandbox.peak_kb < 160_000


def test_a_tile_that_is_larger_than_it_says_is_refused(sandbox):
    data = phone_pictures.heic_grid(pictures.gradient(1024, 1024), tile=512)
    lying = phone_pictures.with_ispe(data, 64, 64)
    with pytest.raises(ImageRefused):
        sandbox.frame(lying, probe(lying, CAPS, edge=64), edge=64)
    assert sandbox.alive


def references(data, kind, source, targets):
    """The file with ``iref`` in its meta box instead of what is there."""
    inner = struct.pack(">HH", source, len(targets)) + struct.pack(f">{len(targets)}H", *targets)
    box = hostile.box(b"iref", bytes(4), hostile.box(kind, inner))
    at, end = phone_pictures.find(data, b"meta")
    return data[:at] + hostile.box(b"meta", data[at + 8 : end], box) + data[end:]


def test_a_grid_of_itself_ends():
    data = phone_pictures.heic_grid(pictures.gradient(256, 256), tile=128)
    primary = int.from_bytes(data[data.index(b"pitm") + 8 :][:2], "big")
    with pytest.raises((ImageTooComplex, UnsupportedFormat, CorruptImage)):
        probe(references(data, b"dimg", primary, [primary] * 900), CAPS)


def test_more_references_than_are_allowed_are_refused():
    data = pictures.encoded(SMALL, "AVIF")
    probe(references(data, b"cdsc", 1, [1] * 900), CAPS)
    with pytest.raises(ImageTooComplex, match="items of one list"):
        probe(references(data, b"cdsc", 1, [1] * 1_100), CAPS)
    with pytest.raises(ImageTooComplex):
        probe(data, replace(CAPS, bounds=HeaderBounds(segments=3)))


def test_a_heic_that_holds_something_else_is_unsupported():
    data = pictures.encoded(SMALL, "AVIF").replace(b"ftypavif", b"ftypheic", 1)
    end = struct.unpack(">I", data[:4])[0]
    disguised = data[:end].replace(b"avif", b"heix") + data[end:]
    with pytest.raises(UnsupportedFormat, match="av01"):
        probe(disguised, CAPS)
