"""The formats of uploads: everything that differs from one format to the next, one entry each.

To add a format, write its header reader, add a name to ``Format`` and an entry to ``FORMATS``, and add a sample to
``tests/unit/imaging/test_formats.py``, which refuses an incomplete entry. Nothing else names formats: ``probe`` takes
magic bytes, readers and estimates from here, ``decoders`` Pillow's names, ``sandbox`` what a decoder may do, and
``decoder_process`` what it warms up with.

Nothing here loads Pillow: the service reads headers too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from nightlight.imaging.decode_cost import TimeEstimate, coded_s, gif_s, jpeg_s, jxl_s, per_pixel_and_byte, png_s
from nightlight.imaging.decode_memory import (
    MemoryEstimate,
    gif_bytes,
    jpeg_bytes,
    jxl_bytes,
    planes_bytes,
    png_bytes,
    webp_bytes,
)
from nightlight.imaging.gif_header import read_gif_header
from nightlight.imaging.isobmff_header import read_isobmff_header
from nightlight.imaging.jpeg_header import read_jpeg_header
from nightlight.imaging.jxl_header import CODESTREAM, CONTAINER, read_jxl_header
from nightlight.imaging.png_header import read_png_header
from nightlight.imaging.webp_header import read_webp_header

if TYPE_CHECKING:
    from nightlight.imaging.header import Header
    from nightlight.imaging.header_limits import HeaderTally

# The first bytes of a file that tell its format.
MAGIC_BYTES = 256

# The first MAGIC_BYTES of a file, to whether they are of the format.
Magic = Callable[[bytes], bool]
# The file, the count of what it holds, and the format's name, to its header. Raises as ``header`` says.
HeaderReader = Callable[[memoryview, "HeaderTally", "Format"], "Header"]


class Format(StrEnum):
    """The names of the formats."""

    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"
    AVIF = "avif"
    GIF = "gif"
    HEIC = "heic"
    JXL = "jxl"

    @property
    def written(self) -> str:
        """Return the name as people write it."""
        return {"webp": "WebP", "jxl": "JPEG XL"}.get(self.value, self.value.upper())


@dataclass(frozen=True, slots=True)
class WarmUp:
    """A small picture that a decoder is tried on before its sandbox closes: its Pillow mode, and its metadata.

    ``metadata`` names options of Pillow's encoder: ``icc_profile``, ``exif`` or ``xmp``.
    """

    mode: str
    metadata: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UploadFormat:
    """One format of uploads.

    ``is_magic``: recognises its first bytes. ``read_header``: reads its header. ``pillow``: Pillow's names of the
    decoders that may read it, tried in order; nothing else ever is; none where only a decoder of ours does. ``memory``
    and ``time``: what decoding takes. ``warm_up``: pictures that load everything the decoder loads lazily, or whole
    files where Pillow cannot write the format.

    ``max_pixels`` and ``max_side``: the most that the settings may allow of this format.

    ``sample_bits``: the only bits a sample that the decoder takes; None for whatever the header states. ``scales``: the
    decoder can make the picture smaller while it decodes, so its pixels are read late. ``exact_size``: the header
    states the size of the picture; if not, the size of the coded blocks that hold it, before it is turned upright.
    ``threads``: the decoder starts a thread whatever it is asked. ``extra``: the optional dependency that has the
    decoder, and the name of the upload setting that turns the format on; empty for what is always on. ``register``:
    makes that decoder known to Pillow, and says whether it is installed.
    """

    is_magic: Magic
    read_header: HeaderReader
    pillow: tuple[str, ...]
    memory: MemoryEstimate
    time: TimeEstimate
    warm_up: tuple[WarmUp | bytes, ...]
    max_pixels: int = 65_000_000
    max_side: int = 16_384
    sample_bits: int | None = None
    scales: bool = False
    exact_size: bool = True
    threads: bool = False
    extra: str = ""
    register: Callable[[], bool] | None = None


def _starts_with(*prefixes: bytes) -> Magic:
    return lambda head: head.startswith(prefixes)


def _is_webp(head: bytes) -> bool:
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"


def _has_brand(*wanted: bytes, unless: tuple[bytes, ...] = ()) -> Magic:
    """Return the magic of an ISO base media file with one of the wanted brands and none of the others.

    Source: ISO/IEC 14496-12, 4.3.
    """

    def is_magic(head: bytes) -> bool:
        size = int.from_bytes(head[:4], "big")
        brands = {head[8:12]} | {head[at : at + 4] for at in range(16, min(size, len(head)), 4)}
        return head[4:8] == b"ftyp" and not brands.isdisjoint(wanted) and brands.isdisjoint(unless)

    return is_magic


def _register_heif() -> bool:
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.options.DECODE_THREADS = 1
    pillow_heif.register_heif_opener(thumbnails=False)
    return True


def _register_jxl() -> bool:
    try:
        import imagecodecs._jpegxl  # noqa: F401 - loaded here, and called in decoders.jxl
    except ImportError:
        return False
    return True


# Two pictures of 8 x 8 pixels, of one colour: lossy, and lossless with alpha.
_SMALL_JXL = (
    bytes.fromhex(
        "ff0a41060013080100d400671328010050a132cab8c1cbb99e2f3f74584cdbb8ced056db1696248a8c639374028724b1086c5c800c600680"
        "994bda7580584902"
    ),
    bytes.fromhex("ff0a41c04a081010007c004b12c582055260c1c5184cb87831c67831c63b00c4a3ef03c2b69d50c30a01"),
)
# A phone's 200 megapixels are 16,320 x 12,240 or 16,384 x 12,288; 64 megapixels are 9,248 x 6,936. The longest side of
# a JPEG that libjpeg reads is 65,500.
JPEG_PIXELS, JPEG_SIDE = 202_000_000, 65_500
_AVIF_BRANDS = (b"avif", b"avis")
# Brands of still pictures and sequences whose coding is HEVC, or is told by the items alone (``mif1``, ``msf1``).
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")

FORMATS: dict[Format, UploadFormat] = {
    Format.JPEG: UploadFormat(
        is_magic=_starts_with(b"\xff\xd8\xff"),
        read_header=read_jpeg_header,
        pillow=("JPEG",),  # reads the first picture of a multi-picture file
        memory=jpeg_bytes,
        time=jpeg_s,
        warm_up=(WarmUp("RGB", ("icc_profile",)), WarmUp("CMYK", ("exif",))),
        max_pixels=JPEG_PIXELS,
        max_side=JPEG_SIDE,
        sample_bits=8,  # T.81's extended process has 12 as well
        scales=True,
    ),
    Format.PNG: UploadFormat(
        is_magic=_starts_with(b"\x89PNG\r\n\x1a\n"),
        read_header=read_png_header,
        pillow=("PNG",),
        memory=png_bytes,
        time=png_s,
        warm_up=(WarmUp("P", ("exif",)), WarmUp("I;16")),
        scales=True,
    ),
    Format.WEBP: UploadFormat(
        is_magic=_is_webp,
        read_header=read_webp_header,
        pillow=("WEBP",),
        memory=webp_bytes,
        time=per_pixel_and_byte(25e-9, 30e-9),
        warm_up=(WarmUp("RGBA", ("xmp",)), WarmUp("RGB", ("exif", "icc_profile"))),
        scales=True,
    ),
    Format.GIF: UploadFormat(
        is_magic=_starts_with(b"GIF87a", b"GIF89a"),
        read_header=read_gif_header,
        pillow=("GIF",),
        memory=gif_bytes,
        time=gif_s,
        warm_up=(WarmUp("RGB"),),
        scales=True,
    ),
    Format.AVIF: UploadFormat(
        is_magic=_has_brand(*_AVIF_BRANDS),
        read_header=read_isobmff_header,
        pillow=("AVIF",),
        memory=planes_bytes(1.3, 10_000_000),
        time=coded_s(35e-9, 75e-9),
        warm_up=(WarmUp("RGB"), WarmUp("RGBA"), WarmUp("L")),
        scales=True,
    ),
    Format.HEIC: UploadFormat(
        is_magic=_has_brand(*_HEIC_BRANDS, unless=_AVIF_BRANDS),
        read_header=read_isobmff_header,
        pillow=("HEIF",),
        memory=planes_bytes(2.1, 18_000_000),
        time=coded_s(45e-9, 100e-9),
        warm_up=(WarmUp("RGB"), WarmUp("RGBA"), WarmUp("L")),
        scales=True,
        threads=True,
        extra="heic",
        register=_register_heif,
    ),
    Format.JXL: UploadFormat(
        is_magic=_starts_with(CODESTREAM, CONTAINER),
        read_header=read_jxl_header,
        pillow=(),
        memory=jxl_bytes,
        time=jxl_s,
        warm_up=_SMALL_JXL,
        scales=True,
        extra="jxl",
        register=_register_jxl,
    ),
}

# The formats that every installation accepts.
USUAL = frozenset(name for name, entry in FORMATS.items() if not entry.extra)
