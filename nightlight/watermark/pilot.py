"""The pilot of the watermark: whitens a picture, so that the pilot stands out of it."""

from __future__ import annotations

import cv2
import numpy as np

from nightlight.watermark.layout import CANONICAL

# The neighbourhoods of the local mean and the local contrast, in parts of the frame.
_BLUR, _SPREAD = 1 / 40, 1 / 32
# How far the pilot follows the local contrast (0: everywhere alike), and the least contrast, in luma.
FOLLOWS, _LEAST = 0.4, 2.0
_WHITENING = -0.85


def local_contrast(picture: np.ndarray, side: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a luma picture without its local mean, and its local contrast; a frame has ``side`` pixels of it."""
    detail = picture - _blurred(picture, max(_BLUR * side, 0.5))
    return detail, np.sqrt(_blurred(detail * detail, max(_SPREAD * side, 0.5)))


def whiten(picture: np.ndarray, side: float) -> np.ndarray:
    """Return ``picture``, float32 (h, w), with equal energy at all places and frequencies; its mean square is 1."""
    detail, spread = local_contrast(picture, side)
    even = detail * (spread + np.float32(_LEAST)) ** np.float32(FOLLOWS - 2)
    spectrum = np.fft.rfft2(even)
    size = np.abs(spectrum)
    spectrum *= (size + 0.02 * size.mean() + 1e-9) ** np.float32(_WHITENING)
    white = np.fft.irfft2(spectrum, s=even.shape).astype(np.float32)
    return white / max(float(white.std()), 1e-9)


def pilot_strength(picture: np.ndarray, pilot: np.ndarray) -> float:
    """Return how far the pilot stands out of a whole frame, float32 (CANONICAL, CANONICAL), in deviations of chance."""
    white = whiten(picture, CANONICAL)
    return float((white * pilot).sum() / np.sqrt((white * white).sum()))


def _blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
