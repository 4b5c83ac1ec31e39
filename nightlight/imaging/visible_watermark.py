"""The visible watermark: a tiled pattern over the whole picture, the same for every profile.

It is made of crescents, or of an operator's own text or logo. Any third of the picture holds a whole tile, so no useful
crop is without one. It is drawn more strongly where the picture has contrast, and less on an even ground. It is white
with a black shadow, so it shows on dark and on light. How tiles lie is the pattern, and a tier names it
(``tile_layout``).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property, lru_cache
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFont

from nightlight.imaging.tile_layout import LAYOUTS
from nightlight_core.errors import SettingsRefused
from nightlight_core.files import read_bytes

# The share of the picture that the white (and, displaced, the black) covers on an even ground, by a tier's word.
STRENGTHS = {"soft": 0.07, "faint": 0.14, "clear": 0.26, "strong": 0.45}
# Local contrast is how far the picture, at _FINE pixels a side, lies off its mean over 1/_BLOCKS of a side, in
# grey levels; each of them adds _GAIN to the strength, up to _MOST times it.
_FINE = 160
_BLOCKS = 24
_GAIN = 1 / 40
_MOST = 2.2
# Text is written on a slope, which no straight edge of a picture hides.
_SLOPE = 24
MAX_TEXT = 40
MAX_LOGO_BYTES = 200_000
# The largest fonts in use, of Chinese, Japanese and Korean, have under 25 MB.
MAX_FONT_BYTES = 40_000_000
MAX_LOGO_SIDE = 2048
_DRAWN_AT = 256


@dataclass(frozen=True)
class VisibleWatermark:
    """A pattern whose tiles show ``text``, a ``logo`` (bytes of a PNG whose alpha is drawn), or else crescents.

    ``font`` is a TrueType or OpenType file; without it, the font that comes with Pillow is used.
    """

    text: str = ""
    logo: bytes = b""
    font: bytes = b""

    @classmethod
    def read(cls, text: str, logo: Path | None, font: Path | None) -> VisibleWatermark:
        """Return the watermark that the settings describe; raise SettingsRefused with what is wrong with it."""
        try:
            logo_bytes = read_bytes(logo, MAX_LOGO_BYTES) if logo else b""
            watermark = cls(text, logo_bytes, read_bytes(font, MAX_FONT_BYTES) if font else b"")
        except OSError as error:
            raise SettingsRefused(f"the visible watermark: {error.filename}: {error.strerror}") from error
        if len(text) > MAX_TEXT or not (text.isprintable() or not text):
            raise SettingsRefused(f"NIGHTLIGHT_VISIBLE_WATERMARK_TEXT must be at most {MAX_TEXT} printable characters")
        if text and logo:
            message = "NIGHTLIGHT_VISIBLE_WATERMARK_TEXT and NIGHTLIGHT_VISIBLE_WATERMARK_LOGO exclude each other"
            raise SettingsRefused(message)
        watermark.tile  # noqa: B018 - drawn once now, so that a bad file is refused at the start
        return watermark

    @cached_property
    def digest(self) -> str:
        """Return hexadecimal digits that change whenever the pattern does; empty for the crescents."""
        if not (self.text or self.logo):
            return ""
        parts = (self.text.encode(), self.logo, self.font)
        return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:16]

    @cached_property
    def tile(self) -> Image.Image:
        """Return one tile, L, _DRAWN_AT pixels a side: how much of each pixel the pattern covers."""
        if self.logo:
            return _logo(self.logo)
        return _text(self.text, self.font) if self.text else _crescent()

    def draw(self, image: Image.Image, strength: str, pattern: str = "tiles") -> Image.Image:
        """Return a copy of ``image`` (RGB) with the watermark over it.

        ``strength`` is a key of STRENGTHS, ``pattern`` one of LAYOUTS.
        """
        ink, where = _ink(self, pattern, *image.size)
        return Image.composite(ink, image, ImageChops.multiply(where, _adapted(image, STRENGTHS[strength])))

    def __hash__(self) -> int:
        """Hash by the digest, which makes a cache by watermark cheap."""
        return hash(self.digest)


@lru_cache(maxsize=16)
def _ink(watermark: VisibleWatermark, pattern: str, width: int, height: int) -> tuple[Image.Image, Image.Image]:
    """Return (ink, where) of the picture's size: white tiles (RGB), each with a black shadow.

    ``where`` (L) is how much of each pixel is covered by either.
    """
    layout = LAYOUTS[pattern](watermark.tile, width, height)
    tile = layout.tile

    def tiled(shift: int) -> Image.Image:
        mask = Image.new("L", (width, height))
        for left, top in layout.places:
            mask.paste(tile, (left + shift, top + shift))
        return mask

    light, shadow = tiled(0), tiled(layout.shift)
    white = light.point(lambda value: 255 if value else 0)
    return Image.merge("RGB", (white, white, white)), ImageChops.lighter(light, shadow)


def _adapted(image: Image.Image, share: float) -> Image.Image:
    """Return a map (L) of the picture's size: how strongly the watermark is drawn at each pixel."""
    grey = image.convert("L")
    fine = grey.reduce(max(1, min(image.size) // _FINE))
    factor = max(1, min(fine.size) // _BLOCKS)
    mean = fine.reduce(factor)
    even = mean.resize(fine.size, Image.Resampling.BILINEAR)
    spread = ImageChops.difference(fine, even).reduce(factor)
    return spread.point(_strengths(share)).resize(image.size, Image.Resampling.BILINEAR)


@lru_cache(maxsize=len(STRENGTHS))
def _strengths(share: float) -> list[int]:
    """Return how strongly the watermark is drawn at each local contrast, 256 numbers up to 255."""
    return [min(255, round(255 * share * min(1 + value * _GAIN, _MOST))) for value in range(256)]


def _crescent() -> Image.Image:
    side = _DRAWN_AT * 2  # drawn twice as large, which smooths its edges
    large = Image.new("L", (side, side))
    pen = ImageDraw.Draw(large)
    pen.ellipse(_around(side, 0.48, 0.5, 0.32), fill=255)
    pen.ellipse(_around(side, 0.624, 0.436, 0.272), fill=0)
    return large.reduce(2)


def _around(side: int, x: float, y: float, radius: float) -> tuple[float, float, float, float]:
    return (x - radius) * side, (y - radius) * side, (x + radius) * side, (y + radius) * side


def _text(text: str, font: bytes) -> Image.Image:
    try:
        face = ImageFont.truetype(BytesIO(font), 96) if font else ImageFont.load_default(96)
    except OSError as error:
        raise SettingsRefused(f"NIGHTLIGHT_VISIBLE_WATERMARK_FONT is no font: {error}") from error
    if isinstance(face, ImageFont.FreeTypeFont):
        missing = _outline(face, "\U0010ffff")
        if lost := sorted({sign for sign in text if not sign.isspace() and _outline(face, sign) == missing}):
            message = f"NIGHTLIGHT_VISIBLE_WATERMARK_FONT has no sign for {', '.join(lost)}; name another font"
            raise SettingsRefused(message)
    left, top, right, bottom = face.getbbox(text)
    drawn = Image.new("L", (int(right - left) + 8, int(bottom - top) + 8))
    ImageDraw.Draw(drawn).text((4 - left, 4 - top), text, 255, font=face)
    return _fitted(drawn.rotate(_SLOPE, Image.Resampling.BICUBIC, expand=True))


def _outline(face: ImageFont.FreeTypeFont, sign: str) -> bytes:
    return bytes(face.getmask(sign))


def _logo(data: bytes) -> Image.Image:
    if len(data) > MAX_LOGO_BYTES:
        raise SettingsRefused(f"NIGHTLIGHT_VISIBLE_WATERMARK_LOGO: at most {MAX_LOGO_BYTES} bytes")
    try:
        with Image.open(BytesIO(data), formats=["PNG"]) as image:
            if max(image.size) > MAX_LOGO_SIDE:
                raise SettingsRefused(f"NIGHTLIGHT_VISIBLE_WATERMARK_LOGO: at most {MAX_LOGO_SIDE} pixels a side")
            shape = image.convert("RGBA").getchannel("A")
    except (OSError, SyntaxError, ValueError) as error:
        raise SettingsRefused(f"NIGHTLIGHT_VISIBLE_WATERMARK_LOGO is no PNG: {error}") from error
    if shape.getextrema() in {(0, 0), (255, 255)}:
        raise SettingsRefused("NIGHTLIGHT_VISIBLE_WATERMARK_LOGO has no shape: its alpha channel is what is drawn")
    return _fitted(shape)


def _fitted(shape: Image.Image) -> Image.Image:
    """Return ``shape`` in the middle of a tile, with a margin."""
    box = shape.getbbox() or (0, 0, *shape.size)
    shape = shape.crop(box)
    room = _DRAWN_AT * 0.84
    factor = min(room / shape.width, room / shape.height)
    shape = shape.resize((max(1, round(shape.width * factor)), max(1, round(shape.height * factor))))
    tile = Image.new("L", (_DRAWN_AT, _DRAWN_AT))
    tile.paste(shape, ((_DRAWN_AT - shape.width) // 2, (_DRAWN_AT - shape.height) // 2))
    return tile
