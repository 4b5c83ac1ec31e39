"""The visible mark: staggered rows of faint crescents, the same for everyone, that name nobody and nothing."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image

# Crescents across the picture: few enough to leave a face readable, enough that no crop is without one.
PER_ROW = 4
# Share of white in a crescent, and of black in its shadow: visible on light and dark alike.
LIGHT = 0.30
SHADOW = 0.22


def crescents(image: Image.Image) -> Image.Image:
    """Return a copy of ``image`` (RGB) with the mark drawn over it."""
    light, shadow = _masks(*image.size)
    marked = image.copy()
    marked.paste((0, 0, 0), mask=shadow)
    marked.paste((255, 255, 255), mask=light)
    return marked


@lru_cache(maxsize=32)
def _masks(width: int, height: int) -> tuple[Image.Image, Image.Image]:
    """Return (light, shadow) as L masks of the picture's size."""
    cell = max(width, height) / PER_ROW
    shift = max(0.6, cell * 0.02)
    return (
        Image.fromarray(_coverage(width, height, cell, 0.0, LIGHT)),
        Image.fromarray(_coverage(width, height, cell, shift, SHADOW)),
    )


def _coverage(width: int, height: int, cell: float, shift: float, share: float) -> np.ndarray:
    """Return uint8 (height, width): how much of each pixel a crescent covers, times ``share``."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) + 0.5 - shift
    row = np.floor(y / cell)
    x = (x + (row % 2) * cell / 2) % cell - cell / 2
    y = y % cell - cell / 2
    radius = cell * 0.24
    disc = radius - np.hypot(x, y)
    bite = np.hypot(x - radius * 0.45, y + radius * 0.2) - radius * 0.85
    covered = np.clip(np.minimum(disc, bite) + 0.5, 0, 1)
    coverage: np.ndarray = np.round(covered * share * 255).astype(np.uint8)
    return coverage
