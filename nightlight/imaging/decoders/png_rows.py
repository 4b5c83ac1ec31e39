"""The rows of a PNG, unpacked and unfiltered strip by strip; or at once, where that is needed or cheaper.

zlib unpacks no more than the rows that the header promises. Pillow's decoder then takes the filter off: each strip is
handed to it behind the strip before's last row, packed without compression. That takes 1.1 to 1.2 times what Pillow
takes for the whole file at once, and the memory of a strip.

Samples of 16 bits come as two pictures of 8: the upper bytes and the lower. Colours of 16 bits take two decodes by
strips, so that they are decoded at once where they are not too large.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image

# The first column and row of each pass of an interlaced picture, and its steps (W3C PNG, 8.2).
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
# The passes that complete the even rows, and the odd ones.
_EVEN, _ODD = 5, 6
_LAST_FILTER = 4
_COUNTED_BYTES = 1 << 20

# Pillow's mode for so many bytes a pixel, and the names of what it is to read: the upper bytes, then the lower.
_MODES = {
    1: ("L", ("L",)),
    2: ("LA", ("LA",)),
    3: ("RGB", ("RGB",)),
    4: ("RGBA", ("RGBA",)),
    6: ("RGB", ("RGB;16B", "RGB;16L")),
    8: ("RGBA", ("RGBA;16B", "RGBA;16L")),
}
_BITS = 8
# Damaged data are read in parts of so many bytes, and byte by byte in the part with the damage.
_SMALL_PART = 64


@dataclass(frozen=True, slots=True)
class RowShape:
    """The size of a frame in pixels, and the bits of one pixel."""

    width: int
    height: int
    bits: int

    @property
    def row_bytes(self) -> int:
        """Return the bytes of a row without its filter."""
        return (self.width * self.bits + 7) // _BITS

    @property
    def modes(self) -> tuple[str, tuple[str, ...]]:
        """Return Pillow's mode and the names of what to read, for samples of whole bytes."""
        return _MODES[max(1, self.bits // _BITS)]


class Inflater:
    """Unpacks data that come in parts, never more of them than are asked for."""

    def __init__(self, parts: Iterator[memoryview]) -> None:
        """Unpack ``parts``; ``damaged`` says whether they could not be read, once they could not."""
        self._stream, self._parts = zlib.decompressobj(), parts
        self._rest: bytes | memoryview = b""
        self.damaged = False

    def read(self, count: int) -> bytes:
        """Return so many bytes, or what is left."""
        pieces: list[bytes] = []
        while count > 0 and not self._stream.eof and not self.damaged:
            data = self._rest or next(self._parts, None)
            before = self._stream.copy()
            try:
                piece = self._stream.decompress(data or b"", count)
                self._rest = self._stream.unconsumed_tail
            except zlib.error:
                self.damaged = True
                piece = _readable(before, data or b"", count)
            if not piece and data is None:
                break
            pieces.append(piece)
            count -= len(piece)
        return b"".join(pieces)


def _readable(stream: zlib._Decompress, data: bytes | memoryview, count: int) -> bytes:
    """Return what can be unpacked of damaged data, up to so many bytes, to the byte before the damage.

    The last bytes of a stream are its checksum: where that alone is wrong, nothing is missing.
    """
    pieces: list[bytes] = []
    size = _SMALL_PART
    at = 0
    while at < len(data) and count > 0:
        before = stream.copy()
        try:
            piece = stream.decompress(bytes(data[at : at + size]), count)
        except zlib.error:
            if size == 1:
                break
            stream, size = before, 1
            continue
        pieces.append(piece)
        count -= len(piece)
        at += size
    return b"".join(pieces)


class RowReader:
    """Reads the rows of a frame that is not interlaced, from the top."""

    def __init__(self, parts: Iterator[memoryview], shape: RowShape) -> None:
        """Read no row yet. ``damaged``: rows are missing because their data cannot be read, not for want of data."""
        self._inflater, self._shape = Inflater(parts), shape
        self._last: bytes | None = None
        self.damaged = False

    def read(self, rows: int) -> list[Image.Image]:
        """Return the next rows, or as many as arrived: their samples as bytes. None arrived if the list is empty."""
        stride = self._shape.row_bytes + 1
        data = self._inflater.read(rows * stride)
        arrived = len(data) // stride
        filters = data[: arrived * stride : stride]
        if arrived and max(filters) > _LAST_FILTER:
            arrived = next(row for row, kind in enumerate(filters) if kind > _LAST_FILTER)
            self.damaged = True
        self.damaged |= self._inflater.damaged
        if arrived == 0:
            return []
        lead = b"" if self._last is None else b"\0" + self._last
        packed = zlib.compress(lead + data[: arrived * stride], 0)
        mode, names = self._shape.modes
        width = self._shape.width if self._shape.bits >= _BITS else self._shape.row_bytes
        above = int(self._last is not None)
        strips = [Image.frombytes(mode, (width, arrived + above), packed, "zip", name, 0) for name in names]
        self._last = _row_bytes([strip.crop((0, strip.height - 1, width, strip.height)) for strip in strips])
        return [strip.crop((0, above, width, strip.height)) for strip in strips] if above else strips


def _row_bytes(pieces: list[Image.Image]) -> bytes:
    """Return the bytes of a row whose upper and lower bytes are apart."""
    if len(pieces) == 1:
        return pieces[0].tobytes()
    upper, lower = (piece.tobytes() for piece in pieces)
    row = bytearray(2 * len(upper))
    row[0::2], row[1::2] = upper, lower
    return bytes(row)


def read_whole(
    parts: list[memoryview], shape: RowShape, *, interlaced: bool, lower: bool
) -> tuple[list[Image.Image], list[int], bool]:
    """Return the samples of a frame, the rows of it that did not arrive whole, and whether it is damaged.

    Samples of less than a byte come as the indices of a palette. ``lower``: of 16 bits, the lower bytes are wanted too.
    """
    mode, names = shape.modes if shape.bits >= _BITS else ("P", (f"P;{shape.bits}",))
    data: memoryview | bytes = parts[0] if len(parts) == 1 else b"".join(parts)
    names = names if lower else names[:1]
    images = [Image.new(mode, (shape.width, shape.height), None) for _ in names]
    try:
        for image, name in zip(images, names, strict=True):
            image.frombytes(data, "zip", name, int(interlaced))
    except ValueError:
        inflater = Inflater(iter((memoryview(data),)))
        count = _unpacked_bytes(inflater, shape)
        missing = _missing_rows(count, shape) if interlaced else range(count // (shape.row_bytes + 1), shape.height)
        if missing:
            return images, list(missing), inflater.damaged
        if not inflater.damaged:  # all is there, and a row has no filter that exists
            raise
        _read_again(data, shape, images, names, interlaced=interlaced)
    return images, [], False


def _read_again(
    data: memoryview | bytes,
    shape: RowShape,
    images: list[Image.Image],
    names: Sequence[str],
    *,
    interlaced: bool,
) -> None:
    """Read a frame that is whole but for the checksum behind it. Raises ValueError."""
    inflater, pieces = Inflater(iter((memoryview(data),))), []
    while piece := inflater.read(_COUNTED_BYTES):
        pieces.append(piece)
        if sum(map(len, pieces)) > _most_bytes(shape):
            break
    packed = zlib.compress(b"".join(pieces), 0)
    for image, name in zip(images, names, strict=True):
        image.frombytes(packed, "zip", name, int(interlaced))


def _missing_rows(count: int, shape: RowShape) -> list[int]:
    """Return the rows of an interlaced frame of which a part is missing, where so many bytes of it arrived."""
    left, complete = count, {}
    for number, (column, row, across, down) in enumerate(_PASSES):
        width, rows = -(-(shape.width - column) // across), -(-(shape.height - row) // down)
        stride = 1 + (width * shape.bits + 7) // _BITS if width > 0 else 0
        complete[number] = rows if stride == 0 else min(rows, left // stride)
        left -= complete[number] * stride
        if complete[number] < rows:
            left = 0
    return [row for row in range(shape.height) if row // 2 >= complete[_ODD if row % 2 else _EVEN]]


def _most_bytes(shape: RowShape) -> int:
    return (shape.row_bytes + _BITS) * (shape.height + _BITS) * 2


def _unpacked_bytes(inflater: Inflater, shape: RowShape) -> int:
    """Return how many bytes the data hold, up to about what the header promises."""
    count = 0
    while count < _most_bytes(shape) and (piece := inflater.read(_COUNTED_BYTES)):
        count += len(piece)
    return count
