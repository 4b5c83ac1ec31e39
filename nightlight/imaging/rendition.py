"""What the pipeline returns: renditions, and what was measured and found on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightlight.imaging.match_squares import square_luma

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from nightlight.imaging.edits import Edits
    from nightlight.imaging.face import FaceSearch
    from nightlight.imaging.header import Header
    from nightlight.imaging.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Rendition:
    """One finished picture.

    ``data``: its bytes. ``width`` and ``height``: its size in pixels. ``sha256``: of its bytes, in hexadecimal.
    ``grid``: the side in pixels of the grid it was made from, which is the detail in it. ``picture``: the pixels (RGB)
    that were encoded. ``decoded``: the luma (L) of what the bytes decode to. ``edits``: what was done to the upload for
    it.

    ``face_px``: how much of the detail lies across the widest face there may be; None where the tier has no budget.
    ``no_face``: it has the detail that its tier allows a picture without a face, whatever ``face_px`` allows.
    ``blurhash``: where the tier is the preview's. ``variant``: counts from 0 where the tier has several.
    ``agreement``: how well the invisible watermark reads back, 0 to 1; None where there is none to read.
    """

    recipe: Recipe
    data: bytes
    width: int
    height: int
    sha256: str
    grid: int
    picture: Image.Image
    decoded: Image.Image
    edits: Edits
    face_px: float | None = None
    no_face: bool = False
    blurhash: str | None = None
    variant: int = 0
    agreement: float | None = None

    def luma(self, side: int) -> np.ndarray:
        """Return its luma as published, uint8 (side, side)."""
        return square_luma(self.decoded, side)


@dataclass(frozen=True, slots=True)
class RenderResult:
    """All renditions of an upload, and what was measured and found on the way. Only the renditions are stored.

    ``stages``: CPU milliseconds of each stage. ``header``: the upload's. ``frame``: the decoded picture (RGB).
    ``square``: the box of the frame that was kept. ``search``: what was found in it. ``face_share``: the share of the
    square's side that the widest face is taken to have.
    """

    renditions: list[Rendition]
    stages: dict[str, float]
    header: Header
    frame: Image.Image
    square: tuple[int, int, int, int]
    search: FaceSearch
    face_share: float
