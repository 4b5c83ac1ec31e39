"""Face detectors beside one another: which share of faces they find, by width, turned and close, and what they cost.

Every detector is given the same frames of 192 x 192 pixels, as the product gives them to CenterFace. Each frame shows one
face of an adult on a part of a photograph without a face. ``close`` faces are wider than half the frame. Each detector's
threshold is the lowest at which at most one in a hundred frames without a face has a find; a face is found where the
middle of a find lies within half its width of its middle, and is a third to three times as wide.

YuNet (Wu, Peng, Yu 2023, ``onnx/yunet_n_dynamic.onnx`` of its training code) and RFB-320 (Linzaer's,
version-RFB-320.onnx) are in no package that can be installed. Name their files; without them the product's own are
measured.

    python bench/detectors.py --faces FOLDER [--yunet FILE] [--rfb FILE] [--count N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from pathlib import Path

from nightlight import one_thread  # noqa: F401 - before numpy is imported

# isort: split

import cv2
import numpy as np
from PIL import Image, ImageDraw
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench import photographs
from bench.composite_kinds import HEAD, Portrait
from bench.composites import first_photographs, portraits, wilson
from nightlight.imaging.face import FaceDetector
from nightlight.imaging.face_networks import LARGE_FACE_CELLS, LARGE_FACE_SIDE, CenterFace, LargeFace

SIDE = 192
# Not used as a background: people, and what comes in a package that this bench does not install.
PEOPLE = {
    "quokka",
    "astronaut",
    "astronaut, face",
    "admiral",
    "admiral, face",
    "trainer",
    "second trainer",
    "cameraman",
    "street",
}
# Name: widths in pixels of the frame, degrees.
CASES = {
    "8 px": ((8, 8), 0), "12 px": ((12, 12), 0), "16 px": ((16, 16), 0), "24 px": ((24, 24), 0),
    "16 px, 30": ((16, 16), 30), "16 px, 90": ((16, 16), 90), "16 px, 180": ((16, 16), 180),
    "48 px, 90": ((48, 48), 90), "48 px, 180": ((48, 48), 180),
    "close": ((0.55 * SIDE, 0.9 * SIDE), 0), "wider than the frame": ((1.0 * SIDE, 1.8 * SIDE), 0),
    "close, 90": ((0.55 * SIDE, 0.9 * SIDE), 90), "close, 180": ((0.55 * SIDE, 0.9 * SIDE), 180),
}  # fmt: skip
FALSE = 0.01
# Finds: float (n, 4): the middle (x, y) and the width in pixels of the frame, and the score.
Finds = np.ndarray


class ByCenterFace:
    def __init__(self):
        self.network = CenterFace()

    def __call__(self, frame):
        boxes = self.network.find(frame, 0.02)
        return np.stack(
            (boxes[:, 0] + boxes[:, 2] / 2, boxes[:, 1] + boxes[:, 3] / 2, boxes[:, 2], boxes[:, 4]), axis=1
        )


class ByLargeFace:
    """Of faces from a fifth of the frame on, LargeFace says where the middle lies and not how wide it is."""

    def __init__(self):
        self.network = LargeFace()

    def __call__(self, frame):
        small = Image.fromarray(frame).resize((LARGE_FACE_SIDE,) * 2, Image.Resampling.BOX)
        logits = self.network.find(np.asarray(small))
        rows, columns = np.mgrid[:LARGE_FACE_CELLS, :LARGE_FACE_CELLS]
        places = (np.stack((columns.ravel(), rows.ravel())) + 0.5) * SIDE / LARGE_FACE_CELLS
        return np.stack((*places, np.full(logits.size, np.nan), logits.ravel()), axis=1)


class ByYuNet:
    def __init__(self, path):
        self.network = cv2.FaceDetectorYN.create(str(path), "", (SIDE, SIDE), 0.02, 0.3, 500)

    def __call__(self, frame):
        _, boxes = self.network.detect(np.ascontiguousarray(frame[:, :, ::-1]))
        if boxes is None:
            return np.empty((0, 4))
        return np.stack(
            (boxes[:, 0] + boxes[:, 2] / 2, boxes[:, 1] + boxes[:, 3] / 2, boxes[:, 2], boxes[:, 14]), axis=1
        )


class ByRfb:
    """RFB-320 wants 320 x 240 pixels: the frame is enlarged to 240 and has grey beside it."""

    def __init__(self, path):
        self.network = cv2.dnn.readNetFromONNX(str(path))

    def __call__(self, frame):
        canvas = np.full((240, 320, 3), 127, np.float32)
        canvas[:, :240] = cv2.resize(frame, (240, 240), interpolation=cv2.INTER_CUBIC)
        self.network.setInput(np.ascontiguousarray(((canvas - 127) / 128).transpose(2, 0, 1)[None]))
        scores, boxes = self.network.forward(("scores", "boxes"))
        kept = scores[0, :, 1] >= 0.02
        left, top, right, bottom = (boxes[0, kept] * (320, 240, 320, 240) * (SIDE / 240)).T
        return np.stack(((left + right) / 2, (top + bottom) / 2, right - left, scores[0, kept, 1]), axis=1)


def background(dice, debian):
    """Return a part of a photograph without a face, uint8 (SIDE, SIDE, 3)."""
    name = dice.choice([name for name in photographs.PHOTOGRAPHS if name not in PEOPLE])
    image = Image.fromarray(photographs.square(name, 768, debian))
    side = dice.randint(SIDE, 768)
    left, top = dice.randint(0, 768 - side), dice.randint(0, 768 - side)
    return image.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def with_face(picture, portrait: Portrait, width, degrees, dice):
    """Paste a face; return the frame (uint8) and the middle of the face in its pixels."""
    image = portrait.image.rotate(degrees, Image.Resampling.BICUBIC, center=(portrait.x, portrait.y))
    half = HEAD / 2 * portrait.width
    wanted = round(HEAD * width)
    box = tuple(round(value) for value in (portrait.x - half, portrait.y - half, portrait.x + half, portrait.y + half))
    head = image.crop(box).resize((wanted, wanted), Image.Resampling.LANCZOS)
    mask = Image.new("L", head.size, 0)
    ImageDraw.Draw(mask).ellipse((0, 0, wanted - 1, wanted - 1), fill=255)
    low, high = min(wanted / 2, SIDE / 2), max(SIDE - wanted / 2, SIDE / 2)
    x, y = dice.uniform(low, high), dice.uniform(low, high)
    picture.paste(head, (round(x - wanted / 2), round(y - wanted / 2)), mask)
    return np.asarray(picture), (x, y)


def hit(finds, middle, width, threshold):
    for x, y, wide, score in finds:
        near = np.hypot(x - middle[0], y - middle[1]) <= width / 2
        if score > threshold and near and (np.isnan(wide) or width / 3 <= wide <= 3 * width):
            return True
    return False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--faces", type=Path, required=True, help="a folder with a folder of photographs for each person"
    )
    parser.add_argument("--yunet", type=Path)
    parser.add_argument("--rfb", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    detectors = {"CenterFace": ByCenterFace(), "LargeFace (from a fifth of the frame on)": ByLargeFace()}
    if options.yunet:
        detectors["YuNet"] = ByYuNet(options.yunet)
    if options.rfb:
        detectors["RFB-320"] = ByRfb(options.rfb)
    dice = random.Random(20)
    debian = photographs.fetch(Path(tempfile.gettempdir()) / "nightlight-photographs")
    people = portraits(first_photographs(options.faces, 2), FaceDetector(), options.count)
    empty = [np.asarray(background(dice, debian)) for _ in range(4 * options.count)]
    thresholds, costs = {}, {}
    for name, detector in detectors.items():
        highest, times = [], []
        for frame in track(empty, name, transient=True):
            begin = time.thread_time_ns()
            finds = detector(frame)
            times.append((time.thread_time_ns() - begin) / 1e6)
            highest.append(max(finds[:, 3], default=-np.inf))
        thresholds[name], costs[name] = float(np.quantile(highest, 1 - FALSE)), statistics.median(times)
    table = Table("a face", *(f"{name}, %" for name in detectors))
    figures = {"thresholds": thresholds, "cpu_ms": costs, "found": {}}
    for case, (widths, degrees) in track(CASES.items(), transient=True):
        hits_of = dict.fromkeys(detectors, 0)
        for portrait in people:
            width = dice.uniform(*widths)
            frame, middle = with_face(background(dice, debian), portrait, width, degrees, dice)
            for name, detector in detectors.items():
                hits_of[name] += hit(detector(frame), middle, width, thresholds[name])
        figures["found"][case] = hits_of
        cells = [
            f"{100 * hits / len(people):.0f} ({100 * low:.0f} to {100 * high:.0f})"
            for hits in hits_of.values()
            for low, high in [wilson(hits, len(people))]
        ]
        table.add_row(case, *cells)
    table.add_row("threshold", *(f"{value:.2f}" for value in thresholds.values()))
    table.add_row("CPU ms a frame", *(f"{value:.1f}" for value in costs.values()))
    Console(width=150).print(table)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
