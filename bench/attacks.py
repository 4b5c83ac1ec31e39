"""What happens to a picture that is copied: the attacks that the invisible watermark and its peers are measured under."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

Attack = Callable[[Image.Image, np.random.Generator], Image.Image]
_CUBIC = Image.Resampling.BICUBIC


def encoded(image: Image.Image, format_: str, quality: int, **options: object) -> Image.Image:
    """Return ``image`` after an encoder and a decoder."""
    buffer = BytesIO()
    image.save(buffer, format_, quality=quality, **options)
    return Image.open(buffer).convert("RGB")


def scaled(image: Image.Image, factor: float) -> Image.Image:
    """Return ``image`` resized by ``factor``."""
    return image.resize((round(image.width * factor), round(image.height * factor)), _CUBIC)


def _cropped(image: Image.Image, less: float, random: np.random.Generator) -> Image.Image:
    width, height = (round(extent * (1 - less)) for extent in image.size)
    left, top = random.integers(0, image.width - width + 1), random.integers(0, image.height - height + 1)
    return image.crop((int(left), int(top), int(left) + width, int(top) + height))


def _noisy(image: Image.Image, deviation: float, random: np.random.Generator) -> Image.Image:
    pixels = np.asarray(image) + random.normal(0, deviation, (image.height, image.width, 3))
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def _lettered(image: Image.Image) -> Image.Image:
    image = image.copy()
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=max(10, image.width // 10))
    for line, down in enumerate((0.15, 0.48, 0.8)):
        at = image.width * (0.04 + 0.1 * line), image.height * down
        draw.text(at, "LEAKED @user", fill="white", font=font, stroke_width=1, stroke_fill="black")
    return image


def _screenshot(image: Image.Image) -> Image.Image:
    small = scaled(image, 0.73)
    return encoded(small.crop((4, 4, small.width, small.height)), "JPEG", 80)


def _social(image: Image.Image) -> Image.Image:
    once = encoded(scaled(image, 1080 / image.width), "JPEG", 70)
    return encoded(scaled(once, 720 / 1080), "JPEG", 70)


def _smoothed(image: Image.Image) -> Image.Image:
    return Image.fromarray(cv2.bilateralFilter(cv2.medianBlur(np.asarray(image), 3), 5, 25, 3))


def _denoised(image: Image.Image) -> Image.Image:
    return Image.fromarray(cv2.fastNlMeansDenoisingColored(np.asarray(image), None, 5, 5, 5, 15))


ATTACKS: dict[str, Attack] = {
    "none": lambda i, _: i,
    "JPEG 90": lambda i, _: encoded(i, "JPEG", 90),
    "JPEG 75": lambda i, _: encoded(i, "JPEG", 75),
    "JPEG 50": lambda i, _: encoded(i, "JPEG", 50),
    "JPEG 30": lambda i, _: encoded(i, "JPEG", 30),
    "WebP 75": lambda i, _: encoded(i, "WEBP", 75),
    "WebP 50": lambda i, _: encoded(i, "WEBP", 50),
    "AVIF 50": lambda i, _: encoded(i, "AVIF", 50, speed=8),
    "half size and back": lambda i, _: scaled(scaled(i, 0.5), 2),
    "half size": lambda i, _: scaled(i, 0.5),
    "1.5 times the size": lambda i, _: scaled(i, 1.5),
    "crop 10 %": lambda i, r: _cropped(i, 0.10, r),
    "crop 25 %": lambda i, r: _cropped(i, 0.25, r),
    "crop 50 %": lambda i, r: _cropped(i, 0.50, r),
    "rotate 1°": lambda i, _: i.rotate(1, _CUBIC),
    "rotate 3°": lambda i, _: i.rotate(-3, _CUBIC),
    "brightness +20 %": lambda i, _: ImageEnhance.Brightness(i).enhance(1.2),
    "brightness -20 %": lambda i, _: ImageEnhance.Brightness(i).enhance(0.8),
    "contrast +20 %": lambda i, _: ImageEnhance.Contrast(i).enhance(1.2),
    "contrast -20 %": lambda i, _: ImageEnhance.Contrast(i).enhance(0.8),
    "noise 5": lambda i, r: _noisy(i, 5, r),
    "blur 1": lambda i, _: i.filter(ImageFilter.GaussianBlur(1)),
    "sharpen": lambda i, _: i.filter(ImageFilter.UnsharpMask(2, 100, 2)),
    "screenshot": lambda i, _: _screenshot(i),
    "social chain": lambda i, _: _social(i),
    "text overlay": lambda i, _: _lettered(i),
    "mirror": lambda i, _: i.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "median, bilateral": lambda i, _: _smoothed(i),
    "non-local means": lambda i, _: _denoised(i),
}
