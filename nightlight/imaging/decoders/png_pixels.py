"""Samples of a PNG to pixels that can be averaged: grey or RGB of 8 bits, with alpha where the file has any.

Of 16 bits the upper 8 are kept. A transparent colour (tRNS) is compared with all of them.

Source: W3C PNG, 3rd edition, 11.2 and 11.3.1.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from PIL import Image, ImageChops

from nightlight.imaging.header import u16

if TYPE_CHECKING:
    from nightlight.imaging.decoders.png_layout import PngLayout

GREY, RGB, INDEXED, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
_CHANNELS = {GREY: 1, RGB: 3, INDEXED: 1, GREY_ALPHA: 2, RGB_ALPHA: 4}
_BYTE, _ENTRIES = 8, 256


@dataclass(frozen=True, slots=True)
class PixelKind:
    """The colour type and bit depth; ``palette``: 256 entries of RGBA, or none; ``key``: the transparent colour."""

    colour_type: int
    depth: int
    palette: bytes = b""
    key: tuple[int, ...] = ()

    @classmethod
    def from_layout(cls, layout: PngLayout) -> PixelKind:
        """Return the kind of a PNG's pixels."""
        depth, colour_type = layout.depth, layout.colour_type
        trns = memoryview(layout.transparency)
        if colour_type == INDEXED:
            return cls(colour_type, depth, _rgba(layout.palette, layout.transparency))
        count = {GREY: 1, RGB: 3}.get(colour_type, 0)
        key = tuple(u16(trns, 2 * at) & ((1 << depth) - 1) for at in range(count)) if len(trns) >= 2 * count else ()
        if colour_type == GREY and depth < _BYTE:
            levels = [level * 255 // ((1 << depth) - 1) for level in range(1 << depth)]
            alpha = bytes(0 if (level,) == key else 255 for level in range(1 << depth))
            return cls(colour_type, depth, _rgba(bytes(level for level in levels for _ in range(3)), alpha), key)
        return cls(colour_type, depth, b"", key)

    @property
    def bits(self) -> int:
        """Return the bits of a pixel."""
        return self.depth * _CHANNELS[self.colour_type]

    def pixels(self, samples: list[Image.Image], width: int) -> Image.Image:
        """Return pixels, L, LA, RGB or RGBA, of samples as ``png_rows`` reads them; ``width`` is in pixels."""
        first = samples[0]
        if self.palette:
            return self._looked_up(first, width)
        if self.depth > _BYTE:
            return self._of_two_bytes(samples)
        if not self.key:
            return first
        if self.colour_type == GREY:
            return Image.merge("LA", (first, _unlike(first, self.key[0])))
        return _keyed(first, self.key)

    def _looked_up(self, indices: Image.Image, width: int) -> Image.Image:
        if indices.mode != "P" and self.depth < _BYTE:
            name = f"P;{self.depth}" if self.depth > 1 else "P;1"
            indices = Image.frombytes("P", (width, indices.height), indices.tobytes(), "raw", name)
        indices.putpalette(self.palette, "RGBA")
        if self.palette[3::4].strip(b"\xff"):
            return indices.convert("RGBA")
        return indices.convert("L" if self.colour_type == GREY else "RGB")

    def _of_two_bytes(self, samples: list[Image.Image]) -> Image.Image:
        if self.colour_type == GREY:
            upper, lower = samples[0].split()
            if not self.key:
                return upper
            unlike = (_unlike(upper, self.key[0] >> _BYTE), _unlike(lower, self.key[0] & 0xFF))
            return Image.merge("LA", (upper, ImageChops.lighter(*unlike)))
        if self.colour_type == GREY_ALPHA:
            return Image.merge("LA", (samples[0].getchannel(0), samples[0].getchannel(2)))
        if not self.key:
            return samples[0]
        upper = _keyed(samples[0], tuple(value >> _BYTE for value in self.key))
        lower = _keyed(samples[1], tuple(value & 0xFF for value in self.key))
        upper.putalpha(ImageChops.lighter(upper.getchannel("A"), lower.getchannel("A")))
        return upper


def _rgba(palette: bytes, alpha: bytes) -> bytes:
    """Return 256 entries; colours that the palette lacks are its last, as Chromium has it, and opaque."""
    colours = [palette[at : at + 3] for at in range(0, len(palette), 3)]
    colours += colours[-1:] * (_ENTRIES - len(colours))
    return b"".join(colour + alpha[at : at + 1].ljust(1, b"\xff") for at, colour in enumerate(colours[:_ENTRIES]))


def _unlike(band: Image.Image, value: int) -> Image.Image:
    """Return 0 where a band has a value, and 255 elsewhere."""
    return band.point([0 if level == value else 255 for level in range(_ENTRIES)])


def _keyed(image: Image.Image, key: tuple[int, ...]) -> Image.Image:
    """Return RGBA: transparent where RGB has a colour."""
    image.info["transparency"] = cast("tuple[int, int, int]", key)
    return image.convert("RGBA")
