"""Finds faces on a small copy of the frame, and signs of faces that were missed.

::

    frame     CenterFace on the whole frame                                        faces: crop and budget
    rest      small faces of which it is sure are painted over
    padded    CenterFace on the rest, with as much again around it                 hints: budget
    large     LargeFace on the rest                                                least share: budget

A face wider than the frame shows no outline, so CenterFace finds it only with room around. A large face that is turned,
dark, barred or drawn is missed beside a small clear one, unless the clear one is painted over; LargeFace knows such
faces. Nothing about a face is kept: where it lies is used for the crop and the budget, and forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from nightlight.imaging.face_networks import (
    CENTERFACE_STEP,
    LARGE_FACE_CELLS,
    LARGE_FACE_SIDE,
    CenterFace,
    LargeFace,
)

if TYPE_CHECKING:
    from nightlight.imaging.face_networks import Boxes

# Pixels that CenterFace is given of the frame: 192 x 192, or as many in the frame's own shape. Faces down to a
# sixteenth of the frame's side (12 of 192 pixels) are found.
INPUT_PIXELS = 192 * 192
# A frame's shorter side has at least so many pixels, if the picture has: the network's input is made from it. Without
# that, a small tier rendered alone would be cropped and softened by other faces than beside the larger tiers.
FRAME_EDGE = 320
# A place that is this likely a face counts when the widest face is looked for ...
CANDIDATE_CONFIDENCE = 0.15
# ... but that there is any face at all is believed only from here on. On scikit-image's and other
# packaged pictures, faces 12 pixels wide, or turned by 90 and 180 degrees, had 0.37 to 0.49, upright ones of 16 pixels
# and more 0.53 to 0.93, and the likeliest place in 24 pictures without a face (a motorcycle's lamp) 0.30.
SURE_CONFIDENCE = 0.35
# The padded pass: the side of its input, and of that input in longer sides of the frame. 2.2 finds a face of which the
# frame shows 0.45 of the width.
PADDED_SIDE, PADDED_BY = 96, 2.2
# What LargeFace sees (a logit) counts from the lower value on, and from the higher one on all of the square is taken to
# be a face. Chosen on 1,300 composites (docs/faces.md): a place that is no face costs detail, and a face that was
# missed costs its owner more.
BESIDE = (-3.5, -2.5)
# A cell within so many widths and heights of the middle of a sure face that is not painted over, and half a cell more,
# shows that face.
_WITHIN = 0.6
# A hint in the middle of a sure face and up to so many times as wide is that face.
_SAME_WIDTH = 1.7
# CenterFace sees no candidate, and LargeFace nothing above this: there is no face.
NO_FACE = -3.0
# Sure faces up to this share of the shorter side are painted over, so many times as wide and high as their boxes.
PAINTED_SHARE, _PAINTED_WIDTH = 0.3, 1.8
# An input of less contrast (from its 2nd to its 98th percentile, of 255) is stretched to _CONTRAST: dark, flat and
# overexposed faces.
_LOW_CONTRAST, _CONTRAST = 110, 200
# Boxes are about this much higher than wide: a face that lies on its side is as wide as its box is high.
HEIGHT_TO_WIDTH = 1.3
# A real portrait's boxes were 0.88 to 0.97 as wide as the face measured by hand, from ear to ear.
MARGIN = 1.1
# Without a face, or with doubt, this share of the square is taken to be the widest face's: all of it.
NO_FACE_SHARE = 1.0
# However small the found faces are, the widest is taken to be at least this share of the square: a face
# that was missed behind one that was found must not pass in full detail. One of a third of the square keeps at most a
# quarter more than its budget, whatever the networks miss.
LEAST_SHARE = 0.27
# With a place of the padded pass that takes up this share of the square, all of it counts as a face: where the frame
# cuts a face off, the box is not exact.
WHOLE_SHARE = 0.45


@dataclass(frozen=True, slots=True)
class Face:
    """A face, or what may be one: its box in pixels of the frame, and how likely it is (0 to 1)."""

    left: float
    top: float
    width: float
    height: float
    confidence: float

    @property
    def span(self) -> float:
        """Return the face's width in pixels, whichever way it is turned, with a MARGIN."""
        return MARGIN * max(self.width, self.height / HEIGHT_TO_WIDTH)

    def moved(self, across: float, down: float, scale: float = 1.0) -> Face:
        """Return it ``scale`` times as large, then moved by so many pixels."""
        left, top = self.left * scale + across, self.top * scale + down
        return Face(left, top, self.width * scale, self.height * scale, self.confidence)


