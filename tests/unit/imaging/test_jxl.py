"""JPEG XL: its header, its first frame, its colours and its limits."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from nightlight.imaging.decode_memory import jxl_bytes
from nightlight.imaging.formats import Format
from nightlight.imaging.header_limits import HeaderBounds, HeaderTally
from nightlight.imaging.jxl_header import read_jxl_header
from nightlight.imaging.normalise import upright
from nightlight.imaging.probe import UploadCaps, probe
from nightlight_core.errors import CorruptImage, ImageTooComplex, ImageTooLarge, TruncatedImage, UnsupportedFormat
from tests.support import coded_colours, jxl_files, odd, pictures

CAPS = UploadCaps(formats=frozenset(Format))


def read(data):
    return read_jxl_header(memoryview(data), HeaderTally(HeaderBounds()), Format.JXL)


def photograph():
    return pictures.gradient(150, 100)


@pytest.mark.parametrize(
    "size", [(8, 8), (256, 256), (264, 8), (8, 264), (40, 30), (1, 1), (600, 599), (9_000, 513), (70_000, 8_193)]
)
def test_the_header_says_the_size(size):
    header = read(jxl_files.header(size) + b"\1")
    assert (header.width, header.height, header.bits, header.lossless) == (*size, 8, False)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("distance", [0, 0.3])
def test_every_mode_is_shown_as_it_was(mode, distance):
    image = photograph().convert(mode)
    if "A" in mode:
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    data = pictures.jxl(image, distance=distance)
    header = probe(data, CAPS)
    assert (header.alpha, header.colour) == ("A" in mode, "grey" if mode[0] == "L" else "rgb")
    assert header.lossless == (distance == 0)
    like = odd.frame(pictures.encoded(image, "PNG"))
    assert abs(odd.frame(data) - like).mean() <= (0 if distance == 0 else 1.5)


def test_sixteen_bits_are_brought_to_eight():
    deep = np.asarray(photograph()).astype(np.uint16) * 257
    data = pictures.jxl(deep, distance=0)  # which states that they are linear
    assert probe(data, CAPS).bits == 16
    like = odd.frame(coded_colours.png(deep, coded_colours.cicp(1, 8)))
    assert abs(odd.frame(data) - like).mean() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_codestream_says_how_it_is_turned(orientation):
    data = jxl_files.lossless(photograph(), orientation=orientation)
    assert np.array_equal(odd.frame(data), np.asarray(upright(photograph(), orientation)))


def test_exif_turns_nothing():
    exif = Image.Exif()
    exif[0x0112] = 6
    box = b"\0\0\0\0" + exif.tobytes()[6:]
    data = jxl_files.boxed(pictures.jxl(photograph(), distance=0, usecontainer=False))
    data += (len(box) + 8).to_bytes(4, "big") + b"Exif" + box
    assert np.array_equal(odd.frame(data), np.asarray(photograph()))


@pytest.mark.parametrize(
    ("colours", "numbers"),
    [
        ((1, 11, 13), (12, 13)),
        ((1, 9, 16), (9, 16)),
        ((1, 9, 18), (9, 18)),
        ((1, 1, 8), (1, 8)),
        ((11, 11, 17), (11, 17)),
    ],
)
def test_colours_are_those_of_a_png_with_the_same_numbers(colours, numbers):
    image = photograph()
    like = coded_colours.png(np.asarray(image), coded_colours.cicp(*numbers))
    assert np.array_equal(odd.frame(jxl_files.lossless(image, colours=colours)), odd.frame(like))


def test_a_space_without_numbers_goes_by_the_profile_that_libjxl_makes():
    shown = odd.frame(jxl_files.lossless(photograph(), colours=(10, 1, 13)))  # the white of a printed page
    assert 3 < abs(shown - np.asarray(photograph())).mean() < 40


def test_the_first_frame_of_an_animation_is_shown():
    first, second = photograph(), Image.new("RGB", (150, 100), (255, 0, 0))
    data = pictures.jxl(np.stack([np.asarray(first), np.asarray(second)]), distance=0)
    assert probe(data, CAPS).animated
    assert np.array_equal(odd.frame(data), np.asarray(first))


@pytest.mark.parametrize("parts", [1, 2, 7])
def test_a_codestream_may_lie_in_boxes(parts):
    data = jxl_files.boxed(pictures.jxl(photograph(), distance=0, usecontainer=False), parts=parts)
    assert np.array_equal(odd.frame(data), np.asarray(photograph()))


@pytest.mark.parametrize("boxed", [False, True])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
def test_an_upload_that_was_cut_off_is_refused_as_such(boxed, share):
    data = pictures.jxl(photograph(), distance=1.0, usecontainer=False)
    data = jxl_files.boxed(data) if boxed else data
    with pytest.raises(TruncatedImage):
        odd.frame(data[: int(len(data) * share)])


def test_damaged_pixels_are_refused():
    data = bytearray(pictures.jxl(photograph(), distance=0))
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    with pytest.raises(CorruptImage):
        odd.frame(bytes(data))


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (jxl_files.header((1 << 30, 1 << 30)) + b"\1", ImageTooLarge, "pixels a side"),
        (jxl_files.header((16_000, 16_000)) + b"\1", ImageTooLarge, "megapixels"),
        (jxl_files.header((7_000, 7_000)) + b"\1", ImageTooLarge, "MB of memory"),
        (jxl_files.header((300, 200), extra=(1,) * 9) + b"\1", ImageTooComplex, "channels"),
        (jxl_files.header((300, 200), extra=(4,)) + b"\1", UnsupportedFormat, "CMYK"),
        (jxl_files.header((300, 200))[:4], CorruptImage, "header"),
        (jxl_files.boxed(b"no codestream"), CorruptImage, "header"),
    ],
)
def test_a_hostile_header_is_refused_before_any_decoder(data, error, words):
    with pytest.raises(error, match=words):
        probe(data, CAPS)


def test_many_boxes_are_refused():
    with pytest.raises(ImageTooComplex):
        probe(jxl_files.boxed(b"")[:-8] + b"\0\0\0\x08free" * 2_000, CAPS)


def test_what_holds_more_is_reckoned_dearer():
    plain = read(jxl_files.header((4_000, 3_000)) + b"\1")
    lossless = replace(plain, lossless=True)
    composed = replace(plain, samples=4.0, alpha=True)
    assert jxl_bytes(plain, 1024) < jxl_bytes(lossless, 1024) < jxl_bytes(composed, 1024)


@pytest.mark.parametrize("xyb", [False, True])
def test_behind_a_profile_a_lossy_space_decides_what_is_reckoned(xyb):
    assert read(jxl_files.header((4_000, 3_000), icc=True, xyb=xyb) + bytes(9)).lossless is not xyb
