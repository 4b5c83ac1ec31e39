"""Which part of a long picture is kept: the one around the widest face of the whole.

A frame is at most crop.MAX_ASPECT times as long as wide. Before a longer picture is cut to that, faces are looked for
in a small copy of all of it, by overlapping windows.

Bounds: the small copy has at most WHOLE_EDGE * 16,384 pixels (6.3 MB), and at most MOST_WINDOWS windows are searched. A
picture of up to 1:33 is seen without a gap. Of a longer one the windows leave gaps; a face in a gap is not found, and
the square is cut elsewhere. What the square then shows is searched like any other frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from nightlight.imaging import crop

if TYPE_CHECKING:
    from PIL import Image

    from nightlight.imaging.crop import Region
    from nightlight.imaging.face import Face

# The shorter side of the small copy in pixels: CenterFace is given a window of 2:1 as 256 x 128 pixels.
WHOLE_EDGE = 128
MOST_WINDOWS = 32


class LargestFace(Protocol):
    """Finds the face to crop around: ``nightlight.imaging.face.FaceDetector``."""

    def largest(self, frame: Image.Image) -> Face | None:
        """Return the widest sure face of an RGB frame; None without any."""
        ...


def windows(width: int, height: int) -> list[tuple[int, int, int, int]]:
    """Return the boxes in which faces of a long picture are looked for, in its pixels.

    Each is crop.MAX_ASPECT times as long as wide, or the whole of a shorter picture. Neighbours share half of their
    length, so that every face lies whole in one of them, unless there are MOST_WINDOWS and the picture is longer still.
    """
    short, long = sorted((width, height))
    length = min(long, crop.MAX_ASPECT * short)
    count = min(MOST_WINDOWS, 1 + -(-(long - length) // max(1, length // 2)))
    begins = [round((long - length) * number / max(1, count - 1)) for number in range(count)]
    if width > height:
        return [(begin, 0, begin + length, height) for begin in begins]
    return [(0, begin, width, begin + length) for begin in begins]


def widest_face(whole: Image.Image, detector: LargestFace) -> Face | None:
    """Return the widest sure face of a long picture (RGB), in its pixels; None without any."""
    faces = []
    for box in windows(*whole.size):
        face = detector.largest(whole.crop(box))
        if face is not None:
            faces.append(face.moved(box[0], box[1]))
    return max(faces, key=lambda face: face.span, default=None)


def kept_part(size: tuple[int, int], region: Region | None, whole: Image.Image, detector: LargestFace) -> Region | None:
    """Return the part of a long picture that its frame shows; the owner's ``region`` where no face is found.

    ``size``: (width, height) of the picture as stored. ``whole``: the small copy of all that ``region`` keeps.
    """
    face = widest_face(whole, detector)
    return region if face is None else crop.long_part(size, region, whole.size, face)
