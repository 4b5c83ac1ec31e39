"""JPEGs that browsers show although something is missing, or something is there that should not be."""

import struct

import numpy as np
import pytest

from nightlight.imaging.probe import UploadCaps, probe
from nightlight_core.errors import CorruptImage, ImageTooComplex, TruncatedImage
from tests.support import odd, pictures
from tests.support.hostile import jpeg_before, segment

PICTURE = pictures.jpeg(320, 240)
PROGRESSIVE = pictures.jpeg(320, 240, progressive=True)
STRAY = b"\0\1stray bytes\0"


def with_restarts(width=320, height=240, rows=1, **options):
    image = pictures.gradient(width, height)
    return pictures.encoded(image, "JPEG", quality=90, restart_marker_rows=rows, **options)


@pytest.mark.parametrize("data", [PICTURE, PROGRESSIVE, with_restarts()], ids=["baseline", "progressive", "restarts"])
@pytest.mark.parametrize(
    "trailer",
    [b"", b"\0\0\0\x18ftypmp42", b"\xff\xd8\xff\xe1\0\x10Exif", b"\xff\x53\0" * 9, b"\xff", b"\xff\xc4\0\4ab"],
)
def test_a_picture_without_its_end_has_the_pixels_of_one_with_it(data, trailer):
    assert np.array_equal(odd.frame(data.removesuffix(odd.END) + trailer), odd.frame(data))


@pytest.mark.parametrize(
    "data",
    [
        odd.behind(PICTURE, 0xE0, STRAY),
        odd.behind(PICTURE, 0xDB, STRAY),
        odd.behind(PICTURE, 0xC0, STRAY),
        odd.behind(PICTURE, 0xC4, STRAY + b"\xff\0\xff\xff"),
        odd.behind(PICTURE, 0xC0, b"\xff\xe5\0\0" + STRAY),
        odd.behind(PICTURE, 0xC0, b"\xff\xfe\0\1"),
        jpeg_before(b"\xff\xd3\xff\x01", PICTURE),
        jpeg_before(segment(0xE1, b"Exif\0\0MM\0*\xff\xff\xff\xff"), PICTURE),
        jpeg_before(segment(0xE2, b"MPF\0II*\0\xff\xff\xff\xff"), PICTURE),
        jpeg_before(segment(0xE2, b"ICC_PROFILE\0\1\2short"), PICTURE),
        jpeg_before(segment(0xE2, b"ICC_PROFILE\0"), PICTURE),
        jpeg_before(segment(0xED, b"Photoshop 3.0\x008BIM\4\4"), PICTURE),
        jpeg_before(segment(0xE0, b"JFIF"), PICTURE),
        jpeg_before(segment(0xE0, b""), PICTURE),
    ],
)
def test_stray_bytes_and_odd_segments_are_passed_over(data):
    assert np.array_equal(odd.frame(data), odd.frame(PICTURE))


def test_stray_bytes_between_scans_are_passed_over():
    for at in odd.scans(PROGRESSIVE)[1:4]:
        data = PROGRESSIVE[:at] + STRAY + PROGRESSIVE[at:]
        assert np.array_equal(odd.frame(data), odd.frame(PROGRESSIVE))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("marker", [0x01, 0x02, 0x7F, 0xBF])
def test_a_reserved_marker_among_restarts_costs_one_row_of_blocks(marker, progressive):
    data = with_restarts(progressive=progressive)
    whole = odd.frame(data)
    for share in (0.3, 0.6, 0.9):
        begin = odd.scans(data)[0]
        at = data.rindex(b"\xff\xd2", begin, begin + int((len(data) - begin) * share)) + 40
        marked = data[:at] + bytes((0xFF, marker)) + data[at:]
        assert odd.notes_of(marked) == []
        assert (odd.frame(marked) == whole).all(axis=(1, 2)).sum() >= 240 - 3 * 16


def test_a_marker_of_a_segment_among_restarts_ends_the_data():
    data = with_restarts()
    at = odd.scans(data)[0] + (len(data) - odd.scans(data)[0]) // 2
    with pytest.raises(TruncatedImage, match=r"jpeg: \d+ % of the rows arrived"):
        odd.frame(data[:at] + b"\xff\xc4" + data[at:])


