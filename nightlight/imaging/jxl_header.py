"""The header of a JPEG XL: a bare codestream, or one in boxes. Source: ISO/IEC 18181-1:2024 and 18181-2:2024.

The header is a row of bits, the lowest of each byte first. It says how large the picture is, how it is turned, and
which channels it has. The first frame's header says whether pixels are transformed (VarDCT) or coded as they are
(modular), on which memory and time depend. It cannot be found behind a compressed ICC profile: such a picture counts as
transformed if it is in XYB, which lossy encoders write, and else as modular.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightlight.imaging.header import Header, u32
from nightlight.imaging.isobmff_boxes import boxes
from nightlight_core.errors import ImageTooComplex, UnsupportedFormat

if TYPE_CHECKING:
    from nightlight.imaging.formats import Format
    from nightlight.imaging.header_limits import HeaderTally

CODESTREAM, CONTAINER = b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"
# The bytes of a codestream that are read for its header. Weights of upsampling take 600 of them, and names of channels
# what they have.
_HEAD_BYTES = 4_096
# Alpha, depth, spot colours and the like: libjxl itself takes 256, with as many planes in memory.
_MOST_EXTRA_CHANNELS = 8
# Width by height of the sizes that are stated by their ratio (18181-1, table for "ratio").
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
# Distributions of U32: (bits, offset) by selector.
_SIZE = ((9, 1), (13, 1), (18, 1), (30, 1))
_ENUM = ((0, 0), (0, 1), (4, 2), (6, 18))
_ALPHA, _SPOT, _BLACK, _CFA = 0, 2, 4, 5
_GREY, _XYB, _CUSTOM = 1, 2, 2


class _Bits:
    """Reads bits from the lowest of the first byte on. Raises IndexError past the end."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def take(self, count: int) -> int:
        """Return the next ``count`` bits as an integer."""
        self._left -= count
        if self._left < 0:
            raise IndexError(count)
        value = self._value & ((1 << count) - 1)
        self._value >>= count
        return value

    def align(self) -> None:
        """Go to the next whole byte."""
        self.take(self._left % 8)

    def u32(self, *distributions: tuple[int, int]) -> int:
        """Return an integer of one of four distributions, each of which has bits and an offset."""
        bits, offset = distributions[self.take(2)]
        return offset + self.take(bits)

    def u64(self) -> int:
        """Return an integer of up to 64 bits."""
        selector = self.take(2)
        if selector < 3:  # noqa: PLR2004 - the last selector is for the longest
            return (0, 1, 17)[selector] + self.take((0, 4, 8)[selector])
        value, shift = self.take(12), 12
        while self.take(1):
            value |= self.take(8 if shift < 60 else 4) << shift  # noqa: PLR2004 - the last four of 64 bits
            if shift >= 60:  # noqa: PLR2004
                break
            shift += 8
        return value


@dataclass(slots=True)
class _Image:
    """What the header states. ``named``: colours are stated by numbers and not by an ICC profile."""

    width: int
    height: int
    orientation: int = 1
    bits: int = 8
    grey: bool = False
    named: bool = True
    alpha: bool = False
    extra: int = 0
    xyb: bool = True
    preview: bool = False
    animated: bool = False


def read_jxl_header(view: memoryview, tally: HeaderTally, format_: Format) -> Header:
    """Return what the codestream's header states.

    Raises IndexError, ValueError, ImageTooComplex, or UnsupportedFormat for a picture in CMYK.
    """
    bits = _Bits(_head(view, tally))
    bits.take(16)  # the codestream's own magic
    image = _Image(*_size(bits))
    if not bits.take(1):
        _read_metadata(bits, image)
    transformed = not image.preview and (_is_transformed(bits) if image.named else image.xyb)
    return Header(
        format_,
        image.width,
        image.height,
        image.bits,
        "grey" if image.grey else "rgb",
        alpha=image.alpha,
        animated=image.animated,
        samples=float((1 if image.grey else 3) + image.extra),
        lossless=not transformed,
        orientation=image.orientation,
    )


def _head(view: memoryview, tally: HeaderTally) -> bytes:
    """Return the first bytes of the codestream, from the boxes that hold it."""
    if bytes(view[:2]) == CODESTREAM:
        return bytes(view[:_HEAD_BYTES])
    head = b""
    for kind, at, end in boxes(view, 0, len(view), tally, cut=True):
        if kind in {b"jxlc", b"jxlp"}:
            start = at + 4 * (kind == b"jxlp")  # behind the part's number
            head += bytes(view[start : min(end, start + _HEAD_BYTES - len(head))])
            if kind == b"jxlc" or u32(view, at) >> 31 or len(head) >= _HEAD_BYTES:
                break
    if head[:2] != CODESTREAM:
        raise ValueError(0)
    return head


