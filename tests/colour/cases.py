"""The files of ``make colour``: every format, kind of colour, orientation and odd size, made here from known pixels."""

from itertools import product

import numpy as np
from PIL import Image, ImageCms

from nightlight.imaging.colour_convert import icc_profile
from nightlight.imaging.colour_space import PRIMARIES, ColourSpace
from tests.colour import rarer_cases
from tests.colour.case import NUMBERED, Case, photograph
from tests.colour.profiles import grey_curve, rgb_table
from tests.support import coded_colours, pictures
from tests.support.coded_colours import P3, SRGB, chromaticities, cicp, gamma

ADOBE = ColourSpace((0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06), -563 / 256)
SIZES = ((1, 1), (1, 2), (3, 2), (5, 7), (17, 16), (63, 47))


def every():
    """Return all cases."""
    return [
        *_png(), *_profiles(), *_jpeg(), *rarer_cases.inks(), *_isobmff(), *rarer_cases.transforms(), *rarer_cases.jpeg_xl(),
        *_orientations(), *_sizes(),
    ]  # fmt: skip


def _png():
    image = photograph()
    pixels = np.asarray(image)
    deep = pixels.astype(np.uint16) * 257
    for name, (primaries, transfer) in NUMBERED.items():
        for depth, values in (("8", pixels), ("16", deep)):
            data = coded_colours.png(values, cicp(primaries, transfer))
            yield Case(f"PNG, {depth} bits, cICP {name}", data, hdr=transfer in (16, 18) and primaries != 2)
    chunks = {
        "cICP, limited range": [cicp(12, 13, full=0)],
        "sRGB over gAMA": [(b"sRGB", b"\0"), gamma(100_000)],
        "cICP over sRGB": [(b"sRGB", b"\0"), cicp(12, 13)],
        "cICP over gAMA": [gamma(100_000), cicp(12, 13)],
        "sRGB of an unknown intent over gAMA": [(b"sRGB", b"\x09"), gamma(100_000)],
        "cHRM alone": [chromaticities(P3)],
        "gAMA 1/2.2, cHRM P3": [gamma(45_455), chromaticities(P3)],
        "gAMA 1/2.2, cHRM sRGB": [gamma(45_455), chromaticities(SRGB)],
        "gAMA 1, cHRM of a line": [gamma(100_000), chromaticities((31_270, 32_900) + (30_000, 30_000) * 3)],
        "gAMA 1, cHRM of zeros": [gamma(100_000), chromaticities((0,) * 8)],
        "gAMA 1, cHRM beyond 1": [gamma(100_000), chromaticities((31_270, 32_900, 90_000, 90_000, *P3[4:]))],
        "gAMA 1, cHRM turned over": [gamma(100_000), chromaticities((*P3[:2], *P3[4:6], *P3[2:4], *P3[6:]))],
        "two gAMA": [gamma(100_000), gamma(45_455)],
        "content light level": [cicp(9, 16), (b"cLLI", (10_000_000).to_bytes(4) + (4_000_000).to_bytes(4))],
    }
    chunks |= {f"gAMA {value / 100_000:g}": [gamma(value)] for value in (0, 1, 40_000, 45_000, 47_000, 55_556, 100_000)}
    for name, middle in chunks.items():
        yield Case(f"PNG, {name}", coded_colours.png(pixels, *middle), hdr=name == "content light level")
    alpha = image.convert("RGBA")
    alpha.putalpha(Image.linear_gradient("L").resize(image.size))
    for name, (shown, options) in {
        "grey": (image.convert("L"), {}),
        "grey, 16 bits": (Image.fromarray(deep[..., 1]), {}),
        "grey and alpha": (alpha.convert("LA"), {}),
        "alpha": (alpha, {}),
        "bitmap": (image.convert("1"), {}),
        "palette": (image.quantize(64), {}),
        "palette, tRNS": (image.quantize(64), {"transparency": 3}),
        "tRNS": (image, {"transparency": image.getpixel((5, 5))}),
        "grey, tRNS": (image.convert("L"), {"transparency": image.convert("L").getpixel((5, 5))}),
    }.items():
        yield Case(f"PNG, {name}", pictures.encoded(shown, "PNG", **options))
    for bits in (8, 16):
        yield Case(f"PNG, {bits} bits, interlaced", pictures.png(image, bits=bits, interlaced=True))