def test_stray_bytes_count_as_fill():
    probe(odd.behind(PICTURE, 0xE0, bytes(65_536)), UploadCaps())
    with pytest.raises(ImageTooComplex, match="fill bytes"):
        probe(odd.behind(PICTURE, 0xE0, bytes(65_537)), UploadCaps())


def test_what_follows_the_one_scan_of_a_picture_is_not_decoded():
    at = odd.scans(PICTURE)[0]
    header = probe(PICTURE.removesuffix(odd.END) + PICTURE[at:], UploadCaps())
    assert header.end == len(PICTURE) - 2
    assert np.array_equal(odd.frame(PICTURE.removesuffix(odd.END) + PICTURE[at:]), odd.frame(PICTURE))


@pytest.mark.parametrize("data", [PICTURE, with_restarts(), with_restarts(rows=2)])
@pytest.mark.parametrize("ending", [b"", odd.END])
def test_a_picture_of_which_nine_tenths_arrived_is_filled_with_its_last_row(data, ending):
    at = odd.scans(data)[0]
    cut = data[: at + int((len(data) - at) * 0.95)] + ending
    shown, whole = odd.frame(cut), odd.frame(data)
    ((word, arrived, rows),) = odd.notes_of(cut)
    assert (word, rows) == ("rows_missing", 240)
    assert 216 <= arrived < 240
    assert np.array_equal(shown[:arrived], whole[:arrived])
    assert (shown[arrived:] == shown[-1, 0]).all()
    assert abs(whole[arrived - 1].mean(axis=0) - shown[-1, 0]).max() <= 1


@pytest.mark.parametrize("data", [PICTURE, with_restarts()])
@pytest.mark.parametrize("ending", [b"", odd.END])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_a_picture_of_which_less_arrived_is_refused_with_how_much(data, ending, share):
    at = odd.scans(data)[0]
    with pytest.raises(TruncatedImage, match=r"jpeg: \d+ % of the rows arrived") as refused:
        odd.frame(data[: at + int((len(data) - at) * share)] + ending)
    percent = int(str(refused.value).split()[1])
    assert share * 100 - 12 < percent < share * 100 + 12


def test_the_rows_that_arrived_are_known_wherever_the_data_end():
    """No row that the missing data would have changed is shown, and at most two rows of blocks are lost."""
    whole = odd.frame(PICTURE)
    for cut in range(len(PICTURE) - 900, len(PICTURE) - 2, 37):
        try:
            ((_, arrived, _),) = odd.notes_of(PICTURE[:cut])
        except TruncatedImage:
            continue
        same = (odd.frame(PICTURE[:cut]) == whole).all(axis=(1, 2))
        assert same[:arrived].all()
        assert arrived >= 240 - 2 * 16


@pytest.mark.parametrize("scans", [2, 4, 7])
def test_a_progressive_picture_is_shown_once_its_first_scan_is_whole(scans):
    at = odd.scans(PROGRESSIVE)[scans] + 40
    shown, whole = odd.frame(PROGRESSIVE[:at]), odd.frame(PROGRESSIVE)
    assert abs(shown - whole).mean() < 12
    ((word, arrived, percent),) = odd.notes_of(PROGRESSIVE[:at])
    assert (word, arrived) == ("scans_missing", scans)
    assert 0 <= percent < 100


