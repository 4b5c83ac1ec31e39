"""The reported pictures of phones, JPEGs of 200 megapixels, and what refusals say."""

import os
import struct
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from nightlight.imaging.probe import UploadCaps, probe
from nightlight.imaging.sandbox import Sandbox
from nightlight_core.errors import (
    ImageTooComplex,
    ImageTooLarge,
    TruncatedImage,
)
from tests.conftest import ROOT
from tests.support import hostile, odd, pictures
from tests.support.phone_frames import CAPS, frame

pytestmark = pytest.mark.integration

REPORTED = Path(os.environ.get("NIGHTLIGHT_REPORTED", ROOT.parent / "shared" / "reported"))


def reported(name):
    path = REPORTED / name
    if not path.exists():
        pytest.skip(f"no {name} in {REPORTED}; set NIGHTLIGHT_REPORTED")
    return path.read_bytes()


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("heic_12MP.heic", (1365, 1024)),
        ("webp_12MP.webp", (1365, 1024)),
        ("avif_second_ispe_larger.avif", (64, 48)),
        ("avif_cicp_p3.avif", (480, 360)),
    ],
)
def test_what_was_reported_is_decoded_by_default(name, size, sandbox):
    data = reported(name)
    assert sandbox.frame(data, probe(data, CAPS, edge=1024), edge=1024).size == size


def test_the_reported_webp_that_was_cut_off_says_so():
    with pytest.raises(TruncatedImage, match=r"96 % of the picture's 5274 bytes arrived"):
        probe(reported("webp_trunc.webp"), CAPS)


def test_the_reported_avif_states_its_colours():
    assert probe(reported("avif_cicp_p3.avif"), CAPS).cicp[:2] == (12, 13)


def test_a_jpeg_of_200_megapixels_passes_and_keeps_its_memory():
    data = pictures.encoded(Image.new("RGB", (16_384, 12_288), (90, 120, 60)), "JPEG", quality=90)
    header = probe(data, CAPS, edge=1024)
    with closing(Sandbox()) as sandbox:
        assert sandbox.frame(data, header, edge=1024).size == (1365, 1024)
        assert sandbox.peak_kb < 160_000


def test_a_jpeg_as_wide_as_libjpeg_reads_passes():
    data = pictures.encoded(Image.new("RGB", (65_500, 64), (90, 120, 60)), "JPEG")
    assert frame(data, edge=64).size == (128, 64)


def interlaced_png_header(width, height):
    return odd.png_of([(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1))])


REFUSALS = [
    (lambda: hostile.png_header(20_000, 20_000), ImageTooLarge, "PNG of 20000 x 20000 pixels; at most 16,384 pixels a"),
    (lambda: hostile.png_header(10_000, 10_000), ImageTooLarge, "100.0 megapixels; at most 65"),
    (
        lambda: interlaced_png_header(6_000, 8_000),
        ImageTooLarge,
        r"would take \d+ MB of memory to decode; at most 125 MB",
    ),
    (lambda: hostile.jpeg_scans(101, 64, 48), ImageTooComplex, "more than 100 scans"),
    (lambda: hostile.jpeg_scans(85, 7_000, 4_800), ImageTooComplex, r"progressive .* seconds of a processor to decode"),
]


@pytest.mark.parametrize(("make", "kind", "words"), REFUSALS)
def test_a_refusal_names_what_was_too_much_and_the_limit(make, kind, words):
    with pytest.raises(kind, match=words):
        probe(make(), UploadCaps(), edge=1024)
