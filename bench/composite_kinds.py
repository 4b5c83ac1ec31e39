"""Pictures in which a face is easily missed: a large face, changed, beside small clear ones.

Each is composed from photographs of adults. Where every face lies and how wide it is, is known from the place where it
was pasted. ``KINDS`` says what is done to the large face. Everything follows from a seed.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

# The large face is so wide, in shorter sides of the frame: 2.2 shows 0.45 of a face's width.
LARGE = (0.3, 2.2)
# Small clear faces beside it: between what the network still finds and the least share that is assumed anyway.
SMALL = (1 / 12, 1 / 5)
MOST_SMALL = 5
# Sides of the frames in pixels, and their shapes (width to height).
SIDES = (320, 512)
SHAPES = (1.0, 1.0, 4 / 3, 3 / 4, 2.0, 0.5)
LONG_SHAPES = (2.5, 4.0, 8.0, 1 / 2.5, 1 / 4)
# A face of which less than this share shows in a square is not counted.
SHOWN = 0.2
# Of a head that is cut out, the side in widths of its face.
HEAD = 1.7
BICUBIC = Image.Resampling.BICUBIC


@dataclass(frozen=True, slots=True)
class Portrait:
    """A photograph (RGB) and its face: the middle, and the width from ear to ear, in pixels."""

    image: Image.Image
    x: float
    y: float
    width: float


@dataclass(frozen=True, slots=True)
class TrueFace:
    """A face in a composite: its middle and its width in pixels, upright or not."""

    x: float
    y: float
    width: float

    def shown_px(self, left: float, top: float, side: float) -> float:
        """Return the pixels across the face that a square shows of it; 0 where hardly any of it shows."""
        half, height = self.width / 2, 1.3 * self.width
        across = min(self.x + half, left + side) - max(self.x - half, left)
        down = min(self.y + height / 2, top + side) - max(self.y - height / 2, top)
        shows = across > 0 and down > 0 and across * down >= SHOWN * min(self.width, side) * min(height, side)
        return across if shows else 0.0


@dataclass(frozen=True, slots=True)
class Composite:
    """A picture (RGB), what was done, and every face in it, the large one first."""

    kind: str
    picture: Image.Image
    faces: tuple[TrueFace, ...]


Change = Callable[[Image.Image, random.Random], Image.Image]


def _same(image: Image.Image, _: random.Random) -> Image.Image:
    return image


def _dark(image: Image.Image, rng: random.Random) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(rng.uniform(0.06, 0.3))


def _overexposed(image: Image.Image, rng: random.Random) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(rng.uniform(1.8, 3.5))


def _flat(image: Image.Image, rng: random.Random) -> Image.Image:
    return ImageEnhance.Contrast(image).enhance(rng.uniform(0.12, 0.3))


def _barred(image: Image.Image, rng: random.Random) -> Image.Image:
    """Draw bars over it, across or down, that hide a fifth to a third."""
    pixels = np.array(image)
    period = max(3, round(image.width * rng.uniform(0.06, 0.15)))
    wide = max(1, round(period * rng.uniform(0.2, 0.35)))
    colour = rng.choice([(0, 0, 0), (255, 255, 255), (120, 120, 120)])
    lines = pixels if rng.random() < 0.5 else pixels.swapaxes(0, 1)
    for begin in range(rng.randrange(period), image.width, period):
        lines[begin : begin + wide] = colour
    return Image.fromarray(pixels)


def _eyes_barred(image: Image.Image, rng: random.Random) -> Image.Image:
    """Draw one bar over the eyes of a photograph whose face is in its middle."""
    pixels = np.array(image)
    middle, half = image.height * 0.46, image.height * rng.uniform(0.03, 0.06)
    pixels[round(middle - half) : round(middle + half)] = 0
    return Image.fromarray(pixels)


def _mirrored(image: Image.Image, _: random.Random) -> Image.Image:
    return ImageOps.mirror(image)


def _drawing(image: Image.Image, rng: random.Random) -> Image.Image:
    """Make a pencil drawing: grey divided by its own blur."""
    grey = np.asarray(image.convert("L"), dtype=np.float32)
    soft = np.asarray(image.convert("L").filter(ImageFilter.GaussianBlur(rng.uniform(3, 7))), dtype=np.float32)
    return Image.fromarray(np.clip(255 * grey / np.maximum(soft, 1), 0, 255).astype(np.uint8)).convert("RGB")


def _poster(image: Image.Image, rng: random.Random) -> Image.Image:
    """Leave four or eight levels in each colour."""
    return ImageOps.posterize(ImageOps.autocontrast(image.filter(ImageFilter.MedianFilter(5))), rng.choice([2, 3]))


@dataclass(frozen=True, slots=True)
class Kind:
    """What is done to the large face: how it is changed, turned (degrees from, to) and placed."""

    change: Change = _same
    turn: tuple[float, float] = (-15, 15)
    at_border: bool = False
    shapes: tuple[float, ...] = SHAPES


KINDS: dict[str, Kind] = {
    "close": Kind(),
    "turned by 45 to 90": Kind(turn=(45, 90)),
    "turned by 90": Kind(turn=(85, 95)),
    "turned by 270": Kind(turn=(265, 275)),
    "turned by 100 to 170": Kind(turn=(100, 170)),
    "turned by 180": Kind(turn=(175, 185)),
    "dark": Kind(_dark),
    "overexposed": Kind(_overexposed),
    "flat": Kind(_flat),
    "barred": Kind(_barred),
    "eyes barred": Kind(_eyes_barred),
    "mirrored": Kind(_mirrored),
    "at the border": Kind(at_border=True),
    "drawing": Kind(_drawing),
    "poster": Kind(_poster),
    "long picture": Kind(shapes=LONG_SHAPES),
}


def ground(size: tuple[int, int], portraits: Sequence[Portrait], rng: random.Random) -> Image.Image:
    """Return a background (RGB): plain, a gradient, noise, or the edge of a photograph, enlarged."""
    choice = rng.randrange(4)
    if choice == 0:
        return Image.new("RGB", size, tuple(rng.randrange(256) for _ in range(3)))
    if choice == 1:
        corners = np.random.default_rng(rng.randrange(1 << 30)).integers(0, 256, (2, 2, 3), dtype=np.uint8)
        return Image.fromarray(corners).resize(size, Image.Resampling.BILINEAR)
    if choice == 2:
        grain = np.random.default_rng(rng.randrange(1 << 30)).integers(0, 256, (24, 24, 3), dtype=np.uint8)
        return Image.fromarray(grain).resize(size, BICUBIC)
    image = rng.choice(portraits).image
    strip = image.crop((0, 0, image.width, image.height // 8))
    return strip.resize(size, BICUBIC)


def compose(kind: str, portraits: Sequence[Portrait], seed: int, *, small: int | None = None) -> Composite:
    """Return a composite of ``kind`` with one to five small faces, or ``small`` of them."""
    rng = random.Random(seed)
    how = KINDS[kind]
    picture, frame = _empty(how, portraits, rng)
    large = _paste_large(picture, frame, how, rng.choice(portraits), rng)
    count = rng.randint(1, MOST_SMALL) if small is None else small
    smalls = _paste_small(picture, frame, large, [rng.choice(portraits) for _ in range(count)], rng)
    return Composite(kind, picture, (large, *smalls))


def small_faces_alone(portraits: Sequence[Portrait], rng: random.Random) -> tuple[Image.Image, list[TrueFace]]:
    """Return a picture of one to five small faces without a large one."""
    picture, frame = _empty(KINDS["close"], portraits, rng)
    nowhere = TrueFace(-1e4, -1e4, 1)
    people = [rng.choice(portraits) for _ in range(rng.randint(1, MOST_SMALL))]
    return picture, _paste_small(picture, frame, nowhere, people, rng)


Box = tuple[float, float, float, float]


def _empty(how: Kind, portraits: Sequence[Portrait], rng: random.Random) -> tuple[Image.Image, Box]:
    """Return the ground and the part of it, at most twice as long as wide, that the faces lie in."""
    side, shape = rng.randint(*SIDES), rng.choice(how.shapes)
    width, height = (round(side * shape), side) if shape > 1 else (side, round(side / shape))
    picture = ground((width, height), portraits, rng)
    left, top = rng.uniform(0, max(0, width - 2 * height)), rng.uniform(0, max(0, height - 2 * width))
    return picture, (left, top, left + min(width, 2 * height), top + min(height, 2 * width))


def _paste_large(picture: Image.Image, frame: Box, how: Kind, portrait: Portrait, rng: random.Random) -> TrueFace:
    side = min(picture.size)
    width = side * rng.uniform(*LARGE)
    factor = width / portrait.width
    image = how.change(portrait.image, rng)
    mask = Image.new("L", image.size, 255)
    angle = rng.uniform(*how.turn)
    x, y = _place(frame, width, how, rng)
    radians = math.radians(angle)
    cosine, sine = math.cos(radians) / factor, math.sin(radians) / factor
    across = (cosine, -sine, portrait.x - cosine * x + sine * y)
    down = (sine, cosine, portrait.y - sine * x - cosine * y)
    for source in (image, mask):
        source.load()
    turned = image.transform(picture.size, Image.Transform.AFFINE, across + down, BICUBIC)
    shown = mask.transform(picture.size, Image.Transform.AFFINE, across + down)
    picture.paste(turned, (0, 0), shown)
    return TrueFace(x, y, width)


def _place(frame: Box, width: float, how: Kind, rng: random.Random) -> tuple[float, float]:
    """Return a middle: most of the face shows, or at the border about half of it."""
    left, top, right, bottom = frame
    if how.at_border:
        x, y = rng.uniform(left, right), rng.uniform(top, bottom)
        return rng.choice([(left, y), (right, y), (x, top), (x, bottom), (left, top), (right, bottom)])
    spare_x, spare_y = (right - left) / 2 - width / 2, (bottom - top) / 2 - 0.65 * width
    reach_x, reach_y = max(0.1 * (right - left), spare_x), max(0.1 * (bottom - top), spare_y)
    return (left + right) / 2 + rng.uniform(-1, 1) * reach_x, (top + bottom) / 2 + rng.uniform(-1, 1) * reach_y


def _paste_small(
    picture: Image.Image, frame: Box, large: TrueFace, portraits: Sequence[Portrait], rng: random.Random
) -> list[TrueFace]:
    """Paste small heads along the edges of the frame, away from the middle of the large face."""
    faces: list[TrueFace] = []
    left, top, right, bottom = frame
    for portrait in portraits:
        width = min(picture.size) * rng.uniform(*SMALL)
        side = round(HEAD * width)
        half = HEAD / 2 * portrait.width
        head = portrait.image.resize((side, side), BICUBIC, box=_inside(portrait, half), reducing_gap=2.0)
        for _ in range(20):
            x, y = rng.uniform(left, right - side), rng.uniform(top, bottom - side)
            near = min(x - left, right - side - x, y - top, bottom - side - y) < 0.06 * side
            far = math.hypot(x + side / 2 - large.x, y + side / 2 - large.y) > 0.45 * min(large.width, *picture.size)
            clear = all(math.hypot(x + side / 2 - face.x, y + side / 2 - face.y) > side for face in faces)
            if clear and (near or far):
                picture.paste(head, (round(x), round(y)))
                faces.append(TrueFace(x + side / 2, y + side / 2, width))
                break
    return faces


def _inside(portrait: Portrait, half: float) -> Box:
    """Return the square around a face, moved into the photograph where it reaches beyond."""
    half = min(half, portrait.image.width / 2, portrait.image.height / 2)
    x = min(max(portrait.x, half), portrait.image.width - half)
    y = min(max(portrait.y, half), portrait.image.height - half)
    return x - half, y - half, x + half, y + half
