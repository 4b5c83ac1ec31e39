"""Draws the placeholder: a plain head and shoulders. ``python -m tests.support.silhouette FILE``."""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image, ImageDraw

from nightlight.imaging.encode import encode

EDGE = 128
GROUND = (216, 220, 226)
FIGURE = (168, 175, 186)
# Drawn at four times the size and reduced, which smooths the edges.
_SCALE = 4


def draw() -> Image.Image:
    """Return the placeholder as RGB, EDGE pixels a side."""
    side = EDGE * _SCALE
    image = Image.new("RGB", (side, side), GROUND)
    pen = ImageDraw.Draw(image)
    pen.ellipse((side * 0.33, side * 0.20, side * 0.67, side * 0.54), fill=FIGURE)
    pen.ellipse((side * 0.18, side * 0.62, side * 0.82, side * 1.30), fill=FIGURE)
    return image.resize((EDGE, EDGE), Image.Resampling.BOX)


def main() -> None:
    """Write the placeholder to the file named on the command line."""
    Path(sys.argv[1]).write_bytes(encode(draw(), format="webp", quality=80, effort=6))


if __name__ == "__main__":
    main()
