"""Inputs that LargeFace is fitted to, and where a large face has its middle in each.

With a large face: the composites of ``bench/composite_kinds.py``. Without: the same with small faces alone, groups and
half bodies whose faces are painted over, parts of photographs beside the face, and pictures of other things. Each goes
through the product's own painting and canvas. Nothing of a photograph is kept but these 72 x 72 pixels, while fitting.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
from PIL import Image

from bench import composite_kinds
from bench.composite_kinds import KINDS, Portrait, TrueFace, compose, ground, small_faces_alone
from nightlight.imaging import face
from nightlight.imaging.face import Face, FaceDetector, SquareInput, painted_over, small_copy
from nightlight.imaging.face_networks import LARGE_FACE_CELLS, LARGE_FACE_SIDE

# A cell is the middle of a face within MIDDLE of its width and height, says nothing up to NEAR, and is none beyond.
MIDDLE, NEAR = 0.25, 0.62
# A face of which less shows, or that is narrower in sides of the frame, is not asked for.
LEAST_SHOWN, LEAST_WIDTH = 0.2, 0.2
# Frames' sides in pixels: the input has 72, so smaller ones than the bench's serve.
SIDES = (300, 340)
KINDS_USED = [kind for kind in KINDS if kind != "long picture"]
# Of the composites, so many have no small face beside the large one.
ALONE = 0.15
# CenterFace's boxes, in widths of the face.
BOX = 0.93
BICUBIC = Image.Resampling.BICUBIC

Sample = tuple[np.ndarray, np.ndarray]


def cells(canvas: SquareInput, frame: Image.Image, large: TrueFace | None) -> np.ndarray:
    """Return int8 (cells, cells): 1 where the middle of the large face is, -1 near it, 0 elsewhere."""
    labels = np.zeros((LARGE_FACE_CELLS, LARGE_FACE_CELLS), np.int8)
    if large is None:
        return labels
    half, high = large.width / 2, 0.65 * large.width
    left, right = max(0.0, large.x - half), min(float(frame.width), large.x + half)
    top, bottom = max(0.0, large.y - high), min(float(frame.height), large.y + high)
    if right <= left or bottom <= top:
        return labels
    most = min(large.width, frame.width) * min(2 * high, frame.height)
    x, y = canvas.middles()
    away = np.hypot((x - (left + right) / 2) / (right - left), (y - (top + bottom) / 2) / (bottom - top))
    if (right - left) * (bottom - top) < LEAST_SHOWN * most or right - left < LEAST_WIDTH * min(frame.size):
        labels[away < NEAR] = -1
        return labels
    labels[away < NEAR] = -1
    labels[(away < MIDDLE) | (away == away.min())] = 1
    return labels


def sample(frame: Image.Image, small: list[TrueFace], large: TrueFace | None, rng: random.Random) -> Sample:
    """Return the network's input for a frame whose small faces are painted over, and its cells."""
    rest = painted_over(small_copy(frame), frame, [_box(each, rng) for each in small])
    canvas = SquareInput(rest, frame, LARGE_FACE_SIDE, 1.0)
    return canvas.pixels, cells(canvas, frame, large)


def _box(true: TrueFace, rng: random.Random) -> Face:
    width = BOX * true.width * rng.uniform(0.9, 1.1)
    height = 1.3 * width * rng.uniform(0.9, 1.1)
    return Face(true.x - width / 2, true.y - height / 2, width, height, 0.9)


def with_a_face(portraits: list[Portrait], count: int, seed: int) -> Iterator[Sample]:
    """Yield composites."""
    rng = random.Random(seed)
    with patch.object(composite_kinds, "SIDES", SIDES):
        for number in range(count):
            alone = 0 if rng.random() < ALONE else None
            composite = compose(KINDS_USED[number % len(KINDS_USED)], portraits, seed + number, small=alone)
            large, *small = composite.faces
            yield sample(composite.picture, small, large, rng)


def without_a_face(portraits: list[Portrait], count: int, seed: int) -> Iterator[Sample]:
    """Yield grounds with small faces, groups, half bodies, and parts of photographs beside the face."""
    rng = random.Random(seed)
    with patch.object(composite_kinds, "SIDES", SIDES):
        for number in range(count):
            make = (_alone, _group, _half_body, _half_body, _painted, _beside, _beside)[number % 7]
            yield make(portraits, rng)


def _alone(portraits: list[Portrait], rng: random.Random) -> Sample:
    picture, small = small_faces_alone(portraits, rng)
    return sample(picture, small, None, rng)


def _group(portraits: list[Portrait], rng: random.Random) -> Sample:
    across = rng.choice([2, 3])
    side = 336 // across
    picture = Image.new("RGB", (side * across, side * across))
    faces = [
        _paste(picture, rng.choice(portraits), place % across * side, place // across * side, side)
        for place in range(across * across)
    ]
    return sample(picture, faces, None, rng)


def _half_body(portraits: list[Portrait], rng: random.Random) -> Sample:
    picture = ground(rng.choice([(320, 320), (400, 300), (300, 400)]), portraits, rng)
    side = rng.randint(140, 220)
    left, top = rng.randint(0, picture.width - side), rng.randint(0, picture.height - side)
    return sample(picture, [_paste(picture, rng.choice(portraits), left, top, side)], None, rng)


def _painted(portraits: list[Portrait], rng: random.Random) -> Sample:
    """Paint over a large face too: what is around it is no face."""
    portrait = rng.choice(portraits)
    with patch.object(face, "PAINTED_SHARE", 9):
        return sample(portrait.image, [TrueFace(portrait.x, portrait.y, portrait.width)], None, rng)


def _beside(portraits: list[Portrait], rng: random.Random) -> Sample:
    portrait = rng.choice(portraits)
    far, above, (width, height) = 0.75 * portrait.width, 0.95 * portrait.width, portrait.image.size
    parts = [
        (0, portrait.y + far, width, height),
        (0, 0, portrait.x - far, height),
        (portrait.x + far, 0, width, height),
        (0, 0, width, portrait.y - above),
    ]
    parts = [part for part in parts if min(part[2] - part[0], part[3] - part[1]) > 35]
    if not parts:
        return _alone(portraits, rng)
    left, top, right, bottom = rng.choice(parts)
    side = rng.uniform(0.6, 1) * min(right - left, bottom - top)
    left, top = rng.uniform(left, right - side), rng.uniform(top, bottom - side)
    box = tuple(round(at) for at in (left, top, left + side, top + side))
    return sample(portrait.image.crop(box).resize((320, 320), BICUBIC), [], None, rng)


def _paste(picture: Image.Image, portrait: Portrait, left: int, top: int, side: int) -> TrueFace:
    picture.paste(portrait.image.resize((side, side), BICUBIC, reducing_gap=2.0), (left, top))
    scale = side / portrait.image.width
    return TrueFace(left + portrait.x * scale, top + portrait.y * scale, portrait.width * scale)


def of_other_things(paths: list[Path], detector: FaceDetector, seed: int) -> Iterator[Sample]:
    """Yield pictures in which CenterFace sees no candidate, and a part of each."""
    rng = random.Random(seed)
    for path in paths:
        frame = Image.open(path).convert("RGB")
        frame.thumbnail((1024, 1024))
        if detector.find(frame).faces:
            continue
        yield sample(frame, [], None, rng)
        width, height = (round(length * rng.uniform(0.4, 0.9)) for length in frame.size)
        left, top = rng.randint(0, frame.width - width), rng.randint(0, frame.height - height)
        yield sample(frame.crop((left, top, left + width, top + height)), [], None, rng)
