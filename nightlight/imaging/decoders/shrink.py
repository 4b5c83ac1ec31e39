"""Makes a decoded picture as small as the frame; rows at a time where it must not lie whole in memory as RGB."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import cv2
from PIL import Image

from nightlight.imaging.crop import fitted_size
from nightlight.imaging.pixels import shared_pixels

if TYPE_CHECKING:
    from nightlight.imaging.crop import Box

# Measured against one Lanczos resize of a whole 12-megapixel decode (PSNR in dB, CPU ms, one core), 2000 x
# 1500 to 1024: Lanczos 51.8 dB in 26.8 ms, Hamming 48.8 dB in 13.5 ms. The encoder's own loss is ten times
# either, so the frame is made with Hamming.
# decode_memory.reduced_bytes counts with this gap.
FILTER, GAP = Image.Resampling.HAMMING, 2.0
# A picture that is little larger than the frame, as a JPEG's DCT scale leaves it, is interpolated by OpenCV in a sixth
# of the time: up to which factor, and how. PSNR against Lanczos in dB, mean of 11 photographs: at a factor of 1.1
# Hamming 48.1, cubic 53.4; at 1.33 Hamming 49.3, linear 48.9; at 1.5 Hamming 49.4, linear 48.3; at 1.95 Hamming 48.9,
# linear 46.0.
_INTERPOLATIONS = ((1.2, cv2.INTER_CUBIC), (1.5, cv2.INTER_LINEAR))
# The pixels that lie in memory at a time: 4 MB in RGB.
STRIP_PIXELS = 1_000_000
# Beyond the filter's own reach (one pixel of the result), and that of the reduction before it, which is a part of it.
_MARGIN_PIXELS = 2.0
# Chroma may be sampled every second row.
_ROWS = 2

# The first row and the row behind the last, the first even, to those rows of the picture.
Rows = Callable[[int, int], Image.Image]


def fitted(image: Image.Image, box: Box, edge: int) -> Image.Image:
    """Return ``box`` of a picture, shrunk so that its shorter side has ``edge`` pixels at most."""
    size = fitted_size(box, edge)
    factor = max((box[2] - box[0]) / size[0], (box[3] - box[1]) / size[1])
    whole = tuple(int(value) for value in box)
    method = next((method for limit, method in _INTERPOLATIONS if 1 < factor <= limit), None)
    if method is None or image.mode != "RGB" or whole != box:
        return image.resize(size, FILTER, box=box, reducing_gap=GAP)
    left, top, right, bottom = whole
    result = Image.new("RGB", size, None)
    try:
        with shared_pixels(image) as pixels, shared_pixels(result) as target:
            cv2.resize(pixels[top:bottom, left:right], size, dst=target, interpolation=method)
    except ValueError:  # too large for one piece of memory, and a copy would take as much again
        return image.resize(size, FILTER, box=box, reducing_gap=GAP)
    return result


def fitted_rows(rows: Rows, size: tuple[int, int], box: Box, edge: int) -> Image.Image:
    """Return ``box`` of a picture of ``size``, shrunk so that its shorter side has ``edge`` pixels at most.

    Every pixel is what a resize of the whole picture would give, but for rounding in the reduction before it.
    """
    width, height = fitted_size(box, edge)
    scale = (box[3] - box[1]) / height
    margin = _MARGIN_PIXELS * max(1.0, scale)
    band = max(1, int((STRIP_PIXELS / size[0] - 2 * margin) / scale))
    fitted = None
    for top in range(0, height, band):
        bottom = min(height, top + band)
        first, last = box[1] + top * scale, min(box[1] + bottom * scale, box[3])
        begin = max(0, math.floor((first - margin) / _ROWS) * _ROWS)
        strip = rows(begin, min(size[1], math.ceil((last + margin) / _ROWS) * _ROWS))
        within = (box[0], first - begin, box[2], last - begin)
        piece = strip.resize((width, bottom - top), FILTER, box=within, reducing_gap=GAP)
        if fitted is None:
            fitted = Image.new(piece.mode, (width, height))
        fitted.paste(piece, (0, top))
    if fitted is None:  # fitted_size gives one pixel at least
        raise ValueError(box)
    return fitted


def plain(image: Image.Image, *, premultiplied: bool) -> Image.Image:
    """Return four bytes a pixel (mode RGBX) as what they are: RGB, or RGBA whose colours were multiplied by alpha."""
    if premultiplied:
        return Image.frombytes("RGBa", image.size, image.tobytes()).convert("RGBA")
    return image.convert("RGB")
