"""PNGs whose chunks say how their colours are coded."""

import struct
import zlib

SRGB = (31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000)
P3 = (31_270, 32_900, 68_000, 32_000, 26_500, 69_000, 15_000, 6_000)


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(pixels, *chunks):
    """A PNG of RGB pixels, uint8 or uint16 (h, w, 3), with ``chunks``, each a name and its data, before them."""
    height, width, _ = pixels.shape
    deep = pixels.dtype.itemsize == 2
    rows = b"".join(b"\0" + (row.astype(">u2") if deep else row).tobytes() for row in pixels)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16 if deep else 8, 2, 0, 0, 0))
    middle = b"".join(chunk(*part) for part in chunks)
    return b"\x89PNG\r\n\x1a\n" + head + middle + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def cicp(primaries, transfer, matrix=0, full=1):
    return b"cICP", bytes([primaries, transfer, matrix, full])


def gamma(value):
    return b"gAMA", struct.pack(">I", value)


def chromaticities(values):
    return b"cHRM", struct.pack(">8I", *values)
