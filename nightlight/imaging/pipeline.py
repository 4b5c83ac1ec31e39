"""One upload to all its renditions: the steps, in the order they are taken.

::

    probe      header only: format, size, caps
    decode     first frame; JPEG at the smallest DCT scale that suffices
    continuous palettes looked up, 16 bits to 8
    shrink     the kept square, at the largest edge that any tier asks for
    upright    EXIF orientation
    srgb       ICC profile to sRGB
    flatten    transparency over the background
    rebuild    raw pixels into a new image: nothing else passes
    then for every tier, from the largest edge to the smallest, each from the one before:
    resize, visible mark, encode

The picture is shrunk before it is turned and colour-managed, because those cost by the pixel.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from PIL import Image

from nightlight.errors import CorruptImage
from nightlight.imaging import crop, mark, normalise
from nightlight.imaging.decode import UNREADABLE, decode
from nightlight.imaging.encode import encode
from nightlight.imaging.probe import Header, probe
from nightlight.imaging.recipe import Recipe

# Measured against one Lanczos resize of a whole 12-megapixel decode (PSNR in dB, CPU ms, one core):
# the master, 2000 x 1500 to 1024: Lanczos 51.8 dB in 26.8 ms, Hamming 48.8 dB in 13.5 ms. The encoder's own
# loss is ten times either, so the master is made with Hamming. The cascade from it, 320 to 32: Lanczos
# with a gap of 1.5 (Pillow first reduces by a whole factor that leaves at least so much) 50.6, 54.4 and
# 42.7 dB in 5.0 ms; without a gap 10.7 ms.
_MASTER_FILTER, _MASTER_GAP = Image.Resampling.HAMMING, 2.0
_CASCADE_FILTER, _CASCADE_GAP = Image.Resampling.LANCZOS, 1.5


@dataclass(frozen=True, slots=True)
class Rendition:
    """One finished picture: its bytes, and its size in pixels."""

    recipe: Recipe
    data: bytes
    width: int
    height: int
    sha256: str


@dataclass(slots=True)
class Stages:
    """CPU milliseconds spent in each stage of one render."""

    ms: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the CPU time of the block to ``name``."""
        begin = time.thread_time_ns()
        try:
            yield
        finally:
            self.ms[name] = self.ms.get(name, 0.0) + (time.thread_time_ns() - begin) / 1e6


def render(
    data: bytes, recipes: Sequence[Recipe], *, max_pixels: int, max_side: int, stages: Stages | None = None
) -> list[Rendition]:
    """Return one rendition for each recipe (largest edge first, as ``recipes`` are sorted).

    Raises UnsupportedFormat, ImageTooLarge or CorruptImage; trying the same bytes again gives the same.
    """
    stages = stages or Stages()
    with stages.stage("probe"):
        header = probe(data, max_pixels=max_pixels, max_side=max_side)
    picture = master(data, header, edge=max(recipe.edge for recipe in recipes), stages=stages)
    renditions = []
    for recipe in recipes:
        edge = min(recipe.edge, *picture.size)
        with stages.stage("resize"):
            if picture.size != (edge, edge):
                picture = picture.resize((edge, edge), _CASCADE_FILTER, reducing_gap=_CASCADE_GAP)
        with stages.stage("mark"):
            shown = mark.crescents(picture) if recipe.visible_mark == "crescents" else picture
        with stages.stage("encode"):
            encoded = encode(shown, format=recipe.format, quality=recipe.quality, effort=recipe.effort)
        renditions.append(Rendition(recipe, encoded, edge, edge, hashlib.sha256(encoded).hexdigest()))
    return renditions


def master(data: bytes, header: Header, *, edge: int, stages: Stages | None = None) -> Image.Image:
    """Return the kept square, upright sRGB, at most ``edge`` pixels a side, free of metadata (mode RGB)."""
    stages = stages or Stages()
    with stages.stage("decode"):
        image, orientation = decode(data, header, edge=edge)
    icc_profile = image.info.get("icc_profile")
    try:
        with stages.stage("shrink"):
            image = _shrink(normalise.to_continuous(image), orientation, edge)
        with stages.stage("normalise"):
            image = normalise.upright(image, orientation)
            image = normalise.to_srgb(image, icc_profile)
            image = normalise.flatten(image)
            return normalise.rebuild(image)
    except UNREADABLE as error:
        message = f"{header.format}: {type(error).__name__}: {error}"
        raise CorruptImage(message) from error


def _shrink(image: Image.Image, orientation: int, edge: int) -> Image.Image:
    box = crop.square(*image.size, orientation)
    edge = min(edge, *image.size)
    return image.resize((edge, edge), _MASTER_FILTER, box=box, reducing_gap=_MASTER_GAP)
