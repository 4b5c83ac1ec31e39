import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nightlight.imaging.decode_memory import dct_scale
from nightlight.imaging.formats import Format
from nightlight.imaging.header import Header
from nightlight.imaging.probe import UploadCaps, decode_bytes, probe, sniff
from nightlight_core.errors import ImageRefused, ImageTooComplex, ImageTooLarge, UnsupportedFormat
from tests.support import pictures

CAPS = UploadCaps(formats=frozenset(Format))
SAMPLES = pictures.of_every_format(301, 203)
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


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_give_their_size(name):
    header = probe(VARIANTS[name], CAPS)
    assert (header.width, header.height) == (301, 203)


def test_a_file_that_is_multi_picture_or_animated_is_probed_by_its_first():
    frames = [pictures.gradient(64, 48, seed=seed) for seed in range(3)]
    for format_ in ("GIF", "PNG", "WEBP"):
        data = pictures.encoded(frames[0], format_, save_all=True, append_images=frames[1:])
        header = probe(data, CAPS)
        assert (header.width, header.height) == (64, 48)


@pytest.mark.parametrize("kind", Format)
@given(cut=st.floats(0, 1))
def test_a_file_cut_anywhere_is_probed_or_refused_never_worse(kind, cut):
    data = SAMPLES[kind]
    try:
        header = probe(data[: int(len(data) * cut)], CAPS)
    except ImageRefused:
        return
    whole = probe(data, CAPS)
    assert (header.format, header.width, header.height) == (kind, whole.width, whole.height)


@given(st.binary(max_size=300), st.sampled_from(list(Format)))
def test_noise_behind_magic_bytes_is_probed_or_refused_never_worse(noise, kind):
    try:
        header = probe(SAMPLES[kind][:16] + noise, CAPS)
    except ImageRefused:
        return
    assert 1 <= header.width <= 16_384
    assert header.width * header.height <= 50_000_000


@given(st.binary(max_size=64))
def test_other_magic_bytes_are_unsupported(data):
    known = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"GIF8", b"\xff\x0a", b"\0\0\0\x0cJXL ")
    if data.startswith(known) or data[4:8] == b"ftyp":
        return
    with pytest.raises(UnsupportedFormat):
        sniff(data)


def test_heic_is_unsupported_unless_it_is_asked_for():
    with pytest.raises(UnsupportedFormat, match=r"HEIC pictures cannot be used here\. Choose a picture in .*JPEG"):
        probe(SAMPLES[Format.HEIC], UploadCaps())


def test_other_ftyp_brands_are_unsupported():
    for brand in (b"avc1", b"jpeg", b"isom", b"qt  "):
        with pytest.raises(UnsupportedFormat):
            sniff(struct.pack(">I", 24) + b"ftyp" + brand + bytes(4) + b"miaf" + brand)


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"])
def test_whatever_may_hold_hevc_is_a_heic(brand):
    assert sniff(struct.pack(">I", 20) + b"ftyp" + brand + bytes(4) + b"miaf") is Format.HEIC
    late = struct.pack(">I", 16 + 4 * 20) + b"ftyp" + b"isom" + bytes(4) + b"miaf" * 19 + brand
    assert sniff(late) is Format.HEIC


@pytest.mark.parametrize(
    ("caps", "refused"),
    [
        (replace(CAPS, max_pixels=301 * 203, max_side=301), False),
        (replace(CAPS, max_pixels=301 * 203 - 1, max_side=301), True),
        (replace(CAPS, max_pixels=301 * 203, max_side=300), True),
    ],
)
@pytest.mark.parametrize("kind", set(Format) - {Format.HEIC})
def test_the_caps_are_exact(kind, caps, refused):
    if refused:
        with pytest.raises(ImageTooLarge):
            probe(SAMPLES[kind], caps)
    else:
        probe(SAMPLES[kind], caps)


def test_a_jpeg_of_segments_without_end_is_refused_in_bounded_time():
    with pytest.raises(ImageTooComplex):
        probe(b"\xff\xd8" + b"\xff\xe1\x00\x02" * 5_000, CAPS)


def test_an_avif_of_boxes_without_end_is_refused_in_bounded_time():
    head = struct.pack(">I", 16) + b"ftypavif" + bytes(4)
    with pytest.raises(ImageTooComplex):
        probe(head + (struct.pack(">I", 8) + b"free") * 5_000, CAPS)


def facts(data):
    header = probe(data, CAPS)
    return header.bits, header.colour, header.alpha, header.animated, header.staged