def test_a_progressive_picture_without_its_first_scan_is_refused():
    first, second = odd.scans(PROGRESSIVE)[:2]
    for at in (first + 20, (first + second) // 2):
        with pytest.raises(TruncatedImage, match=r"\d+ % of the rows arrived"):
            odd.frame(PROGRESSIVE[:at])


def test_a_picture_that_ends_before_its_pixels_is_refused_at_the_upload():
    with pytest.raises(TruncatedImage, match="0 % of the rows arrived"):
        probe(PICTURE[: odd.scans(PICTURE)[0]], UploadCaps())


def test_a_grey_end_that_is_the_pictures_own_is_no_missing_one():
    grey = pictures.encoded(odd.flat(320, 240, (128, 128, 128)), "JPEG")
    assert odd.notes_of(grey) == []
    assert (odd.frame(grey) == 128).all()


@pytest.mark.parametrize(
    ("tiff", "orientation"),
    [
        (odd.orientation_exif(6), 6),
        (odd.orientation_exif(6, order="<"), 6),
        (odd.orientation_exif(8, entries=900), 8),
        (odd.orientation_exif(0), 1),
        (odd.orientation_exif(9), 1),
        (odd.orientation_exif(6, kind=4), 1),
        (odd.orientation_exif(6, count=2), 1),
        (odd.orientation_exif(6, offset=4_000_000_000), 1),
        (odd.orientation_exif(6, offset=9), 1),
        (odd.orientation_exif(6)[:12], 1),
        (b"", 1),
    ],
)
def test_exif_turns_a_picture_as_browsers_turn_it(tiff, orientation):
    assert odd.opened(odd.jpeg_with_exif(tiff)).orientation == orientation


def test_xmp_alone_turns_nothing():
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    picture = pictures.gradient(64, 48)
    for format_ in ("JPEG", "PNG", "WEBP"):
        assert odd.opened(pictures.encoded(picture, format_, xmp=xmp)).orientation == 1


def test_the_first_exif_segment_decides():
    data = jpeg_before(
        segment(0xE1, b"Exif\0\0" + odd.orientation_exif(3)), odd.jpeg_with_exif(odd.orientation_exif(6))
    )
    assert odd.opened(data).orientation == 3


def test_a_profile_in_parts_is_joined_in_their_order_and_ignored_where_one_is_missing():
    profile = bytes(range(256)) * 10
    parts = [segment(0xE2, b"ICC_PROFILE\0" + bytes((n, 3)) + profile[900 * (n - 1) : 900 * n]) for n in (1, 2, 3)]
    assert odd.opened(jpeg_before(parts[2] + parts[0] + parts[1], PICTURE)).icc_profile == profile
    assert odd.opened(jpeg_before(parts[2] + parts[0], PICTURE)).icc_profile is None


def test_a_frame_header_that_comes_twice_is_refused_at_the_upload():
    at = PICTURE.index(b"\xff\xc0")
    frame = PICTURE[at : at + 2 + struct.unpack(">H", PICTURE[at + 2 : at + 4])[0]]
    with pytest.raises(CorruptImage):
        probe(odd.behind(PICTURE, 0xC0, frame), UploadCaps())


@pytest.mark.parametrize(
    ("segments", "orientation"),
    [
        ((b"Exif\0\xff" + odd.orientation_exif(6),), 6),
        ((b"Exif\0\0", b"Exif\0\0" + odd.orientation_exif(3)), 3),
        ((b"Exif\0\0II*", b"Exif\0\0" + odd.orientation_exif(3)), 3),
        ((b"Exif\0\0XX*\0\0\0\0\x08", b"Exif\0\0" + odd.orientation_exif(3)), 1),
        ((b"exif\0\0" + odd.orientation_exif(6),), 1),
    ],
)
def test_a_segment_that_can_hold_no_exif_is_none(segments, orientation):
    data = jpeg_before(b"".join(segment(0xE1, body) for body in segments), PICTURE)
    assert odd.opened(data).orientation == orientation


@pytest.mark.parametrize(
    ("numbers", "used"),
    [
        ([(1, 1), (1, 1)], True),
        ([(1, 2), (2, 2)], True),
        ([(1, 2), (2, 2), (2, 2)], True),
        ([(1, 2), (1, 2), (2, 2)], False),
        ([(1, 2), (2, 3)], False),
        ([(0, 1)], False),
        ([(2, 1)], False),
        ([(1, 2)], False),
    ],
)
def test_the_parts_of_a_profile_count_until_it_is_complete(numbers, used):
    profile = bytes(range(200))
    size = len(profile) // numbers[0][1]
    parts = [
        segment(0xE2, b"ICC_PROFILE\0" + bytes((number, count)) + profile[(number - 1) * size : number * size])
        for number, count in numbers
    ]
    assert odd.opened(jpeg_before(b"".join(parts), PICTURE)).icc_profile == (profile if used else None)
