"""What leaves the sandbox larger than the frame, to be interpolated outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightlight.imaging.crop import MAX_ASPECT
from nightlight.imaging.decode_memory import dct_scale

if TYPE_CHECKING:
    from nightlight.imaging.header import Header

# A JPEG that its DCT scale leaves at most so many times as large as the frame is handed over as it is.
MOST_INTERPOLATED = 1.5


def unshrunk_size(header: Header, edge: int) -> tuple[int, int] | None:
    """Return the width and height at which a whole JPEG is handed over without being shrunk; None where it is shrunk.

    Only a picture of three components that is at most MAX_ASPECT times as long as wide is.
    """
    short, long = sorted((header.width, header.height))
    if header.format != "jpeg" or header.colour != "rgb" or long > MAX_ASPECT * short:
        return None
    scale = dct_scale(header, edge=edge)
    size = (-(-header.width // scale), -(-header.height // scale))
    return size if edge < min(size) <= MOST_INTERPOLATED * edge else None
