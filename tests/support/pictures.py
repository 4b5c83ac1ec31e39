"""Pictures for tests: generated, or real photographs that come inside scikit-image."""

import struct
import zlib
from functools import lru_cache
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from nightlight.imaging.decoders import available_formats
from nightlight.imaging.formats import FORMATS, Format
from nightlight.imaging.invisible_watermark import decode_rendition
from nightlight.matching.pdq import CANONICAL, pdq


def gradient(width, height, *, seed=0):
    """A smooth RGB picture in which every place has its own colour, with some texture."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    noise = np.random.default_rng(seed).normal(0, 4, (height, width))
    red = 40 + 170 * x / max(1, width - 1)
    green = 40 + 170 * y / max(1, height - 1)
    blue = 128 + 60 * np.sin(x / 17 + seed) * np.cos(y / 23)
    stacked = np.stack([red, green, blue], axis=-1) + noise[..., None]
    return Image.fromarray(np.clip(stacked, 0, 255).astype(np.uint8))


# Adam7 (PNG 3rd edition, 8.2): the first column and row of each pass, and the steps between its pixels.
_ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def png(image, *, bits=8, interlaced=False):
    """A PNG of an RGB picture in ways that Pillow reads and does not write: interlaced, or 16 bits a sample."""
    pixels = np.asarray(image.convert("RGB"))
    pixels = (pixels.astype(np.uint16) * 257).astype(">u2") if bits == 16 else pixels
    rows = []
    for left, top, across, down in _ADAM7 if interlaced else [(0, 0, 1, 1)]:
        part = pixels[top::down, left::across]
        rows += [b"\0" + row.tobytes() for row in part if row.size]
    header = struct.pack(">IIBBBBB", image.width, image.height, bits, 2, 0, 0, interlaced)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows), 1)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def encoded(image, format_="JPEG", **options):
    buffer = BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


@lru_cache(maxsize=64)
def jpeg(width=640, height=480, *, seed=0, **options):
    return encoded(gradient(width, height, seed=seed), "JPEG", quality=90, **options)


def heic(width=64, height=48, *, image=None):
    """A HEIC file; the decoder is registered by asking which there are."""
    assert Format.HEIC in available_formats()
    return encoded(image or gradient(width, height), "HEIF", quality=95, chroma=444)


def jxl(image, *, distance=0.5, effort=3, **options):
    """A JPEG XL, as libjxl writes it; a distance of 0 is lossless."""
    import imagecodecs

    lossless = not distance
    how = {"lossless": True} if lossless else {"distance": distance, "lossless": False}
    return imagecodecs.jpegxl_encode(np.asarray(image), effort=effort, **how, **options)


def of_every_format(width, height):
    """A file of each upload format by its name, as Pillow or libjxl writes it."""
    assert available_formats() == set(Format)
    image = gradient(width, height)
    files = {name: encoded(image, entry.pillow[0]) for name, entry in FORMATS.items() if entry.pillow}
    return files | {Format.JXL: jxl(image)}


def photograph(name="astronaut.png"):
    return (Path(find_spec("skimage").origin).parent / "data" / name).read_bytes()


def opened(data):
    return Image.open(BytesIO(data), formats=["WEBP", "JPEG", "PNG"])


def own_hash(data):
    """The perceptual hash of a rendition's bytes, and its quality: of their own luma plane, as its render took it."""
    size = (CANONICAL, CANONICAL)
    luma = decode_rendition(data, opened(data).size).resize(size, Image.Resampling.BICUBIC, reducing_gap=2)
    hashed = pdq(np.asarray(luma))
    return hashed.hashes[0], hashed.quality


def psnr(left, right):
    """Peak signal-to-noise ratio in dB of two pictures of the same size."""
    a = np.asarray(left.convert("RGB"), dtype=np.float64)
    b = np.asarray(right.convert("RGB"), dtype=np.float64)
    error = np.mean((a - b) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


@lru_cache(maxsize=16)
def portrait(side):
    """The head of scikit-image's astronaut, uint8 (side, side, 3), read only."""
    from skimage import data

    pixels = np.asarray(Image.fromarray(data.astronaut()).crop((100, 0, 360, 260)).resize((side, side)))
    pixels.flags.writeable = False
    return pixels
