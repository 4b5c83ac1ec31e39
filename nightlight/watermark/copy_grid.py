"""The luma of a found copy at several scales, each computed once, and a frame placed over it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from nightlight.watermark.carriers import read_carriers, stretch_to_square
from nightlight.watermark.lattice import COVERED_SHARE
from nightlight.watermark.layout import CANONICAL, CELLS, Layout
from nightlight.watermark.pilot import whiten

# A copy longer than this is also read as a page with the picture in its middle.
_NEARLY_SQUARE = 1.03


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the frame of the marked rendition lies over a copy, in the copy's pixels.

    ``side`` of the frame; ``angle`` in radians, clockwise; ``x`` and ``y`` of its middle; ``mirrored`` left to right.
    """

    side: float
    angle: float
    x: float
    y: float
    mirrored: bool = False

    def moved(self, across: float, down: float, grown: float, turned: float) -> Placement:
        """Return the frame moved by pixels of CANONICAL along its own sides, grown by a share, turned by radians."""
        step = self.side / CANONICAL
        if self.mirrored:
            across, turned = -across, -turned
        cosine, sine = np.cos(self.angle) * step, np.sin(self.angle) * step
        return replace(
            self,
            side=self.side * (1 + grown),
            angle=self.angle + turned,
            x=self.x + cosine * across - sine * down,
            y=self.y + sine * across + cosine * down,
        )

    def about(self, x: float, y: float, grown: float, turned: float) -> Placement:
        """Return the frame grown by a share and turned by radians about a point: the copy's middle, say."""
        scale = 1 + grown
        cosine, sine = np.cos(turned) * scale, np.sin(turned) * scale
        across, down = self.x - x, self.y - y
        return replace(
            self,
            side=self.side * scale,
            angle=self.angle + turned,
            x=x + cosine * across - sine * down,
            y=y + sine * across + cosine * down,
        )


class CopyLuma:
    """The luma of a copy, float32 (h, w), and the scales of it that were computed so far."""

    def __init__(self, picture: np.ndarray) -> None:
        """Keep the picture, float32 (h, w)."""
        self.picture = picture
        self.height, self.width = picture.shape
        self._reduced: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._white: dict[tuple[int, int], np.ndarray] = {}

    def whole_squares(self) -> list[np.ndarray]:
        """Return the whole copy stretched to a frame, float32 (CANONICAL, CANONICAL); and its middle, if it is long."""
        side = min(self.height, self.width)
        if max(self.height, self.width) <= _NEARLY_SQUARE * side:
            return [stretch_to_square(self.picture)]
        top, left = (self.height - side) // 2, (self.width - side) // 2
        return [stretch_to_square(self.picture), stretch_to_square(self.picture[top : top + side, left : left + side])]

    def under_frame(self, at: Placement, side: int, *, white: bool, flags: int = cv2.INTER_LINEAR) -> np.ndarray:
        """Return the pixels under the frame, float32 (side, side), not mirrored back; they are 0 outside the copy."""
        step = self._step(at.side, side)
        picture = self._whitened(step, at.side) if white else self._at(step)[0]
        return _warped(picture, at, side, self._factors(step), flags, cv2.BORDER_CONSTANT)

    def read(self, at: Placement, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
        """Return the values of the carriers, float32 (n,), and which cells are wholly in the copy, bool (cells,)."""
        square, covered = self._read(at)
        return read_carriers(square, layout), covered

    def slopes(self, at: Placement, layout: Layout) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return ``read`` and how it changes with the frame, float32 (4, n): across, down, grown and turned.

        To first order, for a few tenths of a pixel: as ``Placement.moved`` counts.
        """
        square, covered = self._read(at)
        down, across = np.gradient(square)
        place = np.arange(CANONICAL, dtype=np.float32) - np.float32((CANONICAL - 1) / 2)
        grown = across * place[None] + down * place[:, None]
        turned = down * place[None] - across * place[:, None]
        changes = np.stack([read_carriers(change, layout) for change in (across, down, grown, turned)])
        return read_carriers(square, layout), covered, changes

    def _read(self, at: Placement) -> tuple[np.ndarray, np.ndarray]:
        step = self._step(at.side, CANONICAL)
        picture, ones = self._at(step)
        factors = self._factors(step)
        square = _warped(picture, at, CANONICAL, factors, cv2.INTER_CUBIC, cv2.BORDER_REPLICATE)
        inside = _warped(ones, at, CANONICAL, factors, cv2.INTER_LINEAR, cv2.BORDER_CONSTANT)
        if at.mirrored:
            square, inside = np.ascontiguousarray(square[:, ::-1]), np.ascontiguousarray(inside[:, ::-1])
        share = cv2.resize(inside, (CELLS, CELLS), interpolation=cv2.INTER_AREA)
        return square, share.ravel() > COVERED_SHARE

    @staticmethod
    def _step(frame: float, side: int) -> int:
        """Return how far the copy is shrunk before it is read, in quarters of an octave; never below ``side``."""
        return max(0, int(np.floor(4 * np.log2(max(frame / side, 1e-6)))))

    def _factors(self, step: int) -> tuple[float, float]:
        picture = self._at(step)[0]
        return picture.shape[1] / self.width, picture.shape[0] / self.height

    def _at(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        if step not in self._reduced:
            size = (max(1, round(self.width * 2 ** (-step / 4))), max(1, round(self.height * 2 ** (-step / 4))))
            picture = self.picture if step == 0 else cv2.resize(self.picture, size, interpolation=cv2.INTER_AREA)
            self._reduced[step] = picture, np.ones_like(picture)
        return self._reduced[step]

    def _whitened(self, step: int, frame: float) -> np.ndarray:
        size = round(4 * np.log2(max(frame, 1.0)))
        if (step, size) not in self._white:
            self._white[step, size] = whiten(self._at(step)[0], 2 ** ((size - step) / 4))
        return self._white[step, size]


def _warped(
    picture: np.ndarray, at: Placement, side: int, factors: tuple[float, float], flags: int, border: int
) -> np.ndarray:
    across, down = factors
    cosine, sine = np.cos(at.angle) * at.side / side, np.sin(at.angle) * at.side / side
    # Pixel centres are at whole numbers, so a factor moves them by half a pixel.
    linear = np.array([[cosine * across, -sine * across], [sine * down, cosine * down]])
    middle = np.array([(at.x + 0.5) * across - 0.5, (at.y + 0.5) * down - 0.5])
    offset = middle - linear @ np.full(2, (side - 1) / 2)
    matrix = np.column_stack([linear, offset])
    return cv2.warpAffine(picture, matrix, (side, side), flags=flags | cv2.WARP_INVERSE_MAP, borderMode=border)
