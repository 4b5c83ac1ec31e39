"""Bounds on what a file holds besides its pixels, and the counts that header readers keep against them."""

from __future__ import annotations

from dataclasses import dataclass

from nightlight_core.errors import ImageTooComplex

# Readers take sub-blocks of a GIF's extensions four to ten times as fast as whole segments, and an honest one has more
# of them: 500 kB of XMP are some 5,000.
PIECES_PER_SEGMENT = 16


@dataclass(frozen=True, slots=True)
class HeaderBounds:
    """The most that a file may hold.

    ``fill_bytes``: bytes without meaning, which a reader takes one by one. ``segments``: marker segments of a JPEG,
    chunks of a PNG or WebP, extensions of a GIF, boxes and items of an AVIF or HEIC. ``scans``: of one JPEG.

    The defaults: T.81 asks for no fill bytes at all. A camera's JPEG has some 30 segments, and 300 with a preview and a
    large profile. Encoders write 3 to 12 scans; at most 64 * 14 can differ.
    """

    fill_bytes: int = 65_536
    segments: int = 1_000
    scans: int = 100


# For decoders, which read again what the bounds have let pass.
UNBOUNDED = HeaderBounds(fill_bytes=1 << 32, segments=1 << 32, scans=1 << 32)


class HeaderTally:
    """Counts the parts of one file. Each method raises ImageTooComplex once the count exceeds its bound."""

    def __init__(self, bounds: HeaderBounds) -> None:
        """Start all counts at zero."""
        self.bounds = bounds
        self.fill_bytes = self.segments = self.pieces = self.scans = 0

    def fill(self, count: int) -> None:
        """Count bytes without meaning."""
        self.fill_bytes += count
        self._check(self.fill_bytes, self.bounds.fill_bytes, "fill bytes")

    def segment(self, count: int = 1) -> None:
        """Count segments, chunks or boxes."""
        self.segments += count
        self._check(self.segments, self.bounds.segments, "segments")

    def check_list(self, count: int) -> None:
        """Check the length of one list of items."""
        self._check(count, self.bounds.segments, "items of one list")

    def piece(self) -> None:
        """Count a part of a segment that a reader takes by itself."""
        self.pieces += 1
        self._check(self.pieces, self.bounds.segments * PIECES_PER_SEGMENT, "parts of segments")

    def scan(self) -> None:
        """Count a scan."""
        self.scans += 1
        self._check(self.scans, self.bounds.scans, "scans")

    @staticmethod
    def _check(count: int, most: int, what: str) -> None:
        if count > most:
            raise ImageTooComplex(f"more than {most} {what}")