@dataclass(frozen=True, slots=True)
class FaceSearch:
    """What was found in a frame.

    ``faces``: those of the frame's pass, down to CANDIDATE_CONFIDENCE, the likeliest first. ``hints``: where another
    pass sees a face that is none of the sure ones; they count for the budget alone. ``least_share``: the share of the
    square's side that the widest face is taken to have at the least; it rises with what LargeFace sees. ``no_face``:
    every pass ran and none saw anything like a face.

    The default is a search that failed: no face is known, and none is ruled out.
    """

    faces: tuple[Face, ...] = ()
    hints: tuple[Face, ...] = ()
    least_share: float = LEAST_SHARE
    no_face: bool = False


class FaceDetector:
    """Both networks, loaded. Build it after the process has started; not for several threads at once."""

    def __init__(self) -> None:
        """Load the weights; raise SettingsRefused where they or OpenCV are not installed."""
        self._centerface, self._large_face = CenterFace(), LargeFace()

    def find(self, frame: Image.Image) -> FaceSearch:
        """Search ``frame`` (RGB)."""
        small = small_copy(frame)
        faces = _scaled(self._centerface.find(np.asarray(small), CANDIDATE_CONFIDENCE), small, frame)
        sure = [face for face in faces if face.confidence >= SURE_CONFIDENCE]
        rest = painted_over(small, frame, sure)
        hints = [place for place in self._padded(rest, frame) if not _is_one_of(place, sure)]
        likely, low, high = self._likely_large(rest, frame, sure), *BESIDE
        least_share = LEAST_SHARE + (1 - LEAST_SHARE) * min(1.0, max(0.0, (likely - low) / (high - low)))
        if any(place.span >= WHOLE_SHARE * min(frame.size) for place in hints):
            least_share = 1.0
        return FaceSearch(
            faces=tuple(sorted(faces, key=lambda face: -face.confidence)),
            hints=tuple(hints),
            least_share=least_share,
            no_face=not faces and not hints and likely < NO_FACE,
        )

    def largest(self, frame: Image.Image) -> Face | None:
        """Return the face that ``frame`` (RGB) is to be cropped around, by its first pass alone."""
        small = small_copy(frame)
        return crop_face(_scaled(self._centerface.find(np.asarray(small), SURE_CONFIDENCE), small, frame))

    def _padded(self, rest: Image.Image, frame: Image.Image) -> list[Face]:
        canvas = SquareInput(rest, frame, PADDED_SIDE, PADDED_BY)
        return canvas.faces(self._centerface.find(canvas.pixels, SURE_CONFIDENCE))

    def _likely_large(self, rest: Image.Image, frame: Image.Image, sure: Sequence[Face]) -> float:
        """Return how likely a large face is beside the sure ones: the highest logit of LargeFace."""
        canvas = SquareInput(rest, frame, LARGE_FACE_SIDE, 1.0)
        logits, (across, down) = self._large_face.find(canvas.pixels), canvas.middles()
        cell = max(frame.size) / LARGE_FACE_CELLS
        for face in sure:
            if not _is_painted_over(face, frame):
                x, y = abs(across - face.left - face.width / 2), abs(down - face.top - face.height / 2)
                its_own = (x < _WITHIN * face.width + cell / 2) & (y < _WITHIN * face.height + cell / 2)
                logits = np.where(its_own, -np.inf, logits)
        return float(logits.max())


class SquareInput:
    """A square input of a network, with the rest of a frame in its middle, and its mean colour around that."""

    def __init__(self, rest: Image.Image, frame: Image.Image, side: int, by: float) -> None:
        """Lay ``rest``, a copy of ``frame``, into ``side`` pixels, which are ``by`` times its longer side."""
        factor = side / by / max(frame.size)
        width, height = (max(1, round(length * factor)) for length in frame.size)
        inner = _stretched(np.asarray(rest.resize((width, height), Image.Resampling.HAMMING)))
        self._left, self._top = (side - width) // 2, (side - height) // 2
        self._across, self._down = frame.width / width, frame.height / height
        self.pixels = np.empty((side, side, 3), dtype=np.uint8)
        self.pixels[:] = inner.mean(axis=(0, 1))
        self.pixels[self._top : self._top + height, self._left : self._left + width] = inner

    def middles(self) -> tuple[np.ndarray, np.ndarray]:
        """Return where the middles of LargeFace's cells lie, across and down, in pixels of the frame."""
        steps = (np.arange(LARGE_FACE_CELLS) + 0.5) * LARGE_FACE_SIDE / LARGE_FACE_CELLS
        across, down = np.meshgrid((steps - self._left) * self._across, (steps - self._top) * self._down)
        return across, down

    def faces(self, boxes: Boxes) -> list[Face]:
        """Return boxes of the canvas in pixels of the frame."""
        boxes = boxes - (self._left, self._top, 0, 0, 0)
        return [Face(*box) for box in (boxes * (self._across, self._down, self._across, self._down, 1)).tolist()]


