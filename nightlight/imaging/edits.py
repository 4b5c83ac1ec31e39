"""What was done to an upload for a rendition, as far as it is certain: manifests state it, so a doubt states nothing.

The orientation and the colours of the file are in its metadata, of which nothing may reach a rendition. So a turn or a
conversion of colours is never stated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightlight.imaging.crop import ROTATED, UPRIGHT, frame_window

if TYPE_CHECKING:
    from nightlight.imaging.crop import Region


@dataclass(frozen=True, slots=True)
class Edits:
    """What was done: part of the picture cut off, its size changed, detail removed, the visible watermark drawn."""

    cropped: bool = False
    resized: bool = False
    softened: bool = False
    visible_watermark: bool = False


@dataclass(frozen=True, slots=True)
class KeptSquare:
    """The part of an upload that is kept: whether it was cropped, and the sides in pixels its square may have had."""

    cropped: bool
    sides: frozenset[int]


def kept_square(stored: tuple[int, int], frame: tuple[int, int], region: Region | None) -> KeptSquare:
    """Return which part of an upload the square of its frame is.

    ``stored`` and ``frame`` are (width, height) in pixels, of the file before its orientation and of the frame. The
    orientation is not known here, and an owner's ``region`` means another part of a picture that lies on its side. So
    ``cropped`` is true where the picture was cut for either orientation.
    """
    cut, sides = [], set()
    for orientation in (UPRIGHT, ROTATED):
        left, top, right, bottom = frame_window(stored, orientation, region)
        cut.append((right - left, bottom - top) != stored)
        sides.add(round(min(right - left, bottom - top)))
    return KeptSquare(frame[0] != frame[1] or all(cut), frozenset(sides))