def _profiles():
    image = photograph()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    p3 = icc_profile(ColourSpace(PRIMARIES[12], 13.0))
    profiles = {
        "sRGB profile": srgb,
        "P3 profile": p3,
        "AdobeRGB profile": icc_profile(ADOBE),
        "profile cut off": p3[:300],
        "profile that is none": bytes(300),
        "profile of the wrong space": p3.replace(b"mntrRGB ", b"mntrCMYK"),
        "profile of a link": p3.replace(b"mntrRGB ", b"linkRGB "),
        "P3 profile of version 4": p3[:8] + b"\x04\x20" + p3[10:],
    }
    for (name, profile), (format_, options) in product(profiles.items(), FORMATS.items()):
        yield Case(f"{format_}, {name}", pictures.encoded(image, format_, icc_profile=profile, **options))
    grey = image.convert("L")
    table = rgb_table(ColourSpace(PRIMARIES[12], 13.0))
    for format_, options in FORMATS.items():
        yield Case(
            f"{format_}, P3 profile, a table to Lab", pictures.encoded(image, format_, icc_profile=table, **options)
        )
    for name, options in {"PNG": {}, "JPEG": {"quality": 95}}.items():
        for gamma_ in (1.8, 2.2):
            profile = grey_curve(gamma_)
            yield Case(
                f"{name}, grey, grey profile {gamma_}", pictures.encoded(grey, name, icc_profile=profile, **options)
            )
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    # Chromium 156 takes red, green and blue for Lab then; other decoders pass the profile over.
    data, like = (pictures.encoded(image, "PNG", icc_profile=profile) for profile in (lab, None))
    yield Case("PNG, profile of Lab itself", data, like=like)
    yield Case("PNG, grey, P3 profile", pictures.encoded(grey, "PNG", icc_profile=p3))
    data = pictures.encoded(image, "PNG", icc_profile=icc_profile(ADOBE))
    yield Case("PNG, cICP P3 over AdobeRGB profile", data[:33] + coded_colours.chunk(*cicp(12, 13)) + data[33:])


FORMATS = {
    "PNG": {},
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
}


def _jpeg():
    image = photograph()
    for name, (shown, options) in {
        "4:4:4": (image, {"subsampling": 0}),
        "4:2:0": (image, {"subsampling": 2}),
        "4:2:2, progressive": (image, {"subsampling": 1, "progressive": True}),
        "grey": (image.convert("L"), {}),
        "CMYK": (image.convert("CMYK"), {}),
        "components R, G and B": (image, {"keep_rgb": True}),
    }.items():
        yield Case(f"JPEG, {name}", pictures.encoded(shown, "JPEG", quality=95, **options))
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 0xFFFF
    exif.get_ifd(0xA005)[1] = "R03"
    yield Case("JPEG, EXIF of AdobeRGB without a profile", pictures.encoded(image, "JPEG", quality=95, exif=exif))
    yield Case("WEBP, lossy", pictures.encoded(image, "WEBP", quality=95))
    yield Case("GIF", pictures.encoded(image.quantize(64), "GIF"))


def numbered(data, primaries, transfer):
    """An AVIF or HEIC with these numbers in its nclx, whatever its encoder wrote."""
    at = data.index(b"colrnclx") + 8
    return data[:at] + primaries.to_bytes(2) + transfer.to_bytes(2) + data[at + 4 :]


def _isobmff():
    image = photograph()
    pixels = np.asarray(image)
    avif = pictures.encoded(image, "AVIF", quality=95, subsampling="4:4:4")
    limited = pictures.encoded(image, "AVIF", quality=95, subsampling="4:2:0", range="limited")
    heic = pictures.heic(image=image)
    for name, (primaries, transfer) in NUMBERED.items():
        hdr = transfer in (16, 18) and primaries != 2
        yield Case(f"AVIF, nclx {name}", numbered(avif, primaries, transfer), hdr=hdr)
        yield Case(f"AVIF, limited range, nclx {name}", numbered(limited, primaries, transfer), hdr=hdr)
        like = coded_colours.png(pixels, cicp(primaries, 13 if transfer in (1, 6, 14, 15) else transfer))
        if primaries not in (2, 99) and transfer != 2:  # libheif refuses numbers that it does not know
            yield Case(f"HEIC, nclx {name}", numbered(heic, primaries, transfer), hdr=hdr, like=like)
    for mode in ("RGBA", "L"):
        shown = image.convert(mode)
        if mode == "RGBA":
            shown.putalpha(Image.linear_gradient("L").resize(image.size))
        # Chromium takes an AVIF's alpha for limited range, though the format says full.
        like = pictures.encoded(shown, "PNG") if mode == "RGBA" else None
        yield Case(f"AVIF, {mode}", pictures.encoded(shown, "AVIF", quality=95, subsampling="4:4:4"), like=like)


def _orientations():
    image = photograph(60, 45)
    for orientation, (format_, options) in product(range(1, 9), FORMATS.items()):
        exif = Image.Exif()
        exif[0x0112] = orientation
        # Chromium does not turn a WebP; other browsers do.
        like = pictures.encoded(image, "PNG", exif=exif) if format_ == "WEBP" else None
        data = pictures.encoded(image, format_, exif=exif, **options)
        yield Case(f"{format_}, orientation {orientation}", data, like=like)


def _sizes():
    for width, height in SIZES:
        image = photograph(width, height)
        for format_, options in {
            "PNG": {}, "GIF": {}, "WEBP": {"quality": 95}, "JPEG": {"quality": 95, "subsampling": 2},
            "AVIF": {"quality": 95, "subsampling": "4:2:0"},
        }.items():  # fmt: skip
            yield Case(f"{format_}, {width} x {height}", pictures.encoded(image, format_, **options))
        progressive = pictures.encoded(image, "JPEG", quality=95, subsampling=2, progressive=True)
        yield Case(f"JPEG, progressive, {width} x {height}", progressive)
        yield Case(f"PNG, interlaced, {width} x {height}", pictures.png(image, interlaced=True))
