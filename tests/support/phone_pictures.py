"""HEIC and AVIF of kinds that Pillow does not write: grids of tiles, 10 and 12 bits, grey, 4:2:2, premultiplied alpha.

The libraries inside the packages write them; nothing is kept in files.
"""

import ctypes
import struct
import tempfile
from pathlib import Path

import _pillow_heif
import numpy as np
from PIL import Image

from nightlight.imaging.decoders import heif_functions as bindings
from nightlight.imaging.decoders import plane_rows as planes
from nightlight.imaging.decoders.native import linked_library

_LEAST_HEIC_SIDE = 64
_DEPTHS, _MATRIX = {8, 10, 12}, {"bt709": 1, "bt601": 6, "bt2020": 9, "identity": 0}


class _Data(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), ("size", ctypes.c_size_t))


def avif(image, *, depth=8, format_=planes.YUV420, matrix="bt601", full_range=True, premultiplied=False, cicp=(1, 13)):
    """An AVIF of an RGB, RGBA or L picture, nearly without loss."""
    library = planes.libavif()
    assert library
    assert depth in _DEPTHS
    library.avifImageCreate.restype = ctypes.POINTER(planes.Planes)
    library.avifImageCreate.argtypes = (ctypes.c_uint32,) * 3 + (ctypes.c_int,)
    library.avifImageRGBToYUV.argtypes = (ctypes.c_void_p, ctypes.POINTER(planes._Rgb))
    library.avifEncoderCreate.restype = ctypes.c_void_p
    library.avifEncoderWrite.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(_Data))
    library.avifEncoderDestroy.argtypes = (ctypes.c_void_p,)
    alpha = image.mode == "RGBA"
    picture = library.avifImageCreate(image.width, image.height, depth, format_)
    fields = picture.contents
    fields.full_range, fields.matrix = int(full_range), _MATRIX[matrix]
    fields.primaries, fields.transfer = cicp
    fields.premultiplied = int(premultiplied)
    rgb = planes._Rgb()
    library.avifRGBImageSetDefaults(ctypes.byref(rgb), picture)
    samples = np.asarray(image.convert("RGBA")).astype(np.uint16)
    samples = np.ascontiguousarray((samples * ((1 << depth) - 1) + 127) // 255)
    data = samples.astype(np.uint8) if depth == 8 else samples
    rgb.depth, rgb.format, rgb.ignore_alpha = depth, 1, int(not alpha)
    rgb.pixels, rgb.row_bytes = data.ctypes.data, image.width * 4 * data.itemsize
    assert library.avifImageRGBToYUV(picture, ctypes.byref(rgb)) == 0
    encoder, output = library.avifEncoderCreate(), _Data()
    # codec, threads, speed, keyframes, timescale (64 bits), repetitions, layers, quality, quality of alpha
    head = ctypes.cast(encoder, ctypes.POINTER(ctypes.c_int))
    head[2] = 8
    quality = 8
    head[quality] = head[quality + 1] = 95
    planes.check(library, library.avifEncoderWrite(encoder, picture, ctypes.byref(output)))
    written = ctypes.string_at(output.data, output.size)
    library.avifEncoderDestroy(encoder)
    library.avifImageDestroy(picture)
    return written


def heic_grid(image, *, tile=256, quality=75):
    """A HEIC of an RGB picture in square tiles, as phones write it; its sides are multiples of a tile's."""
    library = linked_library(_pillow_heif)
    assert bindings.libheif()
    assert not image.width % tile
    assert not image.height % tile
    pointer, out = ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)
    functions = {
        "heif_context_get_encoder_for_format": (pointer, ctypes.c_int, out),
        "heif_encoder_set_lossy_quality": (pointer, ctypes.c_int),
        "heif_encoder_set_parameter_string": (pointer, ctypes.c_char_p, ctypes.c_char_p),
        "heif_image_create": (ctypes.c_int,) * 4 + (out,),
        "heif_image_add_plane": (pointer,) + (ctypes.c_int,) * 4,
        "heif_context_encode_grid": (pointer, out, ctypes.c_uint16, ctypes.c_uint16, pointer, pointer, out),
        "heif_context_write_to_file": (pointer, ctypes.c_char_p),
        "heif_context_set_primary_image": (pointer, pointer),
    }
    for name, arguments in functions.items():
        getattr(library, name).argtypes, getattr(library, name).restype = arguments, bindings.Error
    library.heif_context_alloc.restype = pointer
    library.heif_image_get_plane.restype = pointer
    library.heif_image_get_plane.argtypes = (pointer, ctypes.c_int, ctypes.POINTER(ctypes.c_int))
    context, encoder, handle = library.heif_context_alloc(), pointer(), pointer()
    bindings.check(library.heif_context_get_encoder_for_format(context, 1, ctypes.byref(encoder)))
    bindings.check(library.heif_encoder_set_lossy_quality(encoder, quality))
    bindings.check(library.heif_encoder_set_parameter_string(encoder, b"preset", b"ultrafast"))
    tiles = []
    for top in range(0, image.height, tile):
        for left in range(0, image.width, tile):
            part, stride = pointer(), ctypes.c_int()
            bindings.check(library.heif_image_create(tile, tile, 1, 10, ctypes.byref(part)))
            bindings.check(library.heif_image_add_plane(part, 10, tile, tile, 8))
            target = library.heif_image_get_plane(part, 10, ctypes.byref(stride))
            pixels = image.crop((left, top, left + tile, top + tile)).tobytes("raw", "RGB")
            for row in range(tile):
                ctypes.memmove(target + row * stride.value, pixels[row * tile * 3 : (row + 1) * tile * 3], tile * 3)
            tiles.append(part.value)
    listed = (ctypes.c_void_p * len(tiles))(*tiles)
    rows, columns = image.height // tile, image.width // tile
    bindings.check(
        library.heif_context_encode_grid(
            context, ctypes.cast(listed, out), columns, rows, encoder, None, ctypes.byref(handle)
        )
    )
    bindings.check(library.heif_context_set_primary_image(context, handle))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "grid.heic"
        bindings.check(library.heif_context_write_to_file(context, str(path).encode()))
        return path.read_bytes()