@pytest.mark.parametrize(
    ("image", "format_", "options", "expected"),
    [
        ("RGB", "JPEG", {}, (8, "rgb", False, False, False)),
        ("RGB", "JPEG", {"progressive": True}, (8, "rgb", False, False, True)),
        ("L", "JPEG", {}, (8, "grey", False, False, False)),
        ("CMYK", "JPEG", {}, (8, "cmyk", False, False, False)),
        ("RGB", "PNG", {}, (8, "rgb", False, False, False)),
        ("RGBA", "PNG", {}, (8, "rgb", True, False, False)),
        ("LA", "PNG", {}, (8, "grey", True, False, False)),
        ("1", "PNG", {}, (1, "grey", False, False, False)),
        ("I;16", "PNG", {}, (16, "grey", False, False, False)),
        ("P", "PNG", {"transparency": 3}, (8, "palette", True, False, False)),
        ("RGB", "PNG", {"transparency": (1, 2, 3)}, (8, "rgb", True, False, False)),
        ("RGBA", "WEBP", {}, (8, "rgb", True, False, False)),
    ],
)
def test_depth_colour_transparency_and_stages_are_read(image, format_, options, expected):
    picture = pictures.gradient(64, 48)
    # Without an opaque pixel or two WebP drops the alpha channel.
    picture.putalpha(Image.linear_gradient("L").resize(picture.size)) if image == "RGBA" else None
    picture = Image.new("I;16", (64, 48)) if image == "I;16" else picture.convert(image)
    data = pictures.encoded(picture, format_, **options)
    read_facts = facts(data)
    assert read_facts == expected
    assert probe(data, CAPS).samples == {"L": 1.0, "CMYK": 4.0}.get(image, 1.5 if format_ == "JPEG" else 3.0)


def test_an_interlaced_png_is_noticed():
    assert facts(pictures.png(pictures.gradient(64, 48), interlaced=True)) == (8, "rgb", False, False, True)


@pytest.mark.parametrize("format_", ["PNG", "WEBP", "GIF", "AVIF"])
def test_more_than_one_frame_is_noticed(format_):
    frames = [pictures.gradient(64, 48, seed=seed) for seed in range(3)]
    assert probe(pictures.encoded(frames[0], format_, save_all=True, append_images=frames[1:]), CAPS).animated


@pytest.mark.parametrize(
    ("size", "edge", "scale"),
    [((4000, 3000), 1024, 2), ((4000, 3000), 640, 4), ((4000, 3000), 96, 8), ((1080, 1080), 640, 1), ((50, 40), 96, 1)],
)
def test_a_jpeg_is_decoded_at_the_smallest_scale_that_serves(size, edge, scale):
    assert dct_scale(Header(Format.JPEG, *size), edge=edge) == scale


def test_a_small_crop_of_a_very_large_jpeg_does_not_cost_the_whole_at_full_size():
    header = Header(Format.JPEG, 8000, 6000)
    assert dct_scale(header, edge=1024, side=500) == 2
    assert dct_scale(Header(Format.JPEG, 1500, 1200), edge=1024, side=500) == 1


@pytest.mark.parametrize(
    ("header", "refused"),
    [
        (Header(Format.JPEG, 8000, 6000), False),
        (Header(Format.JPEG, 4000, 3000, staged=True, samples=1.5), False),
        (Header(Format.JPEG, 8000, 6000, staged=True, samples=3.0), True),
        (Header(Format.PNG, 4600, 4600), False),
        (Header(Format.PNG, 7000, 7000, bits=16, alpha=True), False),  # by rows
        (Header(Format.PNG, 6000, 6000, staged=True), True),
        (Header(Format.AVIF, 8064, 6048, samples=1.5), False),
        (Header(Format.AVIF, 8064, 6048, samples=3.0), True),
        (Header(Format.AVIF, 6000, 4000, samples=1.5), False),
        (Header(Format.AVIF, 6000, 4000, samples=1.5, bits=10), False),
        (Header(Format.AVIF, 4032, 3024, samples=3.0, alpha=True), False),
        (Header(Format.HEIC, 8192, 6144, samples=1.5, tile=(512, 512)), False),
        (Header(Format.WEBP, 8192, 6144), False),
        (Header(Format.WEBP, 5000, 4000, lossless=True), False),
        (Header(Format.WEBP, 6000, 5000, lossless=True), True),
        (Header(Format.WEBP, 4032, 3024, alpha=True), False),
        (Header(Format.WEBP, 5000, 4000, alpha=True), True),
        (Header(Format.JPEG, 16_384, 12_288), False),
    ],
)
def test_what_decoding_would_take_is_reckoned_from_the_header(header, refused):
    assert (decode_bytes(header, edge=1024) > CAPS.max_decode_bytes) is refused
