"""A matched filter: where in a picture's pattern of tiles a crop of it lies, told by the tiles alone.

The crop's luma loses what is wide (a Gaussian), is divided by its local contrast, and is correlated with the pattern at
every place where the crop may have been. This is the usual detector of a known signal in noise that was whitened
(Turin, IRE Trans. Information Theory 6, 1960).
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.signal import fftconvolve

from nightlight.imaging.visible_watermark import VisibleWatermark

GREY = 128
# What is wider than so large a share of the picture's side is no detail of a tile.
_WIDE = 1 / 48
# Contrast in grey levels that counts as none.
_LEVEL = 2.0
# Two places of the pattern that are so much alike are the same one, a tile further or a pixel beside.
_ALIKE = 0.5


def pattern_of(design: VisibleWatermark, side: int, pattern: str) -> np.ndarray:
    """Return the pattern as it changes an even grey, float (side, side): light above 0, shadow under it."""
    grey = Image.new("RGB", (side, side), (GREY,) * 3)
    return luma(design.draw(grey, "strong", pattern)) - GREY


def luma(image: Image.Image) -> np.ndarray:
    """Return the luma of a picture, float (height, width), 0 to 255."""
    return np.asarray(image.convert("L"), dtype=np.float64)


def place(crop: np.ndarray, pattern: np.ndarray) -> tuple[int, int]:
    """Return (top, left) of the place in ``pattern`` that fits ``crop`` best: luma, or its difference to a picture."""
    wide = len(pattern) * _WIDE
    detail, shape = _detail(crop, wide), pattern - gaussian_filter(pattern, wide)
    fit = fftconvolve(shape, detail[::-1, ::-1], mode="valid")
    energy = _sums(shape**2, len(crop))
    fit /= np.sqrt(np.maximum(energy, 1e-6))
    top, left = np.unravel_index(int(fit.argmax()), fit.shape)
    return int(top), int(left)


def is_found(crop: np.ndarray, pattern: np.ndarray, top: int, left: int) -> bool:
    """Say whether the filter places a crop at (top, left), or where the pattern is the same."""
    at_top, at_left = place(crop, pattern)
    side = len(crop)
    true = pattern[top : top + side, left : left + side]
    seen = pattern[at_top : at_top + side, at_left : at_left + side]
    alike = (true * seen).sum() / np.sqrt((true**2).sum() * (seen**2).sum() + 1e-9)
    return bool(alike > _ALIKE)


def _sums(values: np.ndarray, side: int) -> np.ndarray:
    """Return the sum of each square of ``side`` pixels, by an integral image."""
    integral = np.pad(values.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    return integral[side:, side:] - integral[:-side, side:] - integral[side:, :-side] + integral[:-side, :-side]


def _detail(crop: np.ndarray, wide: float) -> np.ndarray:
    fine = crop - gaussian_filter(crop, wide)
    return fine / np.sqrt(gaussian_filter(fine**2, 2 * wide) + _LEVEL**2)
