"""The orientation in EXIF data, read as browsers read it.

EXIF decides how a picture is turned. XMP does not, nor does EXIF that is packed into text: browsers look at neither.
Whatever cannot be read, or is out of range, leaves the picture as it is stored.

Source: CIPA DC-008 (EXIF 3.0), 4.5 and 4.6.5; TIFF 6.0, section 2.
"""

from __future__ import annotations

from nightlight.imaging.crop import UPRIGHT

# Before the TIFF structure in a JPEG, and by some encoders in a WebP or PNG.
PREFIX = b"Exif\0\0"
_TIFF_HEAD_BYTES = 8
_ORIENTATION, _SHORT = 0x0112, 3
_ENTRY_BYTES = 12


def jpeg_exif(segment: memoryview) -> memoryview | None:
    """Return the TIFF structure in a JPEG's APP1 segment; None where there is none.

    The byte that pads the name may have any value, and a segment too short for a TIFF header is as good as none.
    """
    if len(segment) < len(PREFIX) + _TIFF_HEAD_BYTES or bytes(segment[: len(PREFIX) - 1]) != PREFIX[:-1]:
        return None
    return segment[len(PREFIX) :]


def exif_orientation(data: bytes | memoryview | None) -> int:
    """Return the orientation (1 to 8) that EXIF data states in its first directory; 1 where it states none."""
    if data is None:
        return UPRIGHT
    if bytes(data[: len(PREFIX)]) == PREFIX:
        data = data[len(PREFIX) :]
    order = {b"II*\0": "little", b"MM\0*": "big"}.get(bytes(data[:4]))
    if order is None:
        return UPRIGHT

    def integer(at: int, size: int) -> int:
        piece = bytes(data[at : at + size])
        return int.from_bytes(piece, "little" if order == "little" else "big") if len(piece) == size else 0

    directory = integer(4, 4)
    for index in range(integer(directory, 2)):
        at = directory + 2 + index * _ENTRY_BYTES
        if at >= len(data):
            break
        if integer(at, 2) == _ORIENTATION:
            value = integer(at + 8, 2)
            usual = integer(at + 2, 2) == _SHORT and integer(at + 4, 4) == 1
            return value if usual and 1 <= value <= 8 else UPRIGHT  # noqa: PLR2004 - the tag's range
    return UPRIGHT
