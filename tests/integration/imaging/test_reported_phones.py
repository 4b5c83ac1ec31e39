"""Phones' pictures: WebP, AVIF and HEIC of the sizes and kinds that people upload, through the real sandbox."""

import os
import shutil
import struct
import subprocess
from contextlib import closing
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from nightlight.imaging import decoders
from nightlight.imaging.crop import Region
from nightlight.imaging.decoders import available_formats
from nightlight.imaging.decoders import plane_rows as planes
from nightlight.imaging.header_limits import HeaderBounds
from nightlight.imaging.probe import UploadCaps, probe, upload_caps
from nightlight.imaging.sandbox import Sandbox
from nightlight.settings.pictures import UploadSettings
from nightlight_core.errors import (
    CorruptImage,
    ImageRefused,
    ImageTooComplex,
    ImageTooLarge,
    TruncatedImage,
    UnsupportedFormat,
)
from tests.conftest import ROOT
from tests.support import hostile, odd, phone_pictures, pictures
from tests.support.in_process import InProcessDecoder

pytestmark = pytest.mark.integration

REPORTED = Path(os.environ.get("NIGHTLIGHT_REPORTED", ROOT.parent / "shared" / "reported"))
CAPS = upload_caps(UploadSettings.model_construct())
SMALL = pictures.gradient(320, 240)
FADED = phone_pictures.gradient_with_alpha(320, 240)
available_formats()  # registers what writes HEIC


def frame(data, *, edge=240, region=None):
    """The frame, made in this process."""
    return InProcessDecoder().frame(data, probe(data, CAPS, edge=edge), edge=edge, region=region)


def difference(image, expected):
    assert image.size == expected.size
    return np.abs(np.asarray(image, dtype=int) - np.asarray(expected.convert("RGB"), dtype=int)).mean()


def on_white(image):
    below = Image.new("RGB", image.size, (255, 255, 255))
    below.paste(image, mask=image.getchannel("A"))
    return below


