"""Pixels of any kind to upright sRGB pixels that carry nothing else."""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from itertools import product

from PIL import Image, ImageChops, ImageCms

from nightlight.imaging.colour_convert import icc_profile as profile_of
from nightlight.imaging.colour_convert import tone_mapped
from nightlight.imaging.colour_space import HLG, PQ, PRIMARIES, SRGB, ColourSpace
from nightlight.imaging.decoders.opened import DECODER_ERRORS

# What lies under transparent pixels: the page colour that most avatars are shown on.
BACKGROUND = (255, 255, 255)

_SRGB = ImageCms.createProfile("sRGB")
# Colours by which a profile is known that changes nothing: greys, and combinations of seven levels.
_KNOWN = [(level,) * 3 for level in range(256)] + list(product(range(0, 256, 42), repeat=3))
_SAMPLE = Image.frombytes("RGB", (len(_KNOWN), 1), bytes(value for colour in _KNOWN for value in colour))
_UNSEEN = 1
# Spaces that phones name by numbers, as (primaries, transfer): Display P3, and what HDR is written in.
_USUAL = ((12, SRGB), (9, PQ), (9, HLG))
_TO_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# 16 bits to 8 by a table, for the modes in which Pillow's own way would clip at 255.
_UPPER_BYTE = [value >> 8 for value in range(1 << 16)]
# Modes whose pixels may be averaged as they are.
_CONTINUOUS = frozenset({"L", "LA", "RGB", "RGBA", "CMYK"})


def to_continuous(image: Image.Image) -> Image.Image:
    """Return ``image`` in a mode that can be resized: palettes and bitmaps looked up, 16 bits brought to 8."""
    if image.mode in _CONTINUOUS:
        # A transparent colour named apart from the pixels (PNG's tRNS) becomes an alpha channel.
        return image.convert("RGBA") if "transparency" in image.info and image.mode in {"L", "RGB"} else image
    if image.mode == "I;16":
        return image.point(lambda value: value * (1 / 256)).convert("L")
    if image.mode in {"I;16B", "I;16N", "I"}:
        return image.convert("I").point(_UPPER_BYTE, "L")
    if image.mode == "1":
        return image.convert("L")
    if image.mode == "PA" or "transparency" in image.info:
        return image.convert("RGBA")
    return image.convert("RGB")


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Return ``image`` turned by EXIF ``orientation`` (1 to 8) so that its top is up."""
    turn = _TO_UPRIGHT.get(orientation)
    return image.transpose(turn) if turn is not None else image


def to_srgb(image: Image.Image, icc_profile: bytes | None, space: ColourSpace | None = None) -> Image.Image:
    """Return ``image`` as RGB or RGBA in sRGB.

    ``icc_profile`` is the file's own. ``space`` is what it names by numbers, where that counts. Pixels without either,
    or with a profile that does not fit them, are taken to be sRGB (CMYK: converted by the plain formula). Relative
    colorimetric intent, which is nearest to what browsers show.
    """
    alpha = image.getchannel("A") if image.mode in {"LA", "RGBA"} else None
    plain = image.convert("RGB" if image.mode == "RGBA" else "L") if alpha else image
    colour = None
    if space is not None and plain.mode in {"L", "RGB"}:
        plain = plain.convert("RGB")
        colour = tone_mapped(plain, space) if space.hdr else _through_profile(plain, profile_of(space))
    elif icc_profile:
        colour = _through_profile(plain, icc_profile)
    if colour is None:
        colour = plain if plain.mode == "RGB" else plain.convert("RGB")  # it would copy
    if alpha is not None:
        colour.putalpha(alpha)
    return colour


def prepare_colours() -> None:
    """Make what the usual spaces need: 50 ms, once, in the process that is forked for every picture."""
    for primaries, transfer in _USUAL:
        to_srgb(Image.new("RGB", (1, 1)), None, ColourSpace(PRIMARIES[primaries], float(transfer)))


def _through_profile(image: Image.Image, icc_profile: bytes) -> Image.Image | None:
    """Return ``image`` in sRGB; as it is where its profile says sRGB in other words; None if the profile is unfit."""
    try:
        transform = _transform(icc_profile, image.mode)
        if image.mode == "RGB":
            changed = ImageChops.difference(transform.apply(_SAMPLE), _SAMPLE).tobytes()
            if max(changed) <= _UNSEEN:
                return image
        return transform.apply(image)
    except (ImageCms.PyCMSError, *DECODER_ERRORS):
        return None


@lru_cache(maxsize=4)
def _transform(icc_profile: bytes, mode: str) -> ImageCms.ImageCmsTransform:
    """Return the transform to sRGB; raise PyCMSError for a profile of other channels, or OSError."""
    source = ImageCms.ImageCmsProfile(BytesIO(icc_profile))
    return ImageCms.buildTransform(source, _SRGB, mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC)


def flatten(image: Image.Image) -> Image.Image:
    """Return RGB: transparent pixels over BACKGROUND."""
    if image.mode != "RGBA":
        return image if image.mode == "RGB" else image.convert("RGB")
    below = Image.new("RGB", image.size, BACKGROUND)
    below.paste(image, mask=image.getchannel("A"))
    return below