def _size(bits: _Bits) -> tuple[int, int]:
    """Return width and height (SizeHeader)."""
    small = bits.take(1)
    height = 8 * (1 + bits.take(5)) if small else bits.u32(*_SIZE)
    ratio = bits.take(3)
    if ratio:
        across, down = _RATIOS[ratio]
        return height * across // down, height
    return (8 * (1 + bits.take(5)) if small else bits.u32(*_SIZE)), height


def _read_metadata(bits: _Bits, image: _Image) -> None:
    """Read ImageMetadata and the transform data behind it."""
    more = bits.take(1)
    if more:
        image.orientation = 1 + bits.take(3)
        if bits.take(1):
            _size(bits)  # the size at which an author wants it shown
        image.preview = bool(bits.take(1))
        if image.preview:
            _preview_size(bits)
        image.animated = bool(bits.take(1))
        if image.animated:
            bits.u32((0, 100), (0, 1000), (10, 1), (30, 1))
            bits.u32((0, 1), (0, 1001), (8, 1), (10, 1))
            bits.u32((0, 0), (3, 0), (16, 0), (32, 0))
            bits.take(1)
    image.bits = _depth(bits)
    bits.take(1)  # whether 16 bits are enough for modular buffers
    image.extra = bits.u32((0, 0), (0, 1), (4, 2), (12, 1))
    if image.extra > _MOST_EXTRA_CHANNELS:
        raise ImageTooComplex(f"more than {_MOST_EXTRA_CHANNELS} channels besides colour")
    for _ in range(image.extra):
        image.alpha |= _channel(bits) == _ALPHA
    image.xyb = bool(bits.take(1))
    _read_colours(bits, image)
    if more and not bits.take(1):
        bits.take(16 + 16 + 1 + 16)  # tone mapping
    _skip_extensions(bits)
    if not bits.take(1):
        if image.xyb and not bits.take(1):
            bits.take(16 * 16)
        weights = bits.take(3)
        bits.take(sum(16 * count for index, count in enumerate((15, 55, 210)) if weights >> index & 1))


def _preview_size(bits: _Bits) -> None:
    by_eight = bits.take(1)
    sides = ((0, 16), (0, 32), (5, 1), (9, 33)) if by_eight else ((6, 1), (8, 65), (10, 321), (12, 1345))
    bits.u32(*sides)
    if not bits.take(3):
        bits.u32(*sides)


def _depth(bits: _Bits) -> int:
    """Return the bits of a sample (BitDepth)."""
    if bits.take(1):  # floating point
        depth = bits.u32((0, 32), (0, 16), (0, 24), (6, 1))
        bits.take(4)
        return depth
    return bits.u32((0, 8), (0, 10), (0, 12), (6, 1))


def _channel(bits: _Bits) -> int:
    """Return the kind of a channel besides colour (ExtraChannelInfo)."""
    if bits.take(1):
        return _ALPHA
    kind = bits.u32(*_ENUM)
    _depth(bits)
    bits.u32((0, 0), (0, 3), (0, 4), (3, 1))
    bits.take(8 * bits.u32((0, 0), (4, 0), (5, 16), (10, 48)))
    if kind == _ALPHA:
        bits.take(1)
    elif kind == _SPOT:
        bits.take(4 * 16)
    elif kind == _CFA:
        bits.u32((0, 1), (2, 0), (4, 3), (8, 19))
    elif kind == _BLACK:
        raise UnsupportedFormat("This JPEG XL is in CMYK, for printing; save it in RGB.")
    return kind


def _read_colours(bits: _Bits, image: _Image) -> None:
    """Read ColourEncoding."""
    if bits.take(1):
        return
    image.named = not bits.take(1)
    space = bits.u32(*_ENUM)
    image.grey = space == _GREY
    if not image.named:
        return
    if space != _XYB:
        if bits.u32(*_ENUM) == _CUSTOM:
            _skip_point(bits)
        if space != _GREY and bits.u32(*_ENUM) == _CUSTOM:
            for _ in range(3):
                _skip_point(bits)
        if bits.take(1):
            bits.take(24)  # a gamma
        else:
            bits.u32(*_ENUM)
    bits.u32(*_ENUM)  # the rendering intent


def _skip_point(bits: _Bits) -> None:
    for _ in range(2):
        bits.u32((19, 0), (19, 1 << 19), (20, 1 << 20), (21, 1 << 21))


def _skip_extensions(bits: _Bits) -> None:
    flags = bits.u64()
    for size in [bits.u64() for index in range(64) if flags >> index & 1]:
        if size > 8 * _HEAD_BYTES:
            raise ValueError(size)
        bits.take(size)


def _is_transformed(bits: _Bits) -> bool:
    """Say whether the first frame is the picture itself and in VarDCT (FrameHeader, which begins on a whole byte)."""
    bits.align()
    return bool(bits.take(1)) or (bits.take(2) == 0 and not bits.take(1))
