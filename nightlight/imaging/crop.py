"""Where the square lies that is kept of a picture, in the coordinates of the pixels as stored."""

from __future__ import annotations

# Of the height that is cut off, this share comes off the top: heads are in the upper part of portraits.
TOP_SHARE = 0.4

# EXIF orientations (CIPA DC-008, tag 0x0112) by which side of the stored picture is the top when upright.
_TOP_IS_LEFT = (5, 6)
_TOP_IS_RIGHT = (7, 8)
_TOP_IS_BOTTOM = (3, 4)


def square(width: int, height: int, orientation: int) -> tuple[float, float, float, float]:
    """Return (left, top, right, bottom) of the kept square, in stored pixels.

    ``width`` and ``height`` are as stored; ``orientation`` is EXIF's, 1 to 8. The square is as large as the
    shorter side, in the middle across and TOP_SHARE down, seen upright.
    """
    side = min(width, height)
    across, down = (width - side) / 2, (height - side) / 2
    if orientation in _TOP_IS_LEFT:
        across = (width - side) * TOP_SHARE
    elif orientation in _TOP_IS_RIGHT:
        across = (width - side) * (1 - TOP_SHARE)
    elif orientation in _TOP_IS_BOTTOM:
        down = (height - side) * (1 - TOP_SHARE)
    else:
        down = (height - side) * TOP_SHARE
    return across, down, across + side, down + side
