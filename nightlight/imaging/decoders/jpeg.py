"""A JPEG, decoded at the smallest scale of its inverse transform that suffices.

libjpeg reads the file itself, up to the end of its last scan. Pillow's own reader of markers is not used: it refuses
files for what is in segments that no pixel needs. EXIF and the colour profile are read here.

A file without the mark that ends it is given one. libjpeg then makes the rest of a picture that was cut off grey. To
know which rows are true, the file is decoded with two different endings: rows that the missing data would have changed
differ between the two. That costs a second decode, of damaged files alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from nightlight.imaging.crop import UPRIGHT
from nightlight.imaging.decode_memory import dct_scale
from nightlight.imaging.decode_notes import DecodeNote, NoteKind
from nightlight.imaging.decoders.opened import OpenedUpload, refusing, view_of
from nightlight.imaging.decoders.partial import checked_rows, fill_rows, row_sums
from nightlight.imaging.exif import exif_orientation, jpeg_exif
from nightlight.imaging.header_limits import UNBOUNDED, HeaderTally
from nightlight.imaging.jpeg_header import APP1, APP2, Scans, header_segments, read_scans

if TYPE_CHECKING:
    from nightlight.imaging.crop import Box
    from nightlight.imaging.decoders.opened import Readable
    from nightlight.imaging.header import Header

# Pillow's mode and libjpeg's colours, by the header's. Adobe's CMYK is inverted, and browsers take all of it for that.
_MODES = {"grey": ("L", "L"), "rgb": ("RGB", "RGB"), "cmyk": ("CMYK", "CMYK;I")}
_ICC = b"ICC_PROFILE\0"
# The largest colour profile that is used: those of printers take 0.5 to 3 MB.
MAX_PROFILE_BYTES = 4 << 20
_END = b"\xff\xd9"
# What libjpeg makes of blocks without data, give or take the rounding of colours.
_GREY = range(126, 130)
# Bits that are unlike the zeros which libjpeg supplies at the end, whatever code they are read by.
_OTHER_BITS = bytes((index * 151 + 85) % 255 for index in range(64))
_RESTARTS, _MOST_FILL = 8, 1 << 16
_COEFFICIENTS = 64


class OpenedJpeg(OpenedUpload):
    """A JPEG whose segments before the first scan are read, and nothing else yet."""

    def __init__(self, data: Readable, header: Header) -> None:
        """Read the metadata of ``data``. Raises CorruptImage."""
        self._header, self.cicp = header, header.cicp
        self.notes: list[DecodeNote] = []
        self.size = (header.width, header.height)
        with refusing(header):
            self._view = view_of(data)
            self.orientation, self._profile = self._metadata()

    @property
    def icc_profile(self) -> bytes | None:
        """Return the ICC profile of the file; None without one."""
        return self._profile

    def _metadata(self) -> tuple[int, bytes | None]:
        """Return the orientation of the first EXIF segment that can hold a TIFF header, and the profile in segments."""
        orientation, parts = None, []
        for marker, at in header_segments(self._view, HeaderTally(UNBOUNDED)):
            if marker not in {APP1, APP2}:
                continue
            body = self._view[at + 2 : at + int.from_bytes(self._view[at : at + 2], "big")]
            if marker == APP1 and orientation is None and (exif := jpeg_exif(body)) is not None:
                orientation = exif_orientation(exif)
            elif marker == APP2 and bytes(body[: len(_ICC)]) == _ICC:
                parts.append(body[len(_ICC) :])
        return orientation or UPRIGHT, self._joined(parts)

    def _joined(self, parts: list[memoryview]) -> bytes | None:
        """Return the profile (ICC.1:2022, B.4); None if a part is missing or wrongly numbered, or it is too large.

        A part that comes twice before the profile is complete spoils it; what follows does not count, as in Chromium.
        """
        numbered: dict[int, memoryview] = {}
        for part in parts:
            if len(part) <= 2 or not 1 <= part[0] <= part[1] or part[0] in numbered or part[1] != parts[0][1]:  # noqa: PLR2004
                return None
            numbered[part[0]] = part[2:]
            if len(numbered) == part[1]:
                break
        if not numbered or len(numbered) != parts[0][1]:
            return None
        size = sum(len(part) for part in numbered.values())
        if size > MAX_PROFILE_BYTES:
            self.notes.append(DecodeNote(NoteKind.PROFILE_IGNORED, size, MAX_PROFILE_BYTES))
            return None
        return b"".join(numbered[number] for number in sorted(numbered))

    def _load(self, box: Box, edge: int) -> None:
        header = self._header
        scale = dct_scale(header, edge=edge, side=min(box[2] - box[0], box[3] - box[1]))
        data = self._view[: header.end or None]
        if header.closed:
            self._image = self._decoded(data, scale)
            if _ends_grey(self._image):
                self._finish(data[: -len(_END)], scale)
        else:
            self._finish(data, scale)

    def _decoded(self, data: memoryview | bytes, scale: int) -> Image.Image:
        mode, colours = _MODES[self._header.colour]
        image = Image.new(mode, (-(-self.size[0] // scale), -(-self.size[1] // scale)), None)
        image.frombytes(data, "jpeg", (colours, "", scale, 0))
        return image

    def _finish(self, data: memoryview, scale: int) -> None:
        """Decode data that may have been cut off, and fill what is missing. Raises TruncatedImage."""
        tail = bytes(data[-_MOST_FILL:])
        data = data[: len(data) - len(tail) + len(tail.rstrip(b"\xff"))]  # half of an escaped byte, or fill
        other = row_sums(self._decoded(b"".join((data, _other_ending(data), _END)), scale))
        image = self._image = self._decoded(b"".join((data, _END)), scale)
        sums = row_sums(image)
        arrived = next((row for row in range(image.height) if sums[row] != other[row]), image.height)
        if arrived == image.height:
            return
        scans = read_scans(self._view, HeaderTally(UNBOUNDED), self._header.format)
        if _has_every_row(scans):
            whole = len(scans.scans) - 1
            self.notes.append(DecodeNote(NoteKind.SCANS_MISSING, whole, _coefficients_percent(scans)))
            return
        if {part for scan in scans.scans for part in scan.components} != scans.blocks.keys():
            arrived = 0
        rows = min(self.size[1], arrived * scale)
        self.notes.append(checked_rows(self._header, rows, self.size[1]))
        fill_rows(image, arrived)


def _ends_grey(image: Image.Image) -> bool:
    """Say whether the last pixel is what libjpeg makes without data; a true picture may end so as well."""
    last = image.getpixel((image.width - 1, image.height - 1))
    return all(value in _GREY for value in (last if isinstance(last, tuple) else (last,)))


def _other_ending(data: memoryview) -> bytes:
    """Return data that no encoder writes, for the interval in which ``data`` end, and for the next."""
    last = max((bytes(data[-(1 << 20) :]).rfind(bytes((0xFF, 0xD0 + number))), number) for number in range(_RESTARTS))
    after = (last[1] + 1) % _RESTARTS if last[0] >= 0 else 0
    return b"".join((_OTHER_BITS, bytes((0xFF, 0xD0 + after)), _OTHER_BITS))


def _has_every_row(scans: Scans) -> bool:
    """Say whether each component has its first scan whole: all but the last scan are."""
    return {part for scan in scans.scans[:-1] for part in scan.components if scan.first == 0} == scans.blocks.keys()


def _coefficients_percent(scans: Scans) -> int:
    """Return the percentage of all coefficients that arrived to their last bit, weighed by blocks."""
    final = dict.fromkeys(scans.blocks, 0)
    for scan in scans.scans[:-1]:
        if scan.after == 0:
            for part in scan.components:
                final[part] += scan.last - scan.first + 1
    total = sum(scans.blocks.values()) * _COEFFICIENTS
    return sum(min(_COEFFICIENTS, count) * scans.blocks[part] for part, count in final.items()) * 100 // max(1, total)
