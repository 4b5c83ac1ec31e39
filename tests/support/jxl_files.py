"""JPEG XL files: as libjxl writes them, and with a header of another picture's before the same frames.

A codestream begins with its header, and its first frame on the next whole byte. So a header that states another
orientation, colour space or size can be put before frames that a library wrote.
"""

import numpy as np

from tests.support import pictures

CODESTREAM = b"\xff\x0a"
_ENUM = ((0, 0), (0, 1), (4, 2), (6, 18))
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
_SIZE = ((9, 1), (13, 1), (18, 1), (30, 1))


class Bits:
    """Writes bits, the lowest of each byte first."""

    def __init__(self):
        self.value = self.count = 0

    def put(self, value, count=1):
        self.value |= value << self.count
        self.count += count
        return self

    def u32(self, value, distributions):
        for selector, (bits, offset) in enumerate(distributions):
            if offset <= value < offset + (1 << bits):
                return self.put(selector, 2).put(value - offset, bits)
        raise ValueError(value)

    def bytes(self):
        return self.value.to_bytes(-(-self.count // 8), "little")


def header(size, *, orientation=1, depth=8, extra=(), xyb=False, colours=None, grey=False, animated=False, icc=False):
    """The header of a codestream.

    ``extra``: kinds of channels besides colour. ``colours``: white point, primaries and transfer by libjxl's numbers.
    ``icc``: a profile follows.
    """
    bits = Bits().put(0x0AFF, 16)
    _put_size(bits, size)
    more = orientation != 1 or animated
    bits.put(0).put(more)
    if more:
        bits.put(orientation - 1, 3).put(0).put(0).put(animated)
        if animated:
            bits.u32(100, ((0, 100), (0, 1000), (10, 1), (30, 1))).u32(1, ((0, 1), (0, 1001), (8, 1), (10, 1)))
            bits.put(0, 2).put(0)
    bits.put(0).u32(depth, ((0, 8), (0, 10), (0, 12), (6, 1))).put(1)
    bits.u32(len(extra), ((0, 0), (0, 1), (4, 2), (12, 1)))
    for kind in extra:
        if kind == 0:
            bits.put(1)
        else:
            bits.put(0).u32(kind, _ENUM).put(0).put(0, 2).put(0, 2).put(0, 2)
    bits.put(xyb)
    if icc:
        bits.put(0).put(1).u32(0, _ENUM)
    elif colours is None and not grey:
        bits.put(1)
    else:
        white, primaries, transfer = colours or (1, 1, 13)
        bits.put(0).put(0).u32(1 if grey else 0, _ENUM).u32(white, _ENUM)
        if not grey:
            bits.u32(primaries, _ENUM)
        bits.put(0).u32(transfer, _ENUM).u32(1, _ENUM)
    if more:
        bits.put(1)
    return bits.put(0, 2).put(1).bytes()


def _put_size(bits, size):
    """As libjxl does: in eights where both sides are small ones, and by a ratio where there is one."""
    width, height = size
    ratio = next((name for name, (across, down) in _RATIOS.items() if height * across // down == width), 0)
    small = height % 8 == 0 and height <= 256 and (ratio or (width % 8 == 0 and width <= 256))
    bits.put(bool(small))
    for number, side in enumerate((height, width)):
        if number and ratio:
            break
        if small:
            bits.put(side // 8 - 1, 5)
        else:
            bits.u32(side, _SIZE)
        if not number:
            bits.put(ratio, 3)


def frames(data, plain):
    """The frames of a codestream that begins with the header ``plain``."""
    assert data.startswith(plain), (data[: len(plain)].hex(), plain.hex())
    return data[len(plain) :]


def lossless(image, **stated):
    """A lossless picture whose header states what ``header`` takes."""
    data = pictures.jxl(image, distance=0, usecontainer=False)
    extra = (0,) if "A" in image.mode else ()
    grey = image.mode[0] == "L"
    plain = header(image.size, extra=extra, grey=grey)
    return header(image.size, extra=extra, grey=grey, **stated) + frames(data, plain)


def boxed(codestream, *, parts=1):
    """A codestream in boxes, in one or several parts."""
    data = b"\0\0\0\x0cJXL \r\n\x87\n" + _box(b"ftyp", b"jxl \0\0\0\0jxl ")
    if parts == 1:
        return data + _box(b"jxlc", codestream)
    size = -(-len(codestream) // parts)
    for number in range(parts):
        last = (number == parts - 1) << 31
        part = codestream[number * size : (number + 1) * size]
        data += _box(b"jxlp", (number | last).to_bytes(4, "big") + part)
    return data


def _box(kind, payload):
    return (len(payload) + 8).to_bytes(4, "big") + kind + payload


def seeds(picture, alpha):
    """(name, bytes) of every kind, for the fuzzer."""
    wide = np.asarray(picture).astype(np.uint16) * 257
    yield "jxl", pictures.jxl(picture, distance=2.0)
    yield "jxl in parts", boxed(pictures.jxl(picture, distance=2.0, usecontainer=False), parts=3)
    yield "jxl alpha", pictures.jxl(alpha, distance=2.0, effort=5)
    yield "jxl lossless", pictures.jxl(picture, distance=0, effort=5)
    yield "jxl lossless, 16 bits", pictures.jxl(wide, distance=0)
    yield "jxl grey", pictures.jxl(picture.convert("L"), distance=2.0)
    yield "jxl turned, PQ", lossless(picture, orientation=6, colours=(1, 9, 16))
