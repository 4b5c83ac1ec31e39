"""The views of a picture in a takedown notice: what is hashed to find copies of it, cut ones too.

Perceptual hashes do not survive cropping, so the parts that may have been cut out are hashed themselves: windows of
LEAST to 1 of each side, at most STEP of a side apart in size and in place. What lies between two windows is less than
half a step from the nearer one. Of 11 photographs, 99 % of cuts of up to 25 % of each side were within 43 bits of a
window, and half of them within 20 (bench/takedown.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from nightlight.imaging.match_squares import SIDE, square_luma

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from nightlight.imaging.match_squares import Box

# What is left of each side by the smallest window, and how far windows are apart, both as a share of the side.
LEAST, STEP = 0.75, 0.02


def window_lumas(frame: Image.Image, shown: Box | None = None) -> Iterator[np.ndarray]:
    """Yield the lumas of windows of a frame and of the square that is shown of it, uint8 (SIDE, SIDE) each."""
    grey = frame.convert("L")
    full = (0, 0, *frame.size)
    for box in dict.fromkeys((full, shown or full)):
        for window in windows(box):
            yield square_luma(grey.crop(window), SIDE)


def windows(box: Box) -> Iterator[Box]:
    """Yield the windows of a box that are smaller than it, in whole pixels."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    for size in range(1, math.ceil((1 - LEAST) / STEP) + 1):
        kept = max(LEAST, 1 - size * STEP)
        places = math.ceil((1 - kept) / STEP)
        for across in range(places + 1):
            for down in range(places + 1):
                x, y = left + width * (1 - kept) * across / places, top + height * (1 - kept) * down / places
                yield round(x), round(y), round(x + width * kept), round(y + height * kept)
