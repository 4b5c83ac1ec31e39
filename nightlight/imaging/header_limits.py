"""How much there may be in a file besides its pixels, and what is counted of it while its header is read."""

from __future__ import annotations

from dataclasses import dataclass

from nightlight_core.errors import ImageTooComplex

# Readers take sub-blocks of a GIF's extensions four to ten times as fast as whole segments, and an honest one has more
# of them: 500 kB of XMP are some 5,000.
PIECES_PER_SEGMENT = 16


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most that a file may hold.

    ``fill_bytes``: bytes that a reader of the header takes one by one, since they mean nothing. ``segments``: marker
    segments of a JPEG, chunks of a PNG or WebP, extensions of a GIF, boxes and items of an AVIF or HEIC. ``scans`` of
    one JPEG. The defaults: T.81 asks for no fill bytes at all; a camera's JPEG has some 30 segments, with a maker's
    preview and a large profile 300; encoders write 3 to 12 scans, and the most that differ in anything are 64 * 14.
    """

    fill_bytes: int = 65_536
    segments: int = 1_000
    scans: int = 100


class Tally:
    """Counts what is met in one file; each method raises ImageTooComplex once there is more than the bounds allow."""

    def __init__(self, bounds: Bounds) -> None:
        """Begin at nothing."""
        self.bounds = bounds
        self.fill_bytes = self.segments = self.pieces = self.scans = 0

    def fill(self, count: int) -> None:
        """Count bytes that mean nothing."""
        self.fill_bytes += count
        self._check(self.fill_bytes, self.bounds.fill_bytes, "fill bytes")

    def segment(self, count: int = 1) -> None:
        """Count segments, chunks or boxes."""
        self.segments += count
        self._check(self.segments, self.bounds.segments, "segments")

    def listed(self, count: int) -> None:
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
            message = f"more than {most} {what}"
            raise ImageTooComplex(message)
