"""The last step to the frame, outside the sandbox: a picture that is little larger is interpolated by OpenCV.

It takes a sixth of the time of Pillow's filter. PSNR against Lanczos in dB, mean of 11 photographs: at a factor of 1.1
Hamming 48.1, cubic 53.4; at 1.33 Hamming 49.3, linear 48.9; at 1.5 Hamming 49.4, linear 48.3; at 1.95 Hamming 48.9,
linear 46.0. The sandbox's helper holds no OpenCV: it would take 10 MB more.
"""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image

from nightlight.imaging.crop import fitted_size

# Up to this factor a picture is interpolated cubically, beyond it linearly.
_CUBIC = 1.2


def interpolated(pixels: np.ndarray, edge: int) -> Image.Image:
    """Return RGB pixels, uint8 (h, w, 3), as a picture whose shorter side has ``edge`` pixels at most."""
    height, width = pixels.shape[:2]
    size = fitted_size((0, 0, width, height), edge)
    if size == (width, height):
        return Image.fromarray(pixels)
    method = cv2.INTER_CUBIC if min(width, height) / edge <= _CUBIC else cv2.INTER_LINEAR
    return Image.fromarray(cv2.resize(pixels, size, interpolation=method))