def smooth(width, height):
    """A large picture that is quickly made and encoded."""
    return pictures.gradient(width // 8, height // 8).resize((width, height), Image.Resampling.BICUBIC)


# The inputs of the reports.


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


# WebP.


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


# AVIF.


CODINGS = [
    ("identity", True, planes.YUV444),  # for 4:4:4 alone
    *(
        (matrix, full_range, format_)
        for matrix in ("bt601", "bt709", "bt2020")
        for full_range in (True, False)
        for format_ in (planes.YUV444, planes.YUV422, planes.YUV420)
    ),
]


@pytest.mark.parametrize(("matrix", "full_range", "format_"), CODINGS)
def test_an_avif_of_every_matrix_range_and_subsampling(matrix, full_range, format_):
    data = phone_pictures.avif(SMALL, matrix=matrix, full_range=full_range, format_=format_)
    assert probe(data, CAPS).samples == {planes.YUV444: 3.0, planes.YUV422: 2.0, planes.YUV420: 1.5}[format_]
    assert difference(frame(data), SMALL) < 2


def test_a_grey_avif():
    data = phone_pictures.avif(SMALL.convert("L"), format_=planes.YUV400)
    assert probe(data, CAPS).colour == "grey"
    assert difference(frame(data), SMALL.convert("L")) < 2


@pytest.mark.parametrize("premultiplied", [False, True])
@pytest.mark.parametrize("edge", [240, 100])
def test_an_avif_with_alpha(premultiplied, edge):
    data = phone_pictures.avif(FADED, format_=planes.YUV444, premultiplied=premultiplied)
    header = probe(data, CAPS)
    assert header.alpha
    assert header.coded == 2 * 320 * 240
    size = (round(320 * edge / 240), edge)
    assert difference(frame(data, edge=edge), on_white(FADED.resize(size, Image.Resampling.HAMMING))) < 2


@pytest.mark.parametrize("chroma", ["400", "420", "422", "444"])
@pytest.mark.parametrize("depth", ["10", "12"])
def test_a_deep_avif(depth, chroma, tmp_path):
    avifenc = shutil.which("avifenc")
    if avifenc is None:
        pytest.skip("no avifenc here (Debian's libavif-bin): what is in Pillow's package writes 8 bits only")
    source, target = tmp_path / "source.png", tmp_path / "deep.avif"
    SMALL.save(source)
    options = ["-d", depth, "-y", chroma, "-s", "10", "--min", "0", "--max", "8"]
    subprocess.run([avifenc, *options, source, target], check=True, capture_output=True)
    header = probe(target.read_bytes(), CAPS)
    assert header.bits == int(depth)
    assert difference(frame(target.read_bytes()), SMALL.convert("L") if chroma == "400" else SMALL) < 2


@pytest.mark.parametrize("size", [(4032, 3024), (6000, 4000)])
def test_an_avif_of_a_phone_passes_and_keeps_its_memory(size):
    data = pictures.encoded(smooth(*size), "AVIF", quality=50, speed=10)
    header = probe(data, CAPS, edge=1024)
    with Sandbox() as sandbox:
        assert min(sandbox.frame(data, header, edge=1024).size) == 1024
        assert sandbox.peak_kb < 160_000


# HEIC.


@pytest.mark.parametrize("chroma", [420, 422, 444])
def test_a_heic_of_every_subsampling(chroma):
    data = pictures.encoded(SMALL, "HEIF", quality=95, chroma=chroma)
    assert probe(data, CAPS).samples == {420: 1.5, 422: 2.0, 444: 3.0}[chroma]
    assert difference(frame(data), SMALL) < 2


def test_a_grey_heic_and_one_with_alpha():
    assert difference(frame(pictures.encoded(SMALL.convert("L"), "HEIF", quality=95)), SMALL.convert("L")) < 2
    assert difference(frame(pictures.encoded(FADED, "HEIF", quality=95)), on_white(FADED)) < 2


def test_a_deep_heic():
    import pillow_heif

    buffer = BytesIO()
    samples = np.asarray(SMALL).astype(np.uint16) * 257
    pillow_heif.encode("RGB;16", SMALL.size, samples.tobytes(), buffer, quality=95)
    assert probe(buffer.getvalue(), CAPS).bits > 8
    assert difference(frame(buffer.getvalue()), SMALL) < 2


@pytest.mark.parametrize("edge", [100, 512])
def test_a_heic_in_tiles_has_no_seams(edge):
    image = pictures.gradient(1024, 512)
    data = phone_pictures.heic_grid(image, tile=128)
    header = probe(data, CAPS, edge=edge)
    assert header.tile == (128, 128)
    assert header.coded == 1024 * 512
    expected = image.resize((edge * 2, edge), Image.Resampling.HAMMING)
    shown = frame(data, edge=edge)
    assert difference(shown, expected) < 2
    region = Region(100, 60, 300, 130)
    assert difference(frame(data, edge=130, region=region), image.crop((100, 60, 360, 190)).resize((260, 130))) < 60


@pytest.mark.slow  # to write it takes half a minute
def test_a_heic_of_48_megapixels_in_tiles_keeps_its_memory():
    data = phone_pictures.heic_grid(smooth(8192, 6144), tile=512, quality=40)
    header = probe(data, CAPS, edge=1024)
    with Sandbox() as sandbox:
        assert sandbox.frame(data, header, edge=1024).size == (1365, 1024)
        assert sandbox.peak_kb < 160_000


@pytest.mark.parametrize(
    "size",
    [
        (4032, 3024),
        pytest.param((6000, 4000), marks=pytest.mark.slow),
        pytest.param((8064, 6048), marks=pytest.mark.slow),
    ],
)
def test_a_heic_of_one_piece_passes(size):
    preset = {"enc_params": {"preset": "ultrafast"}}
    data = pictures.encoded(smooth(*size), "HEIF", quality=40, **preset)
    with Sandbox() as sandbox:
        assert min(sandbox.frame(data, probe(data, CAPS, edge=1024), edge=1024).size) == 1024
        assert sandbox.peak_kb < 240_000


def test_other_pictures_of_a_heic_do_not_count():
    """A burst: the primary picture is small, another is larger."""
    import pillow_heif

    heif = pillow_heif.from_pillow(SMALL)
    heif.add_from_pillow(pictures.gradient(2000, 1500))
    buffer = BytesIO()
    heif.save(buffer, primary_index=0, quality=90, enc_params={"preset": "ultrafast"})
    header = probe(buffer.getvalue(), CAPS)
    assert (header.width, header.height, header.coded) == (320, 240, 320 * 240)
    assert difference(frame(buffer.getvalue()), SMALL) < 3


# How AVIF and HEIC are turned and cut.

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


# Lies and long lists.


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


# JPEG, and what refusals say.


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
