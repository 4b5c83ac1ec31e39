"""Pictures that cost more to look at than they should: one small maker for each way that is known.

Each is well-formed enough for its decoder to work on. None holds anything but a gradient or one colour.
"""

import struct
import zlib
from functools import lru_cache

from PIL import Image

from nightlight.imaging.decoders import available_formats
from tests.support import pictures

JPEG_END = b"\xff\xd9"


def segment(marker, payload=b""):
    """A JPEG marker segment."""
    return bytes((0xFF, marker)) + struct.pack(">H", 2 + len(payload)) + payload


@lru_cache(maxsize=8)
def plain(width=2000, height=1500, format_="JPEG", **options):
    """A picture of one colour: its pixels cost little, whatever else is in it."""
    return pictures.encoded(Image.new("RGB", (width, height), (90, 120, 60)), format_, **options)


def jpeg_before(extra, data=None):
    """A JPEG with bytes put right behind its first marker."""
    data = data or pictures.jpeg(64, 48)
    return data[:2] + extra + data[2:]


def jpeg_fill(count=19_900_000):
    """Fill bytes before a marker: a reader that takes them one by one takes long."""
    return jpeg_before(b"\xff" * count)


def jpeg_junk(count=10_000_000):
    """What is no segment behind a marker that has none by some readers, and one by others."""
    return jpeg_before((b"\xff\xf0" + struct.pack(">H", 65_002) + bytes(65_000)) * (count // 65_004))


def jpeg_escaped(count=10_000_000):
    """Escaped bytes in the header: a segment of 65,535 bytes by some readers, single bytes by others."""
    return jpeg_before((b"\xff\x00\xff\xfd" + bytes(65_531)) * (count // 65_535))


def jpeg_segments(count=400_000):
    """Comments, each of one byte."""
    return jpeg_before(segment(0xFE, b"c") * count)


def jpeg_exif(count=300):
    """EXIF in many parts, which some readers join one by one."""
    return jpeg_before(segment(0xE1, b"Exif\0\0" + bytes(65_000)) * count)


def runs(blocks):
    """Table and data of a scan that says that none of its blocks changes: 15 bits for 32,767 of them."""
    table = segment(0xC4, b"\x11\x01" + bytes(15) + b"\xe0")  # one code of one bit: a run of up to 32,767
    bits = "0" + "1" * 14
    count = -(-blocks // 32_767)
    text = bits * count
    text += "1" * (-len(text) % 8)
    data = bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8))
    return table, data.replace(b"\xff", b"\xff\0")


def jpeg_scans(count=1_000, width=4_000, height=3_000, *, frame=0xC2, comment=b""):
    """Extra scans of a progressive JPEG, each of which refines every coefficient of the luma by nothing.

    ``frame`` 0xCA has them coded arithmetically; ``comment`` is put before each.
    """
    picture = bytearray(plain(width, height, "JPEG", progressive=True, quality=75))
    picture[picture.index(b"\xff\xc2") + 1] = frame
    table, data = runs(-(-width // 8) * -(-height // 8))
    scan = comment + segment(0xDA, b"\x01\x01\x01\x01\x3f\x10") + data
    return bytes(picture.removesuffix(JPEG_END)) + table + scan * count + JPEG_END


def jpeg_sequential_scans(count=1_000, width=4_000, height=3_000):
    """A baseline JPEG whose components come in scans of their own, again and again."""
    picture = plain(width, height, "JPEG", quality=75)
    at = picture.index(b"\xff\xda")
    scans = b"".join(segment(0xDA, bytes((1, component, 0, 0, 63, 0))) + bytes(100) for component in (1, 2, 3))
    return picture[:at] + scans * (count // 3) + JPEG_END


def jpeg_scans_between_comments(count=1_000, width=4_000, height=3_000):
    """Extra scans with comments that hold markers, and fill bytes, between them."""
    return jpeg_scans(count, width, height, comment=segment(0xFE, b"\xff\xd9") + b"\xff\xff\xff")


def chunk(kind, data=b""):
    """A PNG chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_header(width, height):
    """A PNG's signature and header, and nothing behind them."""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


def png_parts(data=None):
    """A PNG's beginning up to its pixels, the pixels' chunks, and the rest."""
    data = data or pictures.encoded(pictures.gradient(64, 48), "PNG")
    at, end = data.index(b"IDAT") - 4, data.index(b"IEND") - 4
    return data[:at], data[at:end], data[end:]


def png_chunks(count=1_000_000, *, kind=b"prVt", payload=b"", behind=False):
    """Chunks that nobody knows, before the pixels or behind them."""
    head, pixels, end = png_parts()
    extra = chunk(kind, payload) * count
    return head + pixels + extra + end if behind else head + extra + pixels + end


def png_empty_pixels(count=1_600_000):
    """Empty IDAT chunks before the pixels' own."""
    return png_chunks(count, kind=b"IDAT")


def png_bombs(count=5_000, *, kind=b"iCCP", size=1_000_000):
    """Compressed chunks that are large when they are not."""
    head, pixels, end = png_parts()
    packed = zlib.compress(bytes(size), 9)
    payload = {b"iCCP": b"n\0\0" + packed, b"zTXt": b"n\0\0" + packed, b"iTXt": b"n\0\1\0\0\0" + packed}[kind]
    return head + chunk(kind, payload) * count + pixels + end


def png_frames(count=200_000):
    """An animation of many small frames."""
    head, pixels, end = png_parts()
    control = chunk(b"acTL", struct.pack(">II", count, 0))
    frame = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 64, 48, 0, 0, 1, 10, 0, 0))
    return head + control + frame + pixels + (frame + chunk(b"fdAT", bytes(8))) * count + end


def gif_extension(count=19_000_000, *, label=0x01, piece=1):
    """An extension before the picture, in pieces of ``piece`` bytes: ``count`` bytes in all."""
    data = pictures.encoded(pictures.gradient(64, 48).quantize(16), "GIF")
    at = 13 + 3 * (2 << (data[10] & 7))
    pieces = (bytes((piece,)) + b"a" * piece) * (count // (piece + 1))
    return data[:at] + bytes((0x21, label)) + pieces + b"\0" + data[at:]


def gif_extensions(count=4_000_000, *, label=0xFE):
    """Extensions with nothing in them before the picture."""
    data = pictures.encoded(pictures.gradient(64, 48).quantize(16), "GIF")
    at = 13 + 3 * (2 << (data[10] & 7))
    return data[:at] + bytes((0x21, label, 1, 65, 0)) * count + data[at:]


def gif_clears(count=19_000_000, width=3_000, height=3_000):
    """A picture whose data says again and again that its table begins anew."""
    head = b"GIF89a" + struct.pack("<HH", width, height) + b"\x80\0\0" + bytes(6)
    head += b"," + struct.pack("<HHHH", 0, 0, width, height) + b"\0"
    block = b"\xff" + b"\x24\x49\x92" * 85
    return head + b"\x02" + block * (count // 256) + b"\0;"


def riff(kind, data):
    """A chunk of WebP."""
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) & 1)


def webp_chunks(count=2_000_000, *, kind=b"XXXX"):
    """Chunks that nobody knows behind an extended WebP's head."""
    simple = pictures.encoded(pictures.gradient(64, 48), "WEBP")[12:]
    body = riff(b"VP8X", struct.pack("<I", 0) + struct.pack("<I", 63)[:3] + struct.pack("<I", 47)[:3])
    body += riff(kind, b"") * count + simple
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def webp_frames(count=200_000):
    """An animation of many small frames."""
    simple = pictures.encoded(Image.new("RGB", (16, 16)), "WEBP", quality=1)[12:]
    size = struct.pack("<I", 15)[:3]
    frame = riff(b"ANMF", bytes(6) + size * 2 + struct.pack("<I", 10)[:3] + b"\0" + simple)
    body = riff(b"VP8X", struct.pack("<I", 2) + size * 2) + riff(b"ANIM", bytes(6))
    body += frame * min(count, 19_500_000 // len(frame))
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


@lru_cache(maxsize=2)
def isobmff(format_):
    """A small AVIF or HEIC."""
    available_formats()  # registers what writes HEIC
    return pictures.encoded(pictures.gradient(64, 48), format_)


def box(kind, *parts):
    """A box of the ISO base media file format."""
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + kind + body


def isobmff_boxes(count=2_000_000, *, format_="AVIF", where="top"):
    """Free boxes: at the top, within meta, or among its properties."""
    data = isobmff(format_)
    free = box(b"free") * count
    at = struct.unpack(">I", data[:4])[0]
    size = struct.unpack(">I", data[at : at + 4])[0]
    meta = data[at : at + size]
    if where == "top":
        return data[:at] + free + data[at:]
    if where == "meta":
        return data[:at] + box(b"meta", meta[8:], free) + data[at + size :]
    iprp = meta.index(b"ipco") - 12
    ipco = iprp + 8
    iprp_size, ipco_size = struct.unpack(">I", meta[iprp : iprp + 4])[0], struct.unpack(">I", meta[ipco : ipco + 4])[0]
    properties = box(b"ipco", meta[ipco + 8 : ipco + ipco_size], free)
    inner = box(b"iprp", properties, meta[ipco + ipco_size : iprp + iprp_size])
    return data[:at] + box(b"meta", meta[8:iprp], inner, meta[iprp + iprp_size :]) + data[at + size :]


def isobmff_items(count=200_000, *, format_="AVIF", listed="iinf"):
    """Items that nothing refers to: named in ``iinf``, located in ``iloc``, or given properties in ``ipma``."""
    data = isobmff(format_)
    at = struct.unpack(">I", data[:4])[0]
    size = struct.unpack(">I", data[at : at + 4])[0]
    meta = data[at : at + size]
    if listed == "iinf":
        start = meta.index(b"iinf") - 4
        end = start + struct.unpack(">I", meta[start : start + 4])[0]
        kept, entries = struct.unpack(">H", meta[start + 12 : start + 14])[0], meta[start + 14 : end]
        infe = b"".join(
            box(b"infe", b"\x03\0\0\0", struct.pack(">I", 1000 + number), b"\0\0", b"av01", b"\0")
            for number in range(count - kept)
        )
        extra, name = box(b"iinf", b"\x01\0\0\0", struct.pack(">I", count), entries, infe), b"iinf"
    elif listed == "iloc":
        entries = b"".join(struct.pack(">IHHH", 1000 + number, 0, 0, 0) for number in range(count))
        extra, name = box(b"iloc", b"\x02\0\0\0\x44\0", struct.pack(">I", count), entries), b"iloc"
    else:
        entries = b"".join(struct.pack(">IBB", 1000 + number, 1, 1) for number in range(count))
        extra, name = box(b"ipma", b"\x01\0\0\0", struct.pack(">I", count), entries), b"ipma"
    position = meta.index(name) - 4
    old = struct.unpack(">I", meta[position : position + 4])[0]
    if name != b"ipma":
        return data[:at] + box(b"meta", meta[8:position], extra, meta[position + old :]) + data[at + size :]
    iprp = meta.index(b"iprp") - 4
    iprp_size = struct.unpack(">I", meta[iprp : iprp + 4])[0]
    inner = box(b"iprp", meta[iprp + 8 : position], extra, meta[position + old : iprp + iprp_size])
    return data[:at] + box(b"meta", meta[8:iprp], inner, meta[iprp + iprp_size :]) + data[at + size :]


# Every kind, by name. Sizes are chosen so that each is as bad as 20 MB allow, a third of what an upload may have.
KINDS = {
    "jpeg: fill bytes": jpeg_fill,
    "jpeg: junk behind a marker without a length": jpeg_junk,
    "jpeg: escaped bytes in the header": jpeg_escaped,
    "jpeg: small segments": jpeg_segments,
    "jpeg: exif in parts": jpeg_exif,
    "jpeg: progressive scans": jpeg_scans,
    "jpeg: progressive scans, small picture": lambda: jpeg_scans(50_000, 640, 480),
    "jpeg: arithmetic scans": lambda: jpeg_scans(100, frame=0xCA),
    "jpeg: sequential scans": jpeg_sequential_scans,
    "jpeg: scans behind fill and comments": jpeg_scans_between_comments,
    "png: unknown chunks": png_chunks,
    "png: chunks behind the pixels": lambda: png_chunks(behind=True),
    "png: text chunks": lambda: png_chunks(kind=b"tEXt", payload=b"a\0b"),
    "png: empty pixel chunks": png_empty_pixels,
    "png: iCCP bombs": png_bombs,
    "png: zTXt bombs": lambda: png_bombs(kind=b"zTXt"),
    "png: iTXt bombs": lambda: png_bombs(kind=b"iTXt"),
    "png: frames": png_frames,
    "gif: an extension in small pieces": gif_extension,
    "gif: a comment in small pieces": lambda: gif_extension(label=0xFE),
    "gif: small comments": gif_extensions,
    "gif: clears": gif_clears,
    "webp: unknown chunks": webp_chunks,
    "webp: frames": webp_frames,
    "avif: boxes at the top": isobmff_boxes,
    "avif: boxes in meta": lambda: isobmff_boxes(where="meta"),
    "avif: properties": lambda: isobmff_boxes(where="properties"),
    "avif: items": isobmff_items,
    "avif: locations": lambda: isobmff_items(listed="iloc"),
    "avif: associations": lambda: isobmff_items(listed="ipma"),
    "heic: boxes in meta": lambda: isobmff_boxes(where="meta", format_="HEIF"),
    "heic: items": lambda: isobmff_items(format_="HEIF"),
    "heic: locations": lambda: isobmff_items(listed="iloc", format_="HEIF"),
    "heic: associations": lambda: isobmff_items(listed="ipma", format_="HEIF"),
}
