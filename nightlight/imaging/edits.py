"""What was done to an upload for a rendition, as far as it is sure: manifests say it, so nothing is said in doubt.

Which way up the file was stored and which colours it was in are told by its metadata alone, of which nothing reaches a
rendition: that a picture was turned or its colours converted is known here, and never said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightlight.imaging.crop import ROTATED, UPRIGHT, window

if TYPE_CHECKING:
    from nightlight.imaging.crop import Region


@dataclass(frozen=True, slots=True)
class Done:
    """What was done: part of the picture cut off, its size changed, detail taken, the visible mark drawn."""

    cropped: bool = False
    resized: bool = False
    softened: bool = False
    visible_mark: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of an upload: less than the whole or not, and the sides in pixels that its square may have had."""

    cropped: bool
    sides: frozenset[int]


def kept_of(stored: tuple[int, int], frame: tuple[int, int], region: Region | None) -> Kept:
    """Return what the square of a ``frame`` is of an upload, (width, height) in pixels each.

    ``stored`` is the file's own size, before its orientation, which is not known here: an owner's ``region`` means
    another part of a picture that lies on its side, so cutting counts where it was cut either way.
    """
    cut, sides = [], set()
    for orientation in (UPRIGHT, ROTATED):
        left, top, right, bottom = window(stored, orientation, region)
        cut.append((right - left, bottom - top) != stored)
        sides.add(round(min(right - left, bottom - top)))
    return Kept(frame[0] != frame[1] or all(cut), frozenset(sides))
