"""The CPU time that decoding a picture takes, in seconds of one core, from its header and the size of its file.

``formats.FORMATS`` names one estimate for each format; every format has figures of its own. They were measured with
``bench/hostile.py`` on the slowest pictures of each kind, and rounded up. A core of another machine is faster or slower
by some factor, as for every limit in seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from nightlight.imaging.decode_memory import is_read_at_once

if TYPE_CHECKING:
    from nightlight.imaging.header import Header

# The header and the file's size in bytes, to seconds.
TimeEstimate = Callable[["Header", int], float]

# A JPEG: for each pixel the inverse transform, colours and the first resize; for each coded byte, eight of which may
# be symbols of their own; for each visit of a block. A refinement looks at all 63 coefficients of each block.
_JPEG_PIXEL_S, _JPEG_BYTE_S, _JPEG_MEAN_S, _JPEG_BLOCK_S = 8e-9, 30e-9, 20e-9, 130e-9
# One scan of everything, as cameras write it, goes straight to the pixels.
_JPEG_BASELINE_BYTE_S = 15e-9
# An arithmetic decoder goes through every coefficient bit by bit, data or not.
_ARITHMETIC_FACTOR = 20
# Of PNG for each byte of a pixel, and for each pixel once, and once more where it may be transparent.
_PNG_BYTE_S, _PNG_PIXEL_S = 18e-9, 10e-9
_PNG_CHANNELS = {"grey": 1, "palette": 1, "rgb": 3}
# Of GIF: for each pixel of the frame, of the screen, and each byte.
_GIF_FRAME_S, _GIF_SCREEN_S, _GIF_BYTE_S = 20e-9, 10e-9, 10e-9
# Of JPEG XL: for each pixel that was transformed, for each sample that was not, and for each byte.
_JXL_PIXEL_S, _JXL_SAMPLE_S, _JXL_BYTE_S = 60e-9, 130e-9, 30e-9
# A JPEG without its end may have been cut off, and is decoded twice to know.
_OPEN_FACTOR = 2
# Of every format: for each chunk, sub-block or byte that a reader takes by itself, and each byte beside the pixels.
_PIECE_S, _ASIDE_BYTE_S = 3e-6, 1e-9


def overhead_s(header: Header) -> float:
    """Return the seconds that a file's structure takes, whatever its format: pieces, and bytes beside the pixels."""
    return header.pieces * _PIECE_S + header.aside_bytes * _ASIDE_BYTE_S


def jpeg_s(header: Header, _size: int) -> float:
    """Return the estimate of a JPEG, by its pixels, its coded bytes and the visits of its scans to blocks."""
    times = 1 if header.closed else _OPEN_FACTOR
    pixels_s = header.width * header.height * _JPEG_PIXEL_S
    if not header.staged and not header.arithmetic:
        return times * (pixels_s + header.coded_bytes * _JPEG_BASELINE_BYTE_S)
    visits_s = header.means * _JPEG_MEAN_S + header.blocks * _JPEG_BLOCK_S
    if header.arithmetic:
        visits_s *= _ARITHMETIC_FACTOR
    return times * (visits_s + pixels_s + header.coded_bytes * _JPEG_BYTE_S)


def png_s(header: Header, _size: int) -> float:
    """Return the estimate of a PNG, by the bytes of its pixels."""
    pixel_bytes = float((_PNG_CHANNELS[header.colour] + header.alpha) * max(1, header.bits // 8))
    if header.colour == "rgb" and header.bits > 8 and not is_read_at_once(header, keyed=False):  # noqa: PLR2004 - a byte
        pixel_bytes *= 1.5  # upper and lower bytes are decoded apart
    pixel_s = pixel_bytes * _PNG_BYTE_S + (1 + header.alpha) * _PNG_PIXEL_S
    return header.width * header.height * pixel_s


def gif_s(header: Header, size: int) -> float:
    """Return the estimate of a GIF, by the pixels of its frame and of its screen, and its bytes."""
    pixels_s = header.frame_pixels * _GIF_FRAME_S + header.width * header.height * _GIF_SCREEN_S
    return pixels_s + size * _GIF_BYTE_S


def jxl_s(header: Header, size: int) -> float:
    """Return the estimate of a JPEG XL, by its pixels, its samples that are coded as they are, and its bytes."""
    colours = 0 if header.lossless else 1 if header.colour == "grey" else 3
    pixel_s = (header.samples - colours) * _JXL_SAMPLE_S + (not header.lossless) * _JXL_PIXEL_S
    return header.width * header.height * pixel_s + size * _JXL_BYTE_S


def per_pixel_and_byte(pixel_s: float, byte_s: float) -> TimeEstimate:
    """Return the estimate of a format that takes so many seconds for each pixel and for each byte of the file."""

    def estimate(header: Header, size: int) -> float:
        return header.width * header.height * pixel_s + size * byte_s

    return estimate


def coded_s(pixel_s: float, byte_s: float) -> TimeEstimate:
    """Return the estimate of an AVIF or HEIC, whose alpha and cells are coded pictures of their own."""

    def estimate(header: Header, size: int) -> float:
        return max(header.coded, header.width * header.height) * pixel_s + size * byte_s

    return estimate