def input_size(width: int, height: int) -> tuple[int, int]:
    """Return the (width, height) of the network's input for a frame: its shape, in at most INPUT_PIXELS or so."""
    across = (INPUT_PIXELS * width / height) ** 0.5
    down = INPUT_PIXELS / across
    step = CENTERFACE_STEP
    return max(step, round(across / step) * step), max(step, round(down / step) * step)


def small_copy(frame: Image.Image) -> Image.Image:
    """Return the copy of a frame that CenterFace looks at."""
    return frame.resize(input_size(*frame.size), Image.Resampling.HAMMING, reducing_gap=1.5)


def _scaled(boxes: Boxes, small: Image.Image, frame: Image.Image) -> list[Face]:
    """Return boxes of the small copy in pixels of the frame."""
    across, down = frame.width / small.width, frame.height / small.height
    return [Face(*box) for box in (boxes * (across, down, across, down, 1)).tolist()]


def painted_over(small: Image.Image, frame: Image.Image, sure: Sequence[Face]) -> Image.Image:
    """Return the small copy with small sure faces painted over, in the mean colour of what is around each."""
    pixels = np.array(small)
    across, down = small.width / frame.width, small.height / frame.height
    for face in sure:
        if not _is_painted_over(face, frame):
            continue
        half = _PAINTED_WIDTH * max(face.width, face.height) / 2
        x, y = face.left + face.width / 2, face.top + face.height / 2
        left, right = (round(min(max(at * across, 0), small.width)) for at in (x - half, x + half))
        top, bottom = (round(min(max(at * down, 0), small.height)) for at in (y - half, y + half))
        inside = pixels[top:bottom, left:right]
        around = pixels[max(top - 2, 0) : bottom + 2, max(left - 2, 0) : right + 2]
        count = around[..., 0].size - inside[..., 0].size
        if inside.size and count:
            inside[:] = (around.sum(axis=(0, 1), dtype=float) - inside.sum(axis=(0, 1), dtype=float)) / count
    return Image.fromarray(pixels)


def _is_painted_over(face: Face, frame: Image.Image) -> bool:
    return face.span <= PAINTED_SHARE * min(frame.size)


def _stretched(pixels: np.ndarray) -> np.ndarray:
    """Return pixels (RGB, uint8) with more contrast, if they have little; grey levels keep their order."""
    dark, light = np.percentile(pixels[::2, ::2], (2, 98))  # a quarter of them says it as well
    if light - dark >= _LOW_CONTRAST:
        return pixels
    factor = _CONTRAST / max(light - dark, 1)
    stretched: np.ndarray = np.clip((pixels - dark) * factor + (255 - _CONTRAST) / 2, 0, 255).astype(np.uint8)
    return stretched


def _is_one_of(place: Face, faces: Sequence[Face]) -> bool:
    """Say whether a place is one of the faces, seen again."""
    x, y = place.left + place.width / 2, place.top + place.height / 2
    return any(
        face.left <= x <= face.left + face.width
        and face.top <= y <= face.top + face.height
        and place.span <= _SAME_WIDTH * face.span
        for face in faces
    )


def crop_face(faces: Sequence[Face]) -> Face | None:
    """Return the face that a crop is centred on: the widest of those that are SURE_CONFIDENCE; None without any."""
    return max((face for face in faces if face.confidence >= SURE_CONFIDENCE), key=lambda face: face.span, default=None)


def widest_face_px(search: FaceSearch, side: int) -> float:
    """Return the width of the widest face in a square of ``side`` pixels, in pixels.

    Doubt protects. Every candidate and every hint counts. The widest is at least the search's least share of the
    square, and all of it without a face of SURE_CONFIDENCE.
    """
    least = NO_FACE_SHARE if crop_face(search.faces) is None else search.least_share
    return max(least * side, *(place.span for place in (*search.faces, *search.hints)), 0)
