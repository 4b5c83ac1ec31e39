import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlight.errors import CorruptImage, ImageRefused, ImageTooLarge, UnsupportedFormat
from nightlight.imaging.decode import PILLOW_FORMATS
from nightlight.imaging.probe import Format, probe, sniff
from tests.support import pictures

CAPS = {"max_pixels": 50_000_000, "max_side": 16_384}
SAMPLES = {
    Format.JPEG: pictures.encoded(pictures.gradient(301, 203), "JPEG"),
    Format.PNG: pictures.encoded(pictures.gradient(301, 203), "PNG"),
    Format.WEBP: pictures.encoded(pictures.gradient(301, 203), "WEBP"),
    Format.AVIF: pictures.encoded(pictures.gradient(301, 203), "AVIF"),
    Format.GIF: pictures.encoded(pictures.gradient(301, 203), "GIF"),
}
VARIANTS = {
    "progressive jpeg": pictures.encoded(pictures.gradient(301, 203), "JPEG", progressive=True),
    "grey jpeg": pictures.encoded(pictures.gradient(301, 203).convert("L"), "JPEG"),
    "cmyk jpeg": pictures.encoded(pictures.gradient(301, 203).convert("CMYK"), "JPEG"),
    "lossless webp": pictures.encoded(pictures.gradient(301, 203), "WEBP", lossless=True),
    "webp with alpha": pictures.encoded(pictures.gradient(301, 203).convert("RGBA"), "WEBP"),
    "jpeg with a thumbnail of exif": pictures.encoded(
        pictures.gradient(301, 203), "JPEG", exif=b"Exif\0\0" + bytes(60_000)
    ),
}


@pytest.mark.parametrize("kind", Format)
def test_every_entry_of_the_allow_list_is_probed_and_has_a_decoder(kind):
    header = probe(SAMPLES[kind], **CAPS)
    assert (header.format, header.width, header.height) == (kind, 301, 203)
    assert PILLOW_FORMATS[kind]


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_give_their_size(name):
    header = probe(VARIANTS[name], **CAPS)
    assert (header.width, header.height) == (301, 203)


def test_a_file_that_is_multi_picture_or_animated_is_probed_by_its_first():
    frames = [pictures.gradient(64, 48, seed=seed) for seed in range(3)]
    for format_ in ("GIF", "PNG", "WEBP"):
        data = pictures.encoded(frames[0], format_, save_all=True, append_images=frames[1:])
        header = probe(data, **CAPS)
        assert (header.width, header.height) == (64, 48)


@pytest.mark.parametrize("kind", Format)
@given(cut=st.floats(0, 1))
def test_a_file_cut_anywhere_is_probed_or_refused_never_worse(kind, cut):
    data = SAMPLES[kind]
    with contextlib.suppress(ImageRefused):
        probe(data[: int(len(data) * cut)], **CAPS)


@given(st.binary(max_size=300), st.sampled_from(list(Format)))
def test_noise_behind_magic_bytes_is_probed_or_refused_never_worse(noise, kind):
    try:
        header = probe(SAMPLES[kind][:16] + noise, **CAPS)
    except ImageRefused:
        return
    assert 1 <= header.width <= 16_384
    assert header.width * header.height <= 50_000_000


@given(st.binary(max_size=64))
def test_other_magic_bytes_are_unsupported(data):
    known = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"GIF8")
    if data.startswith(known) or data[4:8] == b"ftyp":
        return
    with pytest.raises(UnsupportedFormat):
        sniff(data)


def test_heic_and_other_ftyp_brands_are_unsupported():
    for brand in (b"heic", b"mif1", b"isom", b"qt  "):
        with pytest.raises(UnsupportedFormat):
            sniff(struct.pack(">I", 24) + b"ftyp" + brand + bytes(4) + b"mif1" + brand)


@pytest.mark.parametrize(
    ("caps", "refused"),
    [
        ({"max_pixels": 301 * 203, "max_side": 301}, False),
        ({"max_pixels": 301 * 203 - 1, "max_side": 301}, True),
        ({"max_pixels": 301 * 203, "max_side": 300}, True),
    ],
)
@pytest.mark.parametrize("kind", Format)
def test_the_caps_are_exact(kind, caps, refused):
    if refused:
        with pytest.raises(ImageTooLarge):
            probe(SAMPLES[kind], **caps)
    else:
        probe(SAMPLES[kind], **caps)


def test_a_jpeg_of_segments_without_end_is_refused_in_bounded_time():
    with pytest.raises(CorruptImage):
        probe(b"\xff\xd8" + b"\xff\xe1\x00\x02" * 5_000, **CAPS)


def test_an_avif_of_boxes_without_end_is_refused_in_bounded_time():
    head = struct.pack(">I", 16) + b"ftypavif" + bytes(4)
    with pytest.raises(CorruptImage):
        probe(head + (struct.pack(">I", 8) + b"free") * 5_000, **CAPS)
