"""What a case of ``make colour`` is, its picture, and the colour spaces that cases state by numbers."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from tests.support import pictures

# Number of primaries, of transfer, and whether the picture is HDR.
NUMBERED = {
    "sRGB": (1, 13),
    "P3": (12, 13),
    "BT.2020": (9, 13),
    "BT.2020, camera": (9, 14),
    "BT.709": (1, 1),
    "BT.601": (6, 6),
    "xvYCC": (1, 11),
    "DCI-P3": (11, 13),
    "linear": (1, 8),
    "gamma 2.2": (1, 4),
    "gamma 2.8": (1, 5),
    "unspecified": (2, 2),
    "unspecified primaries": (2, 13),
    "unspecified transfer": (12, 2),
    "unknown": (99, 99),
    "PQ": (9, 16),
    "PQ, P3": (12, 16),
    "HLG": (9, 18),
    "HLG, P3": (12, 18),
}


@dataclass(frozen=True)
class Case:
    """A file. ``like``: another file that must look the same, for Chromium where it does not read this one rightly."""

    name: str
    data: bytes
    hdr: bool = False
    like: bytes | None = None


def photograph(width=120, height=90):
    with Image.open(io.BytesIO(pictures.photograph())) as image:
        shown = image.convert("RGB").crop((100, 0, 400, 225)).resize((width, height), Image.Resampling.LANCZOS)
    return Image.fromarray(np.asarray(shown))  # without the profile that the file has
