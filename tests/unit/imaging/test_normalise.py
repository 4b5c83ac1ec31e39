"""Every kind of pixel against a reference; the figure beside each case is the PSNR it must reach, in dB."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms

from nightlight.imaging import crop, normalise
from nightlight.imaging.decoded_frame import make_frame
from nightlight.imaging.formats import Format
from nightlight.imaging.probe import UploadCaps, probe
from tests.support import pictures

EDGE = 96
SQUARE = pictures.gradient(EDGE, EDGE)


def mastered(data, edge=EDGE):
    """The kept square of the frame, as the tiers are made from."""
    header = probe(data, UploadCaps(formats=frozenset(Format)))
    frame = make_frame(BytesIO(data), header, edge=edge)
    return frame.crop(crop.kept_box(*frame.size))


def sixteen_bit_png(image):
    wide = np.asarray(image.convert("L"), dtype=np.uint16) * 257
    return pictures.encoded(Image.fromarray(wide), "PNG")


CASES = {
    "png": (pictures.encoded(SQUARE, "PNG"), SQUARE, 60),
    "interlaced png": (pictures.png(SQUARE, interlaced=True), SQUARE, 60),
    "jpeg": (pictures.encoded(SQUARE, "JPEG", quality=95, subsampling=0), SQUARE, 36),
    "progressive jpeg": (pictures.encoded(SQUARE, "JPEG", quality=95, subsampling=0, progressive=True), SQUARE, 36),
    "grey jpeg": (pictures.encoded(SQUARE.convert("L"), "JPEG", quality=95), SQUARE.convert("L"), 36),
    "cmyk jpeg": (pictures.encoded(SQUARE.convert("CMYK"), "JPEG", quality=98, subsampling=0), SQUARE, 34),
    "webp": (pictures.encoded(SQUARE, "WEBP", quality=95), SQUARE, 32),
    "lossless webp": (pictures.encoded(SQUARE, "WEBP", lossless=True), SQUARE, 60),
    "avif": (pictures.encoded(SQUARE, "AVIF", quality=95, subsampling="4:4:4"), SQUARE, 34),
    "gif": (pictures.encoded(SQUARE, "GIF"), SQUARE.quantize(256), 25),
    "palette png": (pictures.encoded(SQUARE.quantize(256), "PNG"), SQUARE.quantize(256), 60),
    "bitmap png": (pictures.encoded(SQUARE.convert("1"), "PNG"), SQUARE.convert("1"), 60),
    "grey png": (pictures.encoded(SQUARE.convert("L"), "PNG"), SQUARE.convert("L"), 60),
    "jpeg with a gain map behind it": (
        pictures.encoded(SQUARE, "JPEG", quality=95, subsampling=0) + pictures.encoded(SQUARE.convert("L"), "JPEG"),
        SQUARE,
        36,
    ),
    "animated png": (
        pictures.encoded(SQUARE, "PNG", save_all=True, append_images=[SQUARE.rotate(90)]),
        SQUARE,
        60,
    ),
    "animated webp": (
        pictures.encoded(SQUARE, "WEBP", save_all=True, append_images=[SQUARE.rotate(90)], lossless=True),
        SQUARE,
        60,
    ),
    "animated gif": (
        pictures.encoded(SQUARE.quantize(256), "GIF", save_all=True, append_images=[SQUARE.rotate(90)]),
        SQUARE.quantize(256),
        25,
    ),
    "animated avif": (
        pictures.encoded(
            SQUARE, "AVIF", save_all=True, append_images=[SQUARE.rotate(90)], quality=95, subsampling="4:4:4"
        ),
        SQUARE,
        34,
    ),
    "heic": (pictures.heic(image=SQUARE), SQUARE, 30),
    "16-bit rgb png": (pictures.png(SQUARE, bits=16), SQUARE, 48),
    "16-bit interlaced rgb png": (pictures.png(SQUARE, bits=16, interlaced=True), SQUARE, 48),
    "16-bit grey png": (sixteen_bit_png(SQUARE), SQUARE.convert("L"), 48),
}


@pytest.mark.parametrize("name", CASES)
def test_pixels_of_every_kind_are_right(name):
    data, reference, decibels = CASES[name]
    got = mastered(data)
    assert got.mode == "RGB"
    assert pictures.psnr(got, reference) >= decibels


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pixels_lie_over_the_background(mode):
    alpha = Image.new("L", SQUARE.size, 255)
    alpha.paste(0, (0, 0, EDGE // 2, EDGE))
    image = SQUARE.convert("RGBA")
    image.putalpha(alpha)
    shown = mastered(pictures.encoded(image.convert(mode), "PNG"))
    assert shown.getpixel((10, 50)) == normalise.BACKGROUND
    reference = SQUARE.convert("L") if mode == "LA" else SQUARE
    left = shown.crop((EDGE // 2 + 4, 0, EDGE, EDGE))
    right = reference.crop((EDGE // 2 + 4, 0, EDGE, EDGE))
    assert pictures.psnr(left, right) > 25


def test_a_transparent_palette_colour_is_flattened():
    image = SQUARE.quantize(16)
    data = pictures.encoded(image, "PNG", transparency=image.getpixel((5, 5)))
    assert mastered(data).getpixel((5, 5)) == normalise.BACKGROUND


def test_a_transparent_colour_of_an_rgb_png_is_flattened():
    image = Image.new("RGB", (EDGE, EDGE), (10, 20, 30))
    data = pictures.encoded(image, "PNG", transparency=(10, 20, 30))
    assert mastered(data).getpixel((5, 5)) == normalise.BACKGROUND


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(240, 120), (120, 240)])
def test_every_orientation_ends_upright_with_the_same_square_kept(orientation, size):
    """Reference: turn the whole picture with Pillow first, then cut the square out of it."""
    stored = pictures.gradient(*size)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = pictures.encoded(stored, "PNG", exif=exif)
    whole = normalise.upright(stored, orientation)
    box = crop.kept_box(*whole.size)
    reference = whole.resize((EDGE, EDGE), Image.Resampling.LANCZOS, box=box)
    assert pictures.psnr(mastered(data), reference) > 34


def test_pillows_own_transposition_agrees_with_ours():
    from PIL import ImageOps

    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = pictures.gradient(60, 40)
        with Image.open(BytesIO(pictures.encoded(stored, "PNG", exif=exif))) as image:
            reference = ImageOps.exif_transpose(image)
        assert normalise.upright(stored, orientation).tobytes() == reference.convert("RGB").tobytes()


@pytest.mark.parametrize("value", [0, 9, 65_535])
def test_an_orientation_out_of_range_is_upright(value):
    exif = Image.Exif()
    exif[0x0112] = value
    assert pictures.psnr(mastered(pictures.encoded(SQUARE, "PNG", exif=exif)), SQUARE) > 60


def swapped_profile():
    """An RGB profile in which red and green have changed places: pictures show whether it was applied."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = bytearray(srgb)
    for at in range(132, 132 + 12 * int.from_bytes(srgb[128:132], "big"), 12):
        tag = srgb[at : at + 4]
        if tag in (b"rXYZ", b"gXYZ"):
            swapped[at : at + 4] = b"gXYZ" if tag == b"rXYZ" else b"rXYZ"
    return bytes(swapped)


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP"])
def test_a_colour_profile_is_applied(format_):
    options = {"PNG": {}, "JPEG": {"quality": 98, "subsampling": 0}, "WEBP": {"lossless": True}}[format_]
    red, green, blue = SQUARE.split()
    data = pictures.encoded(Image.merge("RGB", (green, red, blue)), format_, icc_profile=swapped_profile(), **options)
    assert pictures.psnr(mastered(data), SQUARE) > 30


@pytest.mark.parametrize("profile", [b"", b"not a profile", bytes(200), swapped_profile()[:200]])
def test_a_profile_that_cannot_be_read_is_ignored(profile):
    data = pictures.encoded(SQUARE, "PNG", icc_profile=profile)
    assert pictures.psnr(mastered(data), SQUARE) > 45


def test_a_grey_picture_with_a_colour_profile_is_taken_as_it_is():
    data = pictures.encoded(SQUARE.convert("L"), "PNG", icc_profile=swapped_profile())
    assert pictures.psnr(mastered(data), SQUARE.convert("L")) > 60


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (3, 2)])
def test_pictures_of_extreme_shapes_are_framed(size):
    got = mastered(pictures.encoded(pictures.gradient(*size), "PNG"))
    assert got.size == (min(EDGE, *size),) * 2
