"""Phones' WebP: scaled while it is decoded, cut off, animated, and lying about its size."""

import struct
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from nightlight.imaging import decoders
from nightlight.imaging.crop import Region
from nightlight.imaging.probe import probe
from nightlight.imaging.sandbox import Sandbox
from nightlight_core.errors import (
    ImageRefused,
    TruncatedImage,
)
from tests.support import hostile, pictures
from tests.support.phone_frames import CAPS, FADED, SMALL, difference, frame, on_white, smooth

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("edge", [100, 160, 240])
@pytest.mark.parametrize("options", [{"quality": 90}, {"lossless": True}])
@pytest.mark.parametrize("alpha", [False, True])
def test_a_webp_is_scaled_as_it_would_be_behind_its_decoder(edge, options, alpha):
    image = FADED if alpha else SMALL
    data = pictures.encoded(image, "WEBP", **options)
    decoded = Image.open(BytesIO(data)).convert(image.mode)
    size = (round(320 * edge / 240), edge)
    expected = decoded.resize(size, Image.Resampling.HAMMING)
    assert difference(frame(data, edge=edge), on_white(expected) if alpha else expected) < 1.5


def test_colours_that_nobody_sees_do_not_bleed_into_those_beside_them():
    """Transparent green beside opaque red: of an average that does not count alpha, green would be seen."""
    image = Image.new("RGBA", (400, 400), (0, 255, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 203, 400))
    for options in ({"lossless": True, "exact": True}, {"quality": 100, "exact": True}):
        shown = frame(pictures.encoded(image, "WEBP", **options), edge=40)
        red, green, blue = shown.split()
        assert np.asarray(green, dtype=int).max() <= 255
        assert (np.asarray(green, dtype=int) <= np.asarray(blue, dtype=int) + 24).all()
        assert np.asarray(red, dtype=int).min() > 230


@pytest.mark.parametrize("size", [(4032, 3024), (6000, 4000), (8192, 6144)])
def test_a_webp_of_a_phone_passes_and_keeps_its_memory(size):
    data = pictures.encoded(smooth(*size), "WEBP", quality=75, method=0)
    header = probe(data, CAPS, edge=1024)
    with Sandbox() as sandbox:
        shown = sandbox.frame(data, header, edge=1024)
        assert min(shown.size) == 1024
        assert sandbox.peak_kb < 160_000
    assert header.decode_s < CAPS.max_decode_s


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_webp_is_turned_as_its_exif_says(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = pictures.encoded(SMALL, "WEBP", lossless=True, exif=exif)
    expected = SMALL.copy()
    expected.getexif()[0x0112] = orientation
    assert difference(frame(data), ImageOps.exif_transpose(expected)) < 0.1


def test_a_webps_profile_is_followed():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))  # not one of RGB, so it is left aside
    plain = frame(pictures.encoded(SMALL, "WEBP", lossless=True))
    assert difference(frame(pictures.encoded(SMALL, "WEBP", lossless=True, icc_profile=profile.tobytes())), plain) == 0


def animation(width, height, frames):
    """An animated WebP: a canvas, and frames with their left and top, which are even."""

    def three(value):
        return struct.pack("<I", value)[:3]

    body = hostile.riff(b"VP8X", struct.pack("<I", 0x12) + three(width - 1) + three(height - 1))
    body += hostile.riff(b"ANIM", b"\x80\x40\x20\xff\0\0")
    for image, left, top, options in frames:
        simple = pictures.encoded(image, "WEBP", **options)
        parts = simple[12:]
        while parts[:4] not in {b"ALPH", b"VP8 ", b"VP8L"}:
            parts = parts[8 + struct.unpack("<I", parts[4:8])[0] :]
        place = three(left // 2) + three(top // 2) + three(image.width - 1) + three(image.height - 1)
        body += hostile.riff(b"ANMF", place + three(100) + b"\0" + parts)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


@pytest.mark.parametrize("options", [{"quality": 95}, {"lossless": True}])
@pytest.mark.parametrize("image", [SMALL, FADED], ids=["opaque", "alpha"])
@pytest.mark.parametrize("edge", [400, 100])
def test_the_first_frame_lies_in_its_place_and_the_rest_of_the_canvas_is_transparent(options, image, edge):
    data = animation(500, 400, [(image, 100, 60, options), (Image.new("RGB", (500, 400)), 0, 0, options)])
    canvas = Image.new("RGBA", (500, 400))
    canvas.paste(image, (100, 60))
    size = (round(500 * edge / 400), edge)
    expected = on_white(canvas.resize(size, Image.Resampling.HAMMING))
    assert difference(frame(data, edge=edge), expected) < 1.5


def test_a_crop_of_a_large_webp_is_as_sharp_as_the_picture():
    image = smooth(4032, 3024)
    data = pictures.encoded(image, "WEBP", quality=90, method=0)
    shown = frame(data, edge=256, region=Region(1001, 777, 300, 256))
    decoded = Image.open(BytesIO(data)).convert("RGB").crop((1001, 777, 1301, 1033))
    assert difference(shown, decoded) < 2


def test_a_crop_beside_the_first_frame_is_white():
    data = animation(500, 400, [(SMALL, 0, 0, {"quality": 90})])
    shown = frame(data, edge=50, region=Region(400, 300, 60, 60))
    assert shown.getextrema() == ((255, 255),) * 3


def test_without_a_library_to_call_pillow_decodes(monkeypatch):
    for name in ("libwebp", "libavif", "libheif"):
        monkeypatch.setattr(decoders, name, lambda: None)
    for format_ in ("WEBP", "AVIF", "HEIF"):
        data = pictures.encoded(SMALL, format_, quality=95)
        assert difference(frame(data), SMALL) < 3


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.95])
def test_a_webp_that_was_cut_off_is_told_at_the_upload(kept):
    for options in ({"quality": 90}, {"lossless": True}, {"save_all": True, "append_images": [FADED]}):
        data = pictures.encoded(SMALL, "WEBP", **options)
        if not options.get("save_all"):
            with pytest.raises(TruncatedImage, match="% of the picture"):
                probe(data[: int(len(data) * kept)], CAPS)
    data = animation(320, 240, [(SMALL, 0, 0, {"quality": 90})])
    with pytest.raises(TruncatedImage):
        probe(data[: int(len(data) * kept)], CAPS)


def test_a_webp_whose_metadata_was_cut_off_is_shown():
    exif = Image.Exif()
    exif[0x010E] = "a description " * 40
    data = pictures.encoded(SMALL, "WEBP", lossless=True, exif=exif)
    assert difference(frame(data[:-100]), SMALL) < 0.1


@pytest.mark.parametrize(
    "lie",
    [
        {"canvas": (64, 64)},  # smaller than its frame
        {"canvas": (16_384, 16_384)},
        {"frame": (1 << 14, 1 << 14)},
    ],
)
def test_a_webp_that_lies_about_its_size_is_refused(lie, sandbox):
    data = bytearray(animation(320, 240, [(SMALL, 0, 0, {"quality": 90})]))
    if "canvas" in lie:
        data[24:30] = b"".join(struct.pack("<I", side - 1)[:3] for side in lie["canvas"])
    else:
        at = data.index(b"\x9d\x01\x2a") + 3
        data[at : at + 4] = struct.pack("<HH", *(side - 1 for side in lie["frame"]))
    with pytest.raises(ImageRefused):
        sandbox.frame(bytes(data), probe(bytes(data), CAPS), edge=64)
    assert sandbox.alive
