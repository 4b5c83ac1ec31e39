"""Copies of pictures as people make them, and pictures that are copies of nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

Copy = Callable[[Image.Image, np.random.Generator], Image.Image]
# Photographs that come inside packages which the tests install.
PHOTOGRAPHS = {
    "skimage": ("astronaut.png", "camera.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png"),
    "matplotlib": ("grace_hopper.jpg",),
    "sklearn": ("china.jpg", "flower.jpg"),
}
_FOLDERS = {"skimage": "data", "matplotlib": "mpl-data/sample_data", "sklearn": "datasets/images"}
_MOST_SIDE = 1024


def photographs() -> Iterator[tuple[str, Image.Image]]:
    """Yield (name, picture) of the photographs of those packages that are installed."""
    for package, names in PHOTOGRAPHS.items():
        module = find_spec(package)
        for name in names if module is not None and module.origin else ():
            picture = Image.open(Path(module.origin).parent / _FOLDERS[package] / name).convert("RGB")
            picture.thumbnail((_MOST_SIDE, _MOST_SIDE))
            yield name, picture


def encoded(picture: Image.Image, quality: int) -> Image.Image:
    """Return a picture after JPEG."""
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def cut_share(kept: float, dice: np.random.Generator) -> tuple[float, float, float, float]:
    """Return the left, upper, right and lower edge of a part with ``kept`` of each side, as shares of the sides."""
    x, y = dice.uniform(0, 1 - kept, 2)
    return x, y, x + kept, y + kept


def _cut(picture: Image.Image, kept: float, dice: np.random.Generator) -> Image.Image:
    """Return a part with ``kept`` of each side, anywhere."""
    box = (round(share * side) for share, side in zip(cut_share(kept, dice), picture.size * 2, strict=True))
    return encoded(picture.crop(tuple(box)), 75)


def _lettered(picture: Image.Image) -> Image.Image:
    """Return a picture with a caption across its foot and a name in its middle."""
    picture = picture.copy()
    draw, (width, height) = ImageDraw.Draw(picture), picture.size
    font = ImageFont.load_default(size=max(10, width // 16))
    for text, across, down in (("look who this is", 0.08, 0.86), ("@someone_else", 0.3, 0.5)):
        draw.text((width * across, height * down), text, "white", font, stroke_width=2, stroke_fill="black")
    return encoded(picture, 75)


def _screenshot(picture: Image.Image, dice: np.random.Generator, *, enlarged: bool = True) -> Image.Image:
    """Return a phone's screen with the picture in an app: bars, a name and lines of text around it.

    An app enlarges a small picture to the screen's width, or leaves it as it is.
    """
    width, height, dark = 540, 1170, dice.random() < 0.5
    if enlarged and picture.width < width:
        picture = picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.BICUBIC)
    ink = (240, 240, 240) if dark else (20, 20, 20)
    screen = Image.new("RGB", (width, height), (18, 18, 18) if dark else (255, 255, 255))
    shown = picture.copy()
    shown.thumbnail((width if dice.random() < 0.5 else int(width * dice.uniform(0.8, 0.97)), int(height * 0.65)))
    top = int(dice.uniform(0.1, 0.22) * height)
    screen.paste(shown, ((width - shown.width) // 2, top))
    draw, font = ImageDraw.Draw(screen), ImageFont.load_default(22)
    draw.text((20, 10), "12:34", ink, font)
    draw.ellipse((20, 50, 70, 100), fill=(200, 80, 80))
    draw.text((85, 60), "someone_else", ink, font)
    for line in range(4):
        text = "liked by 23 others and more of this"[: int(dice.integers(10, 34))]
        draw.text((20, top + shown.height + 20 + 40 * line), text, ink, font)
    return encoded(screen, 80)


CUT, CUT_KEPT = "cut by 25 % of each side", 0.75
COPIES: dict[str, Copy] = {
    "JPEG 50": lambda picture, _: encoded(picture, 50),
    "half size": lambda picture, _: encoded(picture.resize((picture.width // 2, picture.height // 2)), 85),
    CUT: lambda picture, dice: _cut(picture, CUT_KEPT, dice),
    "cut by up to 25 %": lambda picture, dice: _cut(picture, dice.uniform(0.75, 1), dice),
    "mirrored": lambda picture, _: encoded(ImageOps.mirror(picture), 75),
    "with text": lambda picture, _: _lettered(picture),
    "screenshot": _screenshot,
    "screenshot, not enlarged": lambda picture, dice: _screenshot(picture, dice, enlarged=False),
}


def rendering(number: int) -> Image.Image:
    """Return a picture of shapes, shades and grain that no other number gives."""
    dice = np.random.default_rng(number)
    side = 128
    y, x = np.mgrid[0:side, 0:side] / side
    layers = np.zeros((side, side))
    for _ in range(int(dice.integers(3, 9))):
        across, down, phase = dice.uniform(-6, 6), dice.uniform(-6, 6), dice.uniform(0, 6.3)
        layers += dice.uniform(0.3, 1) * np.sin(2 * np.pi * (across * x + down * y) + phase)
    for _ in range(int(dice.integers(2, 12))):
        cx, cy, size = *dice.uniform(0, 1, 2), dice.uniform(0.05, 0.3)
        inside = (
            (x - cx) ** 2 + (y - cy) ** 2 < size**2
            if dice.random() < 0.5
            else (np.maximum(abs(x - cx), abs(y - cy)) < size)
        )
        layers = np.where(inside, layers * 0.3 + dice.uniform(-3, 3), layers)
    layers += dice.normal(0, dice.uniform(0, 0.3), layers.shape)
    low, high = layers.min(), layers.max()
    return Image.fromarray(((layers - low) / (high - low) * 255).astype(np.uint8), "L")
