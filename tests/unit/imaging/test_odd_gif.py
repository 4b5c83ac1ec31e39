"""GIFs whose screens do not fit their frames, and others that browsers show although they are odd."""

import struct
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from nightlight.imaging.decode_memory import gif_bytes
from nightlight.imaging.probe import UploadCaps, probe
from nightlight_core.errors import CorruptImage, ImageTooComplex, ImageTooLarge, TruncatedImage
from tests.support import odd, pictures

PLACE = (0, 0, 64, 48)
PICTURE = odd.gif((64, 48), PLACE)
CONTROL = b"\x21\xf9\x04"


def on_white(width, height, left, top):
    """The picture on a white screen."""
    screen = np.full((height, width, 3), 255)
    screen[top : top + 48, left : left + 64] = odd.frame(PICTURE)
    return screen


@pytest.mark.parametrize(
    ("screen", "place", "expected"),
    [
        ((0, 0), PLACE, (64, 48, 0, 0)),
        ((0, 100), PLACE, (64, 100, 0, 0)),
        ((10, 10), PLACE, (64, 48, 0, 0)),
        ((0, 0), (5, 3, 64, 48), (69, 51, 5, 3)),
        ((64, 48), (5, 3, 64, 48), (69, 51, 5, 3)),
        ((100, 90), (20, 30, 64, 48), (100, 90, 20, 30)),
        ((80, 60), (90, 70, 64, 48), (154, 118, 90, 70)),
    ],
)
def test_the_screen_reaches_as_far_as_the_first_frame_and_is_white_around_it(screen, place, expected):
    assert np.array_equal(odd.frame(odd.gif(screen, place)), on_white(*expected))


def test_a_small_frame_on_a_large_screen_takes_the_memory_of_the_frame_alone():
    data = odd.gif((7000, 7000), (100, 200, 64, 48))
    header = probe(data, UploadCaps(), edge=1024)
    assert gif_bytes(header, 1024) < 70_000_000
    assert odd.frame(data, edge=100).shape == (100, 100, 3)


def test_a_gigantic_screen_is_refused_from_the_header():
    with pytest.raises(ImageTooLarge):
        probe(odd.gif((65_535, 65_535), PLACE), UploadCaps())
    with pytest.raises(ImageTooLarge):
        probe(odd.gif((64, 48), (65_000, 65_000, 64, 48)), UploadCaps())


@pytest.mark.parametrize(
    "before",
    [
        b"\x21\xf9\3\1\0\0\0",  # a control of another length
        b"\x21\xf9\5\1\0\0\1\0\0",
        b"\x21\xf9\0",
        b"\x21\x77\3abc\0",  # an extension that nobody knows
        b"\x21\xff\x0bNETSCAPE2.0\0",  # without its block
        b"\x21\xff\0",
        b"\x21\xfe\0",
        b"\0\1\2",  # no block at all
        CONTROL + b"\1\0\0\3\0" + CONTROL + b"\0\0\0\0\0",  # the last control counts
        CONTROL + b"\0\0\0\0\0",  # shown for no time
    ],
)
def test_extensions_before_the_frame_may_be_odd(before):
    assert np.array_equal(odd.frame(odd.gif((64, 48), PLACE, before=before)), odd.frame(PICTURE))


def test_the_transparent_index_is_white():
    data = odd.gif((64, 48), PLACE, before=CONTROL + b"\1\0\0\3\0")
    indices = np.asarray(Image.open(BytesIO(PICTURE)))
    expected = odd.frame(PICTURE)
    expected[indices == 3] = 255
    assert np.array_equal(odd.frame(data), expected)


def test_a_picture_without_a_palette_is_black_as_in_browsers():
    assert (odd.frame(odd.gif((64, 48), PLACE, flags=0, table=b"")) == 0).all()


def test_colours_beyond_the_palette_are_black():
    shown = odd.frame(odd.gif((64, 48), PLACE, flags=0x80, table=PICTURE[13:19]))
    indices = np.asarray(Image.open(BytesIO(PICTURE)))
    assert (shown[indices > 1] == 0).all()


def test_the_first_frame_is_shown():
    frames = [odd.flat(64, 48, colour) for colour in ((200, 0, 0), (0, 200, 0))]
    data = pictures.encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=0)
    assert (odd.frame(data) == (200, 0, 0)).all()


@pytest.mark.parametrize("interlace", [0, 1])
@pytest.mark.parametrize("cut", [3, 40, 150])
def test_a_picture_of_which_nine_tenths_of_the_rows_arrived_is_filled(interlace, cut):
    source = pictures.encoded(pictures.gradient(200, 160).quantize(32), "GIF", interlace=interlace)
    shown, whole = odd.frame(source[:-cut]), odd.frame(source)
    same = (shown == whole).all(axis=(1, 2))
    notes = odd.notes_of(source[:-cut])
    if not notes:
        assert same.all()
        return
    ((word, arrived, rows),) = notes
    assert (word, rows) == ("rows_missing", 160)
    assert 144 <= arrived <= same.sum()
    for row in np.flatnonzero(~same):
        above = row - 1 if interlace else np.flatnonzero(~same)[0] - 1
        assert abs(shown[row, 0] - whole[above].mean(axis=0)).max() <= 2


@pytest.mark.parametrize("interlace", [0, 1])
@pytest.mark.parametrize("share", [0.3, 0.6])
def test_a_picture_of_which_less_arrived_is_refused_with_how_much(interlace, share):
    source = pictures.encoded(pictures.gradient(200, 160).quantize(32), "GIF", interlace=interlace)
    with pytest.raises(TruncatedImage, match=r"gif: \d+ % of the rows arrived"):
        odd.frame(source[: int(len(source) * share)])


def test_a_picture_that_ends_before_its_frame_is_refused_at_the_upload():
    for end in (9, 13, 30, PICTURE.index(b",") + 5):
        with pytest.raises((TruncatedImage, CorruptImage)):
            probe(PICTURE[:end], UploadCaps())


@pytest.mark.parametrize(("share", "shown"), [(0.97, True), (0.4, False)])
def test_damaged_codes_count_as_missing_from_there_on(share, shown):
    source = bytearray(pictures.encoded(pictures.gradient(200, 160).quantize(32), "GIF"))
    at = source.index(b",", 13 + 96) + 11
    blocks = []
    while source[at]:
        blocks.append(at)
        at += 1 + source[at]
    block = blocks[int(len(blocks) * share)]
    source[block + 1 : block + 1 + source[block]] = b"\xff" * source[block]  # codes that the table does not have
    if shown:
        assert odd.notes_of(bytes(source))[0][0] == "rows_missing"
        return
    with pytest.raises(CorruptImage, match="damaged"):
        odd.frame(bytes(source))


def test_codes_and_frames_that_no_picture_has_are_refused():
    at = PICTURE.index(b",", 13 + 48) + 10
    with pytest.raises(CorruptImage):
        odd.frame(PICTURE[:at] + b"\x0d" + PICTURE[at + 1 :])
    with pytest.raises(CorruptImage):
        probe(PICTURE[: at - 5] + struct.pack("<HH", 0, 0) + PICTURE[at - 1 :], UploadCaps())


def test_bytes_that_are_no_block_count_as_fill():
    with pytest.raises(ImageTooComplex, match="fill bytes"):
        probe(odd.gif((64, 48), PLACE, before=bytes(70_000)), UploadCaps())