# Surgery on boxes.


def find(data, *path):
    """Where a box begins and ends: the first of each kind within the one before."""
    begin, end = 0, len(data)
    for kind in path:
        at = begin
        while True:
            size = struct.unpack(">I", data[at : at + 4])[0]
            assert at < end, kind
            if data[at + 4 : at + 8] == kind:
                break
            at += size
        outer, begin, end = at, at + (12 if kind == b"meta" else 8), at + size
    return outer, end


def with_ispe(data, width, height, *, number=0):
    """The file with another size stated in its ``ispe`` of this number."""
    at = -1
    for _ in range(number + 1):
        at = data.index(b"ispe", at + 1)
    return data[: at + 8] + struct.pack(">II", width, height) + data[at + 16 :]


def with_property(data, kind, payload):
    """The file with a property more, which the item that comes first in ``ipma`` (the primary one here) has."""
    box = struct.pack(">I", 8 + len(payload)) + kind + payload
    ipco, ipco_end = find(data, b"meta", b"iprp", b"ipco")
    ipma, _ = find(data, b"meta", b"iprp", b"ipma")
    assert not data[ipma + 11] & 1
    count, at = 0, ipco + 8
    while at < ipco_end:
        count, at = count + 1, at + struct.unpack(">I", data[at : at + 4])[0]
    entry = ipma + 16 + (4 if data[ipma + 8] else 2)
    held = data[entry]
    parts = bytearray(data)
    parts[entry] = held + 1
    parts[entry + 1 + held : entry + 1 + held] = bytes((0x80 | (count + 1),))
    parts[ipco_end:ipco_end] = box
    added = len(box) + 1
    for path, more in (
        ((b"meta",), added),
        ((b"meta", b"iprp"), added),
        ((b"meta", b"iprp", b"ipco"), len(box)),
    ):
        start, _ = find(data, *path)
        size = struct.unpack(">I", data[start : start + 4])[0]
        parts[start : start + 4] = struct.pack(">I", size + more)
    shifted = ipma + len(box)
    size = struct.unpack(">I", data[ipma : ipma + 4])[0]
    parts[shifted : shifted + 4] = struct.pack(">I", size + 1)
    return _moved(bytes(parts), data, added)


def _moved(parts, data, added):
    """The file with its items' places moved on: those that lie behind ``meta``, with offsets of 32 bits."""
    iloc, end = find(parts, b"meta", b"iloc")
    _, meta_end = find(data, b"meta")
    version, sizes = parts[iloc + 8], struct.unpack(">H", parts[iloc + 12 : iloc + 14])[0]
    offset, length, base = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index = sizes & 15 if version else 0
    wide = 4 if version == 2 else 2
    changed, at = bytearray(parts), iloc + 14 + wide
    count = int.from_bytes(parts[iloc + 14 : at], "big")
    for _ in range(count):
        at += wide
        method = 0
        if version:
            method = parts[at + 1] & 15
            at += 2
        at += 2
        own = int.from_bytes(parts[at : at + base], "big")
        if base and not method and own >= meta_end:
            changed[at : at + base] = (own + added).to_bytes(base, "big")
        at += base
        extents = int.from_bytes(parts[at : at + 2], "big")
        at += 2
        for _ in range(extents):
            at += index
            place = int.from_bytes(parts[at : at + offset], "big")
            if offset and not method and place >= meta_end:
                changed[at : at + offset] = (place + added).to_bytes(offset, "big")
            at += offset + length
    assert at <= end
    return bytes(changed)


def clap(width, height, across=0, down=0):
    """The payload of a clean aperture: whole sizes, and offsets of its centre in halves of a pixel."""
    return struct.pack(">IIIIiIiI", width, 1, height, 1, across, 2, down, 2)


def gradient_with_alpha(width, height):
    """An RGBA picture: a gradient that a circle of alpha fades."""
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([x * 255 // width, y * 255 // height, (x + y) * 127 // (width + height)], -1).astype(np.uint8)
    image = Image.fromarray(pixels)
    image.putalpha(Image.radial_gradient("L").resize((width, height)))
    return image
