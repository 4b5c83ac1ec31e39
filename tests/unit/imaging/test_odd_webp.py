"""WebP whose parts do not say the same: what counts, as in Chromium."""

import struct

import numpy as np
import pytest
from PIL import Image

from nightlight.imaging.colour_convert import icc_profile
from nightlight.imaging.colour_space import PRIMARIES, ColourSpace
from nightlight_core.errors import CorruptImage
from tests.support import odd, pictures

PICTURE = pictures.gradient(96, 64)
RGBA = PICTURE.convert("RGBA")
RGBA.putalpha(Image.linear_gradient("L").resize(RGBA.size))
ALPHA = pictures.encoded(RGBA, "WEBP", quality=90)
PROFILE = icc_profile(ColourSpace(PRIMARIES[12], 13.0))
PROFILED = pictures.encoded(PICTURE, "WEBP", lossless=True, icc_profile=PROFILE)


def chunks(data):
    at, parts = 12, []
    while at + 8 <= len(data):
        size = struct.unpack("<I", data[at + 4 : at + 8])[0]
        parts.append((data[at : at + 4], data[at + 8 : at + 8 + size]))
        at += 8 + size + (size & 1)
    return parts


def webp(parts):
    body = b"".join(kind + struct.pack("<I", len(data)) + data + bytes(len(data) & 1) for kind, data in parts)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def flags(data, value):
    return data[:20] + bytes((value,)) + data[21:]


def test_alpha_that_the_flags_do_not_announce_is_not_used():
    opaque = webp([part for part in chunks(ALPHA) if part[0] == b"VP8 "])
    assert np.array_equal(odd.frame(flags(ALPHA, 0)), odd.frame(opaque))
    assert not np.array_equal(odd.frame(ALPHA), odd.frame(opaque))


def test_lossless_alpha_that_the_flags_do_not_announce_is_not_used():
    ((_, pixels),) = chunks(pictures.encoded(RGBA, "WEBP", lossless=True, exact=True))
    canvas = struct.pack("<I", 95)[:3] + struct.pack("<I", 63)[:3]
    extended = webp([(b"VP8X", bytes(4) + canvas), (b"VP8L", pixels)])
    assert np.array_equal(odd.frame(extended), np.asarray(PICTURE))


def test_a_profile_that_the_flags_do_not_announce_is_not_used():
    assert np.array_equal(odd.frame(flags(PROFILED, 0)), np.asarray(PICTURE))
    assert abs(odd.frame(PROFILED) - np.asarray(PICTURE)).mean() > 2


@pytest.mark.parametrize("head", [b"", b"\x03", b"\x20", b"\x30", b"\x80"])
def test_alpha_that_cannot_be_read_is_damage_and_no_want_of_memory(head):
    canvas, _, picture = chunks(ALPHA)
    with pytest.raises(CorruptImage):
        odd.frame(webp([canvas, (b"ALPH", head + b"xx" if head else b""), picture]))


def test_the_first_frame_is_as_large_as_its_pixels_say():
    data = pictures.encoded(PICTURE, "WEBP", lossless=True, save_all=True, append_images=[PICTURE.rotate(180)])
    at = data.index(b"ANMF") + 8 + 6
    assert data[at] == 95
    assert np.array_equal(odd.frame(data[:at] + b"\x40" + data[at + 1 :]), np.asarray(PICTURE))
