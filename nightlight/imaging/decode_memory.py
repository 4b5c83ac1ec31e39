"""The memory that decoding a picture takes at its peak, in bytes, from its header alone.

``formats.FORMATS`` names one estimate for each format; every format has figures of its own. They are bytes a pixel at
the peak of Pillow's decoding and the first resize, measured with ``bench/memory.py`` and rounded up. The upload and
the frame are not in them: ``frame_bytes`` and ``reduced_bytes`` count the frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nightlight.imaging.header import Header

# The header and the frame's edge in pixels, to the bytes that the decoder takes.
MemoryEstimate = Callable[["Header", int], int]

# Pillow keeps RGB in 4 bytes; CMYK is converted into another copy, row by row.
_JPEG_BYTES = {"grey": 1, "rgb": 4, "cmyk": 5}
# A progressive JPEG's coefficients are all kept, 2 bytes each, whatever the scale.
_COEFFICIENT_BYTES = 2
# The most that a JPEG's pixels may take at the scale that is chosen for a small crop: 16 megapixels in RGB.
SCALED_BYTES = 64_000_000
# libwebp scales a lossy picture row by row, keeps a lossless one, and unpacks alpha whole as if it were a lossless one.
_WEBP_BYTES, _WEBP_LOSSLESS_BYTES, _WEBP_ALPHA_BYTES, _WEBP_RESULT_BYTES = 0.1, 4, 5, 4
# Of a picture that is decoded tile by tile, so many rows of tiles are kept.
_RGBX_BYTES, _TILE_ROWS = 4, 2
# What is decoded strip by strip: the strips and what is made of them on their way, which has so many rows at least.
_STRIPS_BYTES, _STRIP_ROWS = 12_000_000, 32
# A PNG that is decoded at once keeps its samples: grey in one byte, all else in four.
_PNG_BYTES = {"grey": 1, "rgb": 4, "palette": 1}
_PNG_WIDE_BYTES = 4
# Colours of 16 bits up to so many pixels are decoded at once: twice as fast as by strips.
MOST_AT_ONCE = 12_000_000
# libjxl beside the pixels of a JPEG XL: for each one of a lossy picture, of one that has channels besides colour or is
# composed of frames, and for each sample of a lossless one. Two in three of the last are asked for and never touched.
_JXL_BYTES, _JXL_COMPOSED_BYTES, _JXL_SAMPLE_BYTES, _JXL_FIXED_BYTES = 5, 37, 4, 10_000_000
# Indices of a GIF.
_GIF_BYTES = 1
# Bits a sample beyond which a picture is deep.
_SHALLOW_BITS = 8
# The frame, and what is between it and the decoded picture, by the pixel of the largest square.
_FRAME_BYTES = 14
# A picture more than four times the frame's size is first reduced by a whole factor that leaves twice its size.
_REDUCED_GAP = 2


def frame_bytes(header: Header, edge: int) -> int:
    """Return the bytes of the frame, whose shorter side has ``edge`` pixels, and of the resize that makes it."""
    return _FRAME_BYTES * min(edge, header.width, header.height) ** 2


def whole_bytes(pixels: int) -> int:
    """Return the bytes of a long picture's frame of ``pixels``, and of the resize that makes it, beyond a square's."""
    return _FRAME_BYTES * pixels


def reduced_bytes(header: Header, edge: int) -> int:
    """Return the bytes of the copy to which a very large picture is reduced first; 0 for a smaller picture."""
    factor = int(min(header.width, header.height) / edge / _REDUCED_GAP)
    if factor < 2:  # noqa: PLR2004 - a factor of 1 makes no copy
        return 0
    return (header.width // factor + 1) * (header.height // factor + 1) * (1 if header.colour == "grey" else 4)


def jpeg_bytes(header: Header, edge: int) -> int:
    """Return the bytes of a JPEG's pixels at their DCT scale, and of its coefficients if they are kept."""
    kept = int(header.width * header.height * header.samples * _COEFFICIENT_BYTES) if header.staged else 0
    copied = 0 if header.closed else header.end  # with an ending of ours
    return _scaled_bytes(header, dct_scale(header, edge=edge)) + kept + copied


def dct_scale(header: Header, *, edge: int, side: float | None = None) -> int:
    """Return by how much (1, 2, 4 or 8) a JPEG is made smaller while it is decoded.

    It is the largest scale that leaves ``edge`` pixels on the shorter side of what is kept. ``side`` is that side in
    pixels of the file; without it, the whole picture is kept. A small crop of a very large picture gets a larger scale,
    so that the whole of it takes at most SCALED_BYTES.
    """
    kept = min(header.width, header.height) if side is None else side
    scale = 8
    while scale > 1 and kept / scale < edge:
        scale //= 2
    baseline = replace(header, staged=False)
    while scale < 8 and _scaled_bytes(baseline, scale) > SCALED_BYTES:  # noqa: PLR2004 - libjpeg's largest scale
        scale *= 2
    return scale


