"""From pixels to carriers and back: the cosine waves of 8 by 8 cells, at any size of the frame in pixels."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from nightlight.watermark.layout import CANONICAL, CELLS, WAVES, Layout

# BT.601, as JPEG, WebP and AVIF compute it.
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def luma(pixels: np.ndarray) -> np.ndarray:
    """Return the luma, float32 (h, w) in 0 to 255, of RGB pixels, uint8 (h, w, 3), or of luma, uint8 (h, w)."""
    if pixels.ndim == 2:  # noqa: PLR2004
        return pixels.astype(np.float32)
    return cv2.cvtColor(pixels.astype(np.float32), cv2.COLOR_RGB2GRAY)


def reduced_luma(pixels: np.ndarray, side: int) -> np.ndarray:
    """Return the luma, float32, of RGB pixels, uint8 (h, w, 3), halved while ``side`` pixels a side remain.

    ``pixels`` may be luma already, uint8 (h, w).

    Luma of a picture that is halved is rounded to whole numbers, which costs a tenth of a step of the finest lattice
    even in a single pixel, and less in a mean.
    """
    if min(pixels.shape[:2]) < 2 * side:
        return luma(pixels)
    grey = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)  # noqa: PLR2004
    while min(grey.shape) >= 2 * side and not any(extent % 2 for extent in grey.shape):
        grey = cv2.resize(grey, (grey.shape[1] // 2, grey.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return grey.astype(np.float32)


def stretch_to_square(picture: np.ndarray, side: int = CANONICAL) -> np.ndarray:
    """Return a luma picture, float32 (h, w), stretched to a square of ``side`` pixels."""
    if picture.shape == (side, side):
        return picture
    smaller = min(picture.shape) >= side
    # Shrinking along one side and stretching along the other are two resizes.
    if not smaller and max(picture.shape) > side:
        height, width = picture.shape
        picture = cv2.resize(picture, (min(width, side), min(height, side)), interpolation=cv2.INTER_AREA)
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)


@lru_cache(maxsize=4)
def _cosines(count: int) -> np.ndarray:
    """Return the waves along one side of a frame of CANONICAL pixels; those beyond ``count`` a cell are 0."""
    cell = CANONICAL // CELLS
    cosines = np.zeros((CELLS, WAVES, CANONICAL), np.float32)
    place = (np.arange(cell) + 0.5) / cell
    for wave in range(count):
        size = np.sqrt((1 if wave == 0 else 2) / cell)
        for index in range(CELLS):
            cosines[index, wave, index * cell : (index + 1) * cell] = size * np.cos(np.pi * wave * place)
    return cosines.reshape(CELLS * WAVES, CANONICAL)


@lru_cache(maxsize=64)
def waves(side: int, count: int) -> np.ndarray:
    """Return the waves along one side of a frame of any size, float32 (CELLS * WAVES, side).

    They include the resampling of ``stretch_to_square``, so that both give the same values.
    """
    along = _cosines(count)
    if side == CANONICAL:
        return along
    how = cv2.INTER_AREA if side >= CANONICAL else cv2.INTER_CUBIC
    resampled = cv2.resize(np.eye(side, dtype=np.float32), (side, CANONICAL), interpolation=how)
    return along @ resampled


@lru_cache(maxsize=64)
def dual(side: int, count: int) -> np.ndarray:
    """Return the pseudo-inverse of ``waves``, float32 (side, CELLS * WAVES): it changes pixels the least."""
    return np.linalg.pinv(waves(side, count).astype(np.float64)).astype(np.float32)


def read_carriers(picture: np.ndarray, layout: Layout, count: int = WAVES) -> np.ndarray:
    """Return the value of each carrier, float32 (n,), in luma of a frame of CANONICAL pixels.

    ``picture`` is luma, float32 (side, side). Carriers of waves beyond ``count`` read 0.
    """
    along = waves(picture.shape[0], count)
    coefficients = along @ picture @ along.T
    values: np.ndarray = np.einsum("ij,ij->i", coefficients.ravel()[layout.waves], layout.signs)
    return values


def write_carriers(change: np.ndarray, layout: Layout, side: int, count: int) -> np.ndarray:
    """Return the change of luma, float32 (side, side), that changes each carrier by ``change``, float32 (n,)."""
    size = CELLS * WAVES
    spread = change[:, None] * layout.signs
    coefficients = np.bincount(layout.waves.ravel(), weights=spread.ravel(), minlength=size * size)
    back = dual(side, count)
    return back @ coefficients.reshape(size, size).astype(np.float32) @ back.T  # type: ignore[no-any-return]
