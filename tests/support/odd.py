"""Pictures that are odd and honest: what browsers show although it is not as the standards have it."""

import struct
import zlib
from io import BytesIO

import numpy as np
from PIL import Image

from nightlight.imaging.decoded_frame import make_frame
from nightlight.imaging.decoders import open_upload
from nightlight.imaging.formats import Format
from nightlight.imaging.probe import UploadCaps, probe
from tests.support import pictures
from tests.support.hostile import chunk, segment

CAPS = UploadCaps(formats=frozenset(Format))
END = b"\xff\xd9"
# The colours that each colour type of a PNG has a sample of.
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def frame(data, *, edge=2048, notes=None):
    """The frame of a picture as an array, uint8 (h, w, 3)."""
    return np.asarray(make_frame(BytesIO(data), probe(data, CAPS, edge=edge), edge=edge, notes=notes)).astype(int)


def notes_of(data):
    """The notes of a picture: their words and numbers."""
    notes = []
    frame(data, notes=notes)
    return [(note.kind.value, note.first, note.second) for note in notes]


def opened(data):
    """The first frame, opened."""
    return open_upload(BytesIO(data), probe(data, CAPS))


def behind(data, marker, extra):
    """A JPEG with bytes behind the first segment of a marker."""
    at = data.index(bytes((0xFF, marker)))
    end = at + 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
    return data[:end] + extra + data[end:]


def orientation_exif(value, *, order=">", kind=3, count=1, offset=8, entries=1):
    """EXIF (TIFF) with one entry: the orientation."""
    head = (b"MM" if order == ">" else b"II") + struct.pack(order + "HI", 42, offset)
    entry = struct.pack(order + "HHIHH", 0x0112, kind, count, value, 0)
    return head + struct.pack(order + "H", entries) + entry + bytes(4)


def jpeg_with_exif(tiff, **options):
    return pictures.jpeg(64, 48)[:2] + segment(0xE1, b"Exif\0\0" + tiff) + pictures.jpeg(64, 48, **options)[2:]


def scans(data):
    """Where each scan of a JPEG begins."""
    return [at for at in range(len(data) - 1) if data[at : at + 2] == b"\xff\xda"]


def png_chunks(data):
    """The chunks of a PNG: their types and data."""
    at, chunks = 8, []
    while at < len(data):
        size = struct.unpack(">I", data[at : at + 4])[0]
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    return chunks


def png_of(chunks):
    """A PNG of chunks: (type, data), or bytes as they are."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(part if isinstance(part, bytes) else chunk(*part) for part in chunks)


def png_with(*extra, data=None, before=b"IDAT"):
    """A PNG with chunks put before the first of a type."""
    chunks = png_chunks(data or pictures.encoded(pictures.gradient(64, 48), "PNG"))
    at = next(index for index, (kind, _) in enumerate(chunks) if kind == before)
    return png_of([*chunks[:at], *extra, *chunks[at:]])


def bad(kind, data):
    """A chunk whose checksum is wrong."""
    good = chunk(kind, data)
    return good[:-1] + bytes((good[-1] ^ 1,))


def samples(width, height, colour_type, depth, seed=0):
    """Samples of a picture, (h, w, channels), with some of every value."""
    rng = np.random.default_rng(seed)
    values = np.add.outer(np.arange(height), np.arange(width))[..., None] * 3
    return (values + rng.integers(0, 1 << depth, (height, width, CHANNELS[colour_type])) // 4) % (1 << depth)


def raw_png(values, colour_type, depth, *extra):
    """A PNG of samples (h, w, channels): without a filter, in one piece."""
    height, width, _ = values.shape
    if depth < 8:
        bits = (values[:, :, :, None] >> np.arange(depth - 1, -1, -1)) & 1
        rows = np.packbits(bits.reshape(height, -1).astype(np.uint8), axis=1)
    else:
        rows = values.astype(">u2" if depth == 16 else np.uint8).reshape(height, -1).view(np.uint8)
    body = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    return png_of([(b"IHDR", header), *extra, (b"IDAT", zlib.compress(body)), (b"IEND", b"")])


def gif_parts(data):
    """A GIF's colour table, and the data of its first frame, from its code size to the end."""
    table = data[13 : 13 + 3 * (2 << (data[10] & 7))]
    at = data.index(b",", 13 + len(table))
    return table, data[at + 10 :]


def gif(screen, place, *, before=b"", flags=None, table=None, source=None):
    """A GIF of one frame: its screen, and the left, top, width and height of the frame."""
    data = source or pictures.encoded(pictures.gradient(place[2], place[3]).quantize(16), "GIF")
    colours, body = gif_parts(data)
    head = b"GIF89a" + struct.pack("<HH", *screen) + bytes((data[10] if flags is None else flags, 0, 0))
    return head + (colours if table is None else table) + before + b"," + struct.pack("<HHHH", *place) + b"\0" + body


def flat(width, height, colour):
    return Image.new("RGB", (width, height), colour)