def _scaled_bytes(header: Header, scale: int) -> int:
    return -(-header.width // scale) * -(-header.height // scale) * _JPEG_BYTES[header.colour]


def webp_bytes(header: Header, edge: int) -> int:
    """Return the bytes of a WebP's pixels as libwebp holds them, and of its result, which is scaled if it can be."""
    size = (header.width, header.height)
    across, down = webp_scale(header, size, edge=edge, side=min(size))
    held = _WEBP_LOSSLESS_BYTES if header.lossless else _WEBP_ALPHA_BYTES if header.alpha else _WEBP_BYTES
    return int(header.width * header.height * held) + across * down * _WEBP_RESULT_BYTES


def webp_scale(header: Header, part: tuple[int, int], *, edge: int, side: float) -> tuple[int, int]:
    """Return the width and height to which libwebp scales a part of a WebP while it decodes.

    ``side``: the shorter side of what is kept, in pixels of the file. The result has twice ``edge`` pixels there, for
    the filter that makes the frame, and takes at most SCALED_BYTES. A lossy picture with alpha is not scaled: libwebp
    would average colours that nobody sees into those beside them.
    """
    if header.alpha and not header.lossless:
        return part
    factor = min(1.0, _REDUCED_GAP * edge / side, (SCALED_BYTES / _WEBP_RESULT_BYTES / (part[0] * part[1])) ** 0.5)
    return max(1, round(part[0] * factor)), max(1, round(part[1] * factor))


def is_read_at_once(header: Header, *, keyed: bool) -> bool:
    """Say whether a PNG is decoded at once although it is not interlaced; ``keyed``: it has a transparent colour."""
    deep_colour = header.colour == "rgb" and header.bits > _SHALLOW_BITS
    return deep_colour and not keyed and header.width * header.height <= MOST_AT_ONCE


def _strips_bytes(header: Header) -> int:
    """Return the bytes of a picture that is made smaller strip by strip, however high it is."""
    return _STRIPS_BYTES + _STRIP_ROWS * header.width * _RGBX_BYTES


def png_bytes(header: Header, _edge: int) -> int:
    """Return the bytes of a PNG's strips, or of all its samples and its data where it is decoded at once."""
    strips = _strips_bytes(header)
    if not header.staged and not is_read_at_once(header, keyed=False):
        return strips
    wide = header.alpha or (header.colour == "grey" and header.bits > _SHALLOW_BITS)
    pixel = _PNG_WIDE_BYTES if wide else _PNG_BYTES[header.colour]
    if header.staged and header.colour == "rgb" and header.bits > _SHALLOW_BITS and header.alpha:
        pixel *= 2  # a transparent colour is compared with both bytes
    return strips + header.width * header.height * pixel + header.coded_bytes


def gif_bytes(header: Header, _edge: int) -> int:
    """Return the bytes of a GIF's first frame, and of the strips of its screen."""
    return _strips_bytes(header) + header.frame_pixels * _GIF_BYTES


def jxl_bytes(header: Header, _edge: int) -> int:
    """Return the bytes of a JPEG XL's pixels, and of what libjxl holds beside them.

    A lossless picture that was written progressively takes twice as much: where that is over the sandbox's limit, it is
    refused there.
    """
    channels = 1 if header.colour == "grey" else 3
    if header.lossless:
        held = header.samples * _JXL_SAMPLE_BYTES
    else:
        held = _JXL_COMPOSED_BYTES if header.samples > channels or header.animated else _JXL_BYTES
    return int(header.width * header.height * (channels + header.alpha + held)) + _JXL_FIXED_BYTES


def planes_bytes(factor: float, fixed: int) -> MemoryEstimate:
    """Return the estimate of an AVIF or HEIC, whose decoder leaves planes, which become RGB some rows at a time.

    ``factor``: what the decoder takes for each byte of planes. ``fixed``: what the strips and the decoder's own tables
    and threads take, whatever the size.
    """

    def estimate(header: Header, _edge: int) -> int:
        width, height = (header.aperture or (0, 0, header.width, header.height))[2:]
        if header.tile:
            rows, planes = header.tile[1], header.tile[0] * header.tile[1]
        else:
            rows, planes = 0, max(width * height, header.coded // (1 + header.alpha))
        samples = planes * (header.samples + header.alpha) * (2 if header.bits > _SHALLOW_BITS else 1)
        return int(samples * factor) + _TILE_ROWS * rows * width * _RGBX_BYTES + fixed

    return estimate
