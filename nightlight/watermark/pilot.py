"""The pilot's side of the mark: a picture made white, so that the pilot stands out of it."""

from __future__ import annotations

import cv2
import numpy as np

from nightlight.watermark.layout import CANONICAL

# The neighbourhood whose contrast a place is measured by, in parts of the frame: what is taken off, and its spread.
_BLUR, _SPREAD = 1 / 40, 1 / 32
# How far the pilot follows the local contrast (0: everywhere alike), and the least contrast, in luma.
FOLLOWS, _LEAST = 0.4, 2.0
_WHITENING = -0.85


def contrast(picture: np.ndarray, side: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a luma picture less its blur, and the local contrast of that; a frame is ``side`` pixels of it."""
    detail = picture - _blurred(picture, max(_BLUR * side, 0.5))
    return detail, np.sqrt(_blurred(detail * detail, max(_SPREAD * side, 0.5)))


def whitened(picture: np.ndarray, side: float) -> np.ndarray:
    """Return ``picture``, float32 (h, w), evened out in place and in frequency; its mean square is 1."""
    detail, spread = contrast(picture, side)
    even = detail * (spread + np.float32(_LEAST)) ** np.float32(FOLLOWS - 2)
    spectrum = np.fft.rfft2(even)
    size = np.abs(spectrum)
    spectrum *= (size + 0.02 * size.mean() + 1e-9) ** np.float32(_WHITENING)
    white = np.fft.irfft2(spectrum, s=even.shape).astype(np.float32)
    return white / max(float(white.std()), 1e-9)


def strength(picture: np.ndarray, pilot: np.ndarray) -> float:
    """Return how far the pilot stands out of a whole frame, float32 (CANONICAL, CANONICAL), in deviations of chance."""
    white = whitened(picture, CANONICAL)
    return float((white * pilot).sum() / np.sqrt((white * white).sum()))


def _blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
