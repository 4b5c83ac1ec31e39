"""An AVIF whose boxes libavif refuses and browsers do not: a copy in which it passes over them.

libavif 1.4 refuses a file for two things that no pixel depends on. Encoders of 2019 wrote an ``ipma`` box for every
item, where the standard has one for each pair of version and flags. Some writers leave a group of items (``grpl``)
whose boxes do not fit each other.

Sources: ISO/IEC 14496-12:2022, 8.11.14.1 (ipma) and 8.18.2 (grpl); libavif's ``src/read.c``.
"""

from __future__ import annotations

from nightlight.imaging.header_limits import UNBOUNDED, HeaderTally
from nightlight.imaging.isobmff_boxes import walk

# A larger file is not copied: the sandbox's memory has no room for it.
_MOST_BYTES = 16_000_000
# Bit 0 of the flags says how wide indices are; the others have no meaning.
_FLAGS, _MEANT = 3, 1


def amended_boxes(view: memoryview) -> bytearray | None:
    """Return a copy of a file with boxes that libavif takes; None where there is nothing to change."""
    if len(view) > _MOST_BYTES:
        return None
    copy, associations = bytearray(view), 0
    for path, at, _ in walk(view, HeaderTally(UNBOUNDED)):
        if path == (b"meta", b"iprp", b"ipma"):
            flags = (associations << 1) | (view[at + _FLAGS] & _MEANT)
            copy[at + 1 : at + 1 + _FLAGS] = flags.to_bytes(_FLAGS)
            associations += 1
        elif path == (b"meta", b"grpl") and bytes(view[at - 4 : at]) == b"grpl":
            copy[at - 4 : at] = b"free"
    return copy if copy != view else None
