"""Pictures for tests: generated, or real photographs that come inside scikit-image."""

from functools import lru_cache
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image


def gradient(width, height, *, seed=0):
    """A smooth RGB picture in which every place has its own colour, with some texture."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    noise = np.random.default_rng(seed).normal(0, 4, (height, width))
    red = 40 + 170 * x / max(1, width - 1)
    green = 40 + 170 * y / max(1, height - 1)
    blue = 128 + 60 * np.sin(x / 17 + seed) * np.cos(y / 23)
    stacked = np.stack([red, green, blue], axis=-1) + noise[..., None]
    return Image.fromarray(np.clip(stacked, 0, 255).astype(np.uint8))


def encoded(image, format_="JPEG", **options):
    buffer = BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def jpeg(width=640, height=480, *, seed=0, **options):
    return encoded(gradient(width, height, seed=seed), "JPEG", quality=90, **options)


@lru_cache(maxsize=1)
def slow_webp(side=6000):
    """A valid picture of 36 megapixels, under the caps, that takes a worker more than a second to render."""
    tile = np.random.default_rng(3).integers(0, 255, (500, 500, 3), dtype=np.uint8)
    return encoded(Image.fromarray(np.tile(tile, (side // 500, side // 500, 1))), "WEBP", quality=10, method=0)


def photograph(name="astronaut.png"):
    return (Path(find_spec("skimage").origin).parent / "data" / name).read_bytes()


def opened(data):
    return Image.open(BytesIO(data), formats=["WEBP", "JPEG", "PNG"])


def psnr(left, right):
    """Peak signal-to-noise ratio in dB of two pictures of the same size."""
    a = np.asarray(left.convert("RGB"), dtype=np.float64)
    b = np.asarray(right.convert("RGB"), dtype=np.float64)
    error = np.mean((a - b) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))
