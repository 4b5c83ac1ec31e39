"""Pixels of a colour space that a file names by numbers, to sRGB.

A space of ordinary brightness becomes an ICC profile of its own, and goes the way of every profile. PQ and HLG are
brought down to a page by a table over red, green and blue:

::

    light          PQ states it in cd/m2; HLG as a display of 1,000 cd/m2 shows it, with a gamma of 1.2 on luminance
    tone mapping   by the largest of red, green and blue: 203 cd/m2 are shown half as bright as a page's white, what is
                   darker in proportion, and 1,000 cd/m2 as white
    to sRGB        the primaries' matrix; what lies outside is clipped

The curve is the reference white operator of SMPTE ST 2094-50, which Chromium 156 uses too: half the light up to 203
cd/m2, then a quadratic Bezier curve to (1,000, 1) whose middle point lies on the straight line, 0.65 of the way to 1.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from itertools import product
from math import sqrt
from operator import add
from typing import TYPE_CHECKING

from PIL import ImageFilter

from nightlight.imaging.colour_space import (
    PQ,
    PRIMARIES,
    ColourSpace,
    adapt,
    decode_hlg,
    decode_pq,
    decode_transfer,
    inverse,
    multiply,
    to_xyz,
)

if TYPE_CHECKING:
    from PIL import Image

# Steps of the table along each colour; between them it is interpolated. Beside Chromium the mean error over random
# colours is 0.4 of 255 for HLG and 1.4 for PQ, and greys beyond 1,000 cd/m2 come out up to 16 too dark. 33 steps give
# 0.3 and 1.2, and take more than twice as long to make.
_STEPS = 25
_WHITE, _PEAK, _HLG_GAMMA = 203.0, 1_000.0, 1.2
_KNEE, _BEND = 0.5, 0.65
# XYZ of the profile connection space's white (ICC.1:2022, 7.2.16), and sizes of a profile.
_D50 = (0.9642, 1.0, 0.8249)
_D65 = (0.3127 / 0.3290, 1.0, (1 - 0.3127 - 0.3290) / 0.3290)
_CURVE_POINTS, _HEAD, _TAG = 1_024, 128, 12


def tone_mapped(image: Image.Image, space: ColourSpace) -> Image.Image:
    """Return an RGB picture in PQ or HLG as sRGB."""
    return image.filter(_table(space))


@lru_cache(maxsize=4)
def _table(space: ColourSpace) -> ImageFilter.Color3DLUT:
    levels = [index / (_STEPS - 1) for index in range(_STEPS)]
    hlg = space.transfer != PQ
    light = [decode_hlg(level) * _PEAK if hlg else decode_pq(level) for level in levels]
    matrix = multiply(inverse(to_xyz(PRIMARIES[1])), adapt(space.chromaticities, _D65))
    reds, greens, blues = ([tuple(row[k] * value for row in matrix) for value in light] for k in range(3))
    weights = adapt(space.chromaticities, _D65)[1]  # of luminance
    encoded: list[float] = []
    gains = [_gain(value / _WHITE) / _WHITE for value in light]
    for i, j in product(range(_STEPS), repeat=2):  # blue and green
        base, largest = tuple(map(add, blues[i], greens[j])), max(i, j)
        luminance = weights[1] * light[j] + weights[2] * light[i]
        for k, in_red in enumerate(reds):
            gain = gains[max(k, largest)]
            if hlg and (largest or k):
                scale = ((luminance + weights[0] * light[k]) / _PEAK) ** (_HLG_GAMMA - 1)
                gain = _gain(light[max(largest, k)] * scale / _WHITE) * scale / _WHITE
            for value, more in zip(base, in_red, strict=True):
                code = int((value + more) * gain * _CODES)
                encoded.append(_SRGB_CODES[code if 0 <= code <= _CODES else 0 if code < 0 else _CODES])
    return ImageFilter.Color3DLUT(_STEPS, encoded)


def _gain(light: float) -> float:
    """Return by how much light is multiplied whose largest colour is ``light``, 1 for the white of a page."""
    if light <= 1:
        return _KNEE
    peak = _PEAK / _WHITE
    if light >= peak:
        return 1 / light
    # The curve's points: (1, knee), (middle, middle * knee), (peak, 1).
    middle = 1 - _BEND + _BEND / _KNEE
    a, b, c = 1 - 2 * middle + peak, 2 * (middle - 1), 1 - light
    t = (sqrt(b * b - 4 * a * c) - b) / (2 * a)
    height = (1 - t) ** 2 * _KNEE + 2 * t * (1 - t) * middle * _KNEE + t * t
    return height / light


def _srgb(light: float) -> float:
    return 12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055  # noqa: PLR2004


_CODES = 8_192
_SRGB_CODES = [_srgb(index / _CODES) for index in range(_CODES + 1)]


@lru_cache(maxsize=8)
def icc_profile(space: ColourSpace) -> bytes:
    """Return an ICC profile, version 2, of a space of ordinary brightness (ICC.1:2001-04, 6.3.4.1)."""
    decode = decode_transfer(space.transfer)
    last = _CURVE_POINTS - 1
    points = [min(65_535, round(65_535 * decode(index / last))) for index in range(_CURVE_POINTS)]
    curve = b"curv\0\0\0\0" + struct.pack(f">I{_CURVE_POINTS}H", _CURVE_POINTS, *points)
    columns = list(zip(*adapt(space.chromaticities, _D50), strict=True))
    tags = {b"wtpt": _xyz(_D50)} | {name: _xyz(column) for name, column in zip(_COLUMNS, columns, strict=True)}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    at = _HEAD + 4 + _TAG * len(tags)
    table, body, places = struct.pack(">I", len(tags)), b"", dict[bytes, int]()
    for name, data in tags.items():
        if data not in places:
            places[data] = at + len(body)
            body += data
        table += name + struct.pack(">II", places[data], len(data))
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"\0\0\0\0", 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + _xyz(_D50)[8:]
    return head.ljust(_HEAD, b"\0") + table + body


_COLUMNS = (b"rXYZ", b"gXYZ", b"bXYZ")
_MOST = (1 << 31) - 1


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(max(-_MOST, min(_MOST, round(value * 65_536))) for value in values))
