"""Photographs that come inside packages: people, animals, things and places, as profile pictures show them.

scikit-image, scikit-learn, matplotlib, imgaug and ultralytics have theirs in their Python packages, mate-backgrounds in
its Debian package, which is taken apart and not installed. Nothing is kept in the project. Sheets of texture, slides,
an eye's fundus and the deep sky are left out: nobody is told by them. No picture of a child is among them.
"""

from __future__ import annotations

import subprocess
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

_FOLDERS = {
    "skimage": "data",
    "sklearn": "datasets/images",
    "matplotlib": "mpl-data/sample_data",
    "imgaug": "",
    "ultralytics": "assets",
}
_DEBIAN = "mate-backgrounds"
# Name: package, file, and the square that is looked at, where it is not the middle or, of a tall one, the top.
PHOTOGRAPHS: dict[str, tuple[str, str, tuple[int, int, int, int] | None]] = {
    "astronaut": ("skimage", "astronaut.png", None),
    "astronaut, face": ("skimage", "astronaut.png", (130, 0, 330, 200)),
    "admiral": ("matplotlib", "grace_hopper.jpg", None),
    "admiral, face": ("matplotlib", "grace_hopper.jpg", (130, 20, 430, 320)),
    "trainer": ("ultralytics", "zidane.jpg", None),
    "second trainer": ("ultralytics", "zidane.jpg", (700, 0, 1150, 450)),
    "cameraman": ("skimage", "camera.png", None),
    "street": ("ultralytics", "bus.jpg", None),
    "cat": ("skimage", "chelsea.png", None),
    "quokka": ("imgaug", "quokka.jpg", None),
    "coffee": ("skimage", "coffee.png", None),
    "motorcycle": ("skimage", "motorcycle_left.png", None),
    "rocket": ("skimage", "rocket.jpg", None),
    "pagoda": ("sklearn", "china.jpg", None),
    "dahlia": ("sklearn", "flower.jpg", None),
    **{
        name: (_DEBIAN, f"{file}.jpg", None)
        for name, file in {
            "water": "Aqua", "leaf": "Blinds", "dune": "Dune", "orange flower": "FreshFlower", "garden": "Garden",
            "meadow": "GreenMeadow", "ladybird": "LadyBird", "rain drops": "RainDrops", "storm": "Storm",
            "dandelion": "TwoWings", "yellow flower": "YellowFlower",
        }.items()
    },
}  # fmt: skip
PORTRAITS = ("astronaut, face", "admiral, face", "cameraman")


def fetch(folder: Path) -> Path:
    """Take the Debian package apart in ``folder`` unless that has been done; return where its pictures are."""
    pictures = folder / "usr/share/backgrounds/mate/nature"
    if not pictures.exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "-q", _DEBIAN], cwd=folder, check=True, capture_output=True)
        (package,) = folder.glob(f"{_DEBIAN}_*.deb")
        subprocess.run(["dpkg-deb", "-x", package.name, "."], cwd=folder, check=True)
        package.unlink()
    return pictures


@lru_cache(maxsize=128)
def square(name: str, side: int, debian: Path) -> np.ndarray:
    """Return a photograph as RGB pixels, uint8 (side, side, 3)."""
    package, file, box = PHOTOGRAPHS[name]
    if package == _DEBIAN:
        path = debian / file
    else:
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            message = f"{package} is not installed; `make bench-watermark` installs it"
            raise FileNotFoundError(message)
        path = Path(spec.origin).parent / _FOLDERS[package] / file
    image = Image.open(path).convert("RGB")
    if box is None:
        width, height = image.size
        edge = min(width, height)
        top = (height - edge) // (2 if height <= 1.2 * width else 6)
        left = (width - edge) // 2
        box = (left, top, left + edge, top + edge)
    pixels = np.asarray(image.crop(box).resize((side, side), Image.Resampling.LANCZOS))
    pixels.flags.writeable = False
    return pixels
