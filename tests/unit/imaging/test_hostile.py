"""Pictures that would cost a decoder, or the header's reader itself, more than they should are refused from the header."""

import contextlib
import time
import tracemalloc

import pytest

from nightlight.imaging.formats import Format
from nightlight.imaging.header_limits import HeaderBounds
from nightlight.imaging.probe import UploadCaps, probe
from nightlight_core.errors import ImageRefused, ImageTooComplex
from tests.support import hostile, pictures

CAPS = UploadCaps(formats=frozenset(Format))
# Dear in pixels and nothing else, or cheap for its decoder in any number.
CHEAP = {"gif: clears", "png: frames", "jpeg: exif in parts"}


@pytest.fixture(scope="module")
def phone():
    """What a phone takes: 12 megapixels with some noise."""
    return pictures.gradient(4032, 3024)


@pytest.mark.parametrize("kind", sorted(hostile.KINDS.keys() - CHEAP))
def test_each_hostile_kind_is_refused_by_a_reader_that_takes_no_time_itself(kind):
    data = hostile.KINDS[kind]()
    begin = time.thread_time()
    with pytest.raises(ImageTooComplex):
        probe(data, CAPS)
    # A loop over the bytes took 1 to 2.3 s. This is the thread's own time, whatever else the machine does.
    assert time.thread_time() - begin < 0.3


@pytest.mark.parametrize(
    ("make", "most"),
    [
        (hostile.jpeg_fill, 65_536),
        (lambda count: hostile.jpeg_before(b"\xff\xf0" + bytes(count)), 65_536),
        (lambda count: hostile.gif_extension(count, piece=255), 255 * 16_000),
        (lambda count: hostile.png_chunks(count, behind=True), 990),
        (hostile.jpeg_segments, 980),
        (lambda count: hostile.jpeg_scans(count, 640, 480), 90),
        (hostile.isobmff_items, 1_000),
        (hostile.webp_chunks, 990),
    ],
)
def test_what_keeps_to_the_bounds_passes_and_twice_as_much_does_not(make, most):
    probe(make(most), CAPS)
    with pytest.raises(ImageTooComplex):
        probe(make(2 * most + 512), CAPS)


def test_the_bounds_are_settings():
    picture = hostile.jpeg_scans(40, 640, 480)
    probe(picture, CAPS)
    with pytest.raises(ImageTooComplex, match="more than 20 scans"):
        probe(picture, UploadCaps(bounds=HeaderBounds(scans=20)))
    with pytest.raises(ImageTooComplex, match="seconds of a processor to decode"):
        probe(picture, UploadCaps(max_decode_s=0.01))


def test_the_estimate_grows_with_pixels_times_scans():
    def estimate(*arguments):
        return probe(hostile.jpeg_scans(*arguments), CAPS).decode_s

    small, more_scans, more_pixels = estimate(10, 800, 600), estimate(80, 800, 600), estimate(10, 2400, 1800)
    assert 4 < more_scans / small < 8
    assert 8 < more_pixels / small < 10


def test_few_scans_of_many_pixels_are_refused_by_the_estimate():
    with pytest.raises(ImageTooComplex, match="seconds of a processor to decode"):
        probe(hostile.jpeg_scans(85, 7_000, 4_800), CAPS, edge=1024)


@pytest.mark.parametrize(
    "options",
    [{"quality": 90}, {"quality": 95, "progressive": True}, {"quality": 95, "progressive": True, "subsampling": 0}],
)
def test_a_phones_picture_passes(phone, options):
    assert probe(pictures.encoded(phone, "JPEG", **options), CAPS, edge=1024).decode_s < 1.0


def test_a_phones_picture_with_a_second_one_and_large_metadata_passes():
    """Its preview, in EXIF and behind it, has scans of its own: they are not those of the picture."""
    preview = pictures.jpeg(640, 480, progressive=True)
    mpf = b"MPF\0" + bytes(60_000)
    profile = b"".join(
        hostile.segment(0xE2, b"ICC_PROFILE\0" + bytes((number, 50)) + bytes(65_000)) for number in range(1, 51)
    )
    exif = hostile.segment(0xE1, b"Exif\0\0" + preview)
    picture = pictures.jpeg(2016, 1512, progressive=True)
    data = hostile.jpeg_before(exif + hostile.segment(0xE2, mpf) + profile, picture) + 3 * preview
    assert probe(data, CAPS).decode_s < probe(picture, CAPS).decode_s + 0.01


def test_pixels_in_small_parts_and_long_animations_pass():
    picture = pictures.encoded(pictures.gradient(1200, 900), "PNG", compress_level=1)
    head, pixels, end = hostile.png_parts(picture)
    body = b"".join(
        picture[at + 8 : at + 8 + size] for at, size in _chunks(picture) if picture[at + 4 : at + 8] == b"IDAT"
    )
    parts = b"".join(hostile.chunk(b"IDAT", body[at : at + 512]) for at in range(0, len(body), 512))
    assert len(parts) > 2_000 * 512
    assert probe(head + parts + end, CAPS).width == 1200
    assert pixels


def _chunks(data):
    at = 8
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        yield at, size
        at += 12 + size


@pytest.mark.parametrize("kind", sorted(hostile.KINDS))
def test_a_hostile_picture_cut_anywhere_is_probed_or_refused_never_worse(kind):
    data = hostile.KINDS[kind]()
    for cut in (10, 40, 700, len(data) // 3, len(data) - 1):
        try:
            probe(data[:cut], CAPS)
        except ImageRefused:
            continue


@pytest.mark.parametrize("bits", [255, 3, 0])
def test_a_box_of_bits_is_read_no_further_than_a_picture_has_channels(bits):
    """Twenty million bytes of it were twenty million arguments of one call."""
    data = hostile.isobmff("AVIF")
    at = data.index(b"pixi") - 4
    size = int.from_bytes(data[at : at + 4], "big")
    more = 19_000_000
    grown = bytearray(
        data[:at] + (size + more).to_bytes(4, "big") + data[at + 4 : at + size] + b"\xff" * more + data[at + size :]
    )
    grown[at + 12] = bits
    for outer in (b"ipco", b"iprp", b"meta"):
        start = data.index(outer) - 4
        grown[start : start + 4] = (int.from_bytes(data[start : start + 4], "big") + more).to_bytes(4, "big")
    tracemalloc.start()
    try:
        with contextlib.suppress(ImageRefused):
            probe(bytes(grown), UploadCaps())
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 3 * len(grown)
