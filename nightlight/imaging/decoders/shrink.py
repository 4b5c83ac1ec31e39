"""Makes a picture smaller while it is decoded, rows at a time, so that it never lies whole in memory as RGB."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from PIL import Image

from nightlight.imaging.crop import MAX_ASPECT, fitted_size
from nightlight.imaging.decode_memory import dct_scale

if TYPE_CHECKING:
    from nightlight.imaging.crop import Box
    from nightlight.imaging.header import Header

# Measured against one Lanczos resize of a whole 12-megapixel decode (PSNR in dB, CPU ms, one core), 2000 x
# 1500 to 1024: Lanczos 51.8 dB in 26.8 ms, Hamming 48.8 dB in 13.5 ms. The encoder's own loss is ten times
# either, so the frame is made with Hamming.
# decode_memory.reduced_bytes counts with this gap.
FILTER, GAP = Image.Resampling.HAMMING, 2.0
# A JPEG that its DCT scale leaves at most so many times as large as the frame is handed over as it is, and interpolated
# outside the sandbox.
MOST_INTERPOLATED = 1.5
# The pixels that lie in memory at a time: 4 MB in RGB.
STRIP_PIXELS = 1_000_000
# Beyond the filter's own reach (one pixel of the result), and that of the reduction before it, which is a part of it.
_MARGIN_PIXELS = 2.0
# Chroma may be sampled every second row.
_ROWS = 2


def unshrunk_size(header: Header, edge: int) -> tuple[int, int] | None:
    """Return the width and height at which a whole JPEG is handed over without being shrunk; None where it is shrunk.

    Only a picture of three components that is at most MAX_ASPECT times as long as wide is.
    """
    short, long = sorted((header.width, header.height))
    if header.format != "jpeg" or header.colour != "rgb" or long > MAX_ASPECT * short:
        return None
    scale = dct_scale(header, edge=edge)
    size = (-(-header.width // scale), -(-header.height // scale))
    return size if edge < min(size) <= MOST_INTERPOLATED * edge else None


# The first row and the row behind the last, the first even, to those rows of the picture.
Rows = Callable[[int, int], Image.Image]


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
