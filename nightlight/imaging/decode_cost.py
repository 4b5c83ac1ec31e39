"""What decoding a picture would cost, in CPU seconds of one core, from its header alone.

Measured with ``bench/hostile.py`` on pictures that are as dear as their kind can be, rounded up. A core of another
machine is faster or slower by some factor, as for every limit in seconds.
"""

from __future__ import annotations

from nightlight.imaging.header_readers import Format, Header

# A JPEG: for each pixel the inverse transform, colours and the first resize; for each coded byte, eight of which may
# be symbols of their own; for each visit of a block. A refinement looks at all 63 coefficients of each block.
_JPEG_PIXEL, _JPEG_BYTE, _JPEG_MEAN, _JPEG_BLOCK = 8e-9, 30e-9, 20e-9, 130e-9
# One scan of everything, as cameras write it, goes straight to the pixels.
_JPEG_BASELINE_BYTE = 15e-9
# An arithmetic decoder goes through every coefficient bit by bit, data or not.
_ARITHMETIC = 20
_PIECE, _ASIDE_BYTE = 3e-6, 1e-9
# Of PNG for each byte of a pixel, and for each pixel once, and once more where it may be transparent.
_PNG_BYTE, _PNG_PIXEL = 9e-9, 10e-9
# Of the others for each pixel and for each byte of the file.
_OTHERS = {
    Format.GIF: (30e-9, 10e-9),
    Format.WEBP: (60e-9, 15e-9),
    Format.AVIF: (35e-9, 75e-9),
    Format.HEIC: (60e-9, 100e-9),
}
_CHANNELS = {"grey": 1, "palette": 1, "rgb": 3, "cmyk": 4}


def decode_s(header: Header, size: int) -> float:
    """Return the estimate for a file of ``size`` bytes."""
    pixels = header.width * header.height
    cost = header.pieces * _PIECE + header.aside_bytes * _ASIDE_BYTE
    if header.format is Format.JPEG and not header.staged and not header.arithmetic:
        return cost + pixels * _JPEG_PIXEL + header.coded_bytes * _JPEG_BASELINE_BYTE
    if header.format is Format.JPEG:
        visits = (header.means * _JPEG_MEAN + header.blocks * _JPEG_BLOCK) * (_ARITHMETIC if header.arithmetic else 1)
        return cost + visits + pixels * _JPEG_PIXEL + header.coded_bytes * _JPEG_BYTE
    if header.format is Format.PNG:
        bytes_ = (_CHANNELS[header.colour] + header.alpha) * max(1, header.bits // 8)
        return cost + pixels * (bytes_ * _PNG_BYTE + (1 + header.alpha) * _PNG_PIXEL)
    by_pixel, by_byte = _OTHERS[header.format]
    return cost + pixels * by_pixel + size * by_byte
