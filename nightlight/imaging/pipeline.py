"""One upload to all its renditions: the steps, in the order they are taken.

::

    probe      header only: format, size, caps
    frame      in the cage: decode, shrink, upright, sRGB, no transparency   (frame, cage)
    face       where the faces are, on a small copy
    crop       the square that is kept: around the face, else the middle
    then for every tier, from the largest edge to the smallest:
    resize     from the tier before, or, under a face budget, from a grid of that much detail
    mark       the visible mark
    encode     the bytes, and a look that nothing else is in them
    hide       the hidden mark, just before encoding, and read back from the bytes     (hidden)
    read       the bytes, as whoever gets them sees them; what was done to the upload for them   (done)
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image, ImageChops

from nightlight import logs, metrics
from nightlight.imaging import crop, face, face_budget
from nightlight.imaging.blurhash import blurhash
from nightlight.imaging.decoded_frame import Stages
from nightlight.imaging.edits import Done, kept_of
from nightlight.imaging.encode import encode
from nightlight.imaging.header_readers import Header
from nightlight.imaging.invisible_watermark import HiddenMark, Marked, decoded
from nightlight.imaging.match_squares import canonical
from nightlight.imaging.probe import Caps, probe
from nightlight.imaging.visible_watermark import Design
from nightlight.watermark.payload import Payload
from nightlight_core.errors import SettingsRefused

__all__ = ["Finds", "Frames", "Pipeline", "Rendered", "Rendition", "canonical"]

if TYPE_CHECKING:
    from nightlight.imaging.crop import Region
    from nightlight.imaging.recipe import Recipe

# The cascade from the square, 320 to 32 pixels, against one Lanczos resize of the whole (PSNR in dB, CPU
# ms, one core): Lanczos with a gap of 1.5 (Pillow first reduces by a whole factor that leaves at least so
# much) 50.6, 54.4 and 42.7 dB in 5.0 ms; without a gap 10.7 ms.
_FILTER, _GAP = Image.Resampling.LANCZOS, 1.5


class Frames(Protocol):
    """What makes frames: ``nightlight.imaging.sandbox.Cage``."""

    def frame(
        self, data: bytes, header: Header, *, edge: int, region: Region | None = None, stages: Stages | None = None
    ) -> Image.Image:
        """Return the frame: RGB, upright, sRGB."""
        ...


class Finds(Protocol):
    """What finds faces: ``nightlight.imaging.face.FaceDetector``."""

    def find(self, frame: Image.Image) -> list[face.Face]:
        """Return the faces of an RGB frame, the likeliest first."""
        ...


@dataclass(frozen=True, slots=True)
class Rendition:
    """One finished picture: its bytes, its size in pixels, and its BlurHash where it is the preview's.

    ``grid`` is the side in pixels of the grid that it was made from: the detail that is in it. ``face_px`` is how
    much of that lies across the widest face there may be; None where the tier has no budget. ``variant`` counts from
    0 where the tier has several; ``agreement`` is how well the hidden mark reads back, None where there is none to
    read. ``read`` is what the bytes decode to, ``picture`` what was encoded, and ``done`` what was done to the upload
    for it.
    """

    recipe: Recipe
    data: bytes
    width: int
    height: int
    sha256: str
    grid: int
    picture: Image.Image
    read: Image.Image
    done: Done
    face_px: float | None = None
    blurhash: str | None = None
    variant: int = 0
    agreement: float | None = None

    def canonical(self, side: int) -> np.ndarray:
        """Return its luma as published, uint8 (side, side)."""
        return canonical(self.read, side)


@dataclass(frozen=True, slots=True)
class Rendered:
    """All renditions of an upload, the CPU milliseconds of each stage, and what was found on the way.

    ``square`` is the box that was kept of the ``frame``, RGB; ``face_share`` is how much of its side the widest face is
    taken to have. None of it is stored.
    """

    renditions: list[Rendition]
    stages: dict[str, float]
    header: Header
    frame: Image.Image
    square: tuple[int, int, int, int]
    faces: list[face.Face]
    face_share: float


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Everything that a picture goes through. One for each process; not for several threads at once."""

    caps: Caps
    frames: Frames
    faces: Finds
    design: Design
    hidden: HiddenMark | None = None

    def render(
        self,
        data: bytes,
        recipes: Sequence[Recipe],
        *,
        region: Region | None = None,
        numbers: Mapping[str, int] | None = None,
    ) -> Rendered:
        """Return the renditions of each recipe (largest edge first, as ``recipes`` are sorted): one, or its variants.

        ``region`` is the owner's crop. ``numbers`` are what the hidden marks say, by tier: 0 to 2**56 - 1. A tier
        that requires a mark has no rendition where the mark does not read back. Raises UnsupportedFormat,
        ImageTooLarge or CorruptImage: trying the same bytes again gives the same; DecoderDied or CageUnavailable;
        and SettingsRefused where a mark is asked for and there is no key.
        """
        stages = Stages()
        edge = max(recipe.edge for recipe in recipes)
        with stages.stage("probe"):
            header = probe(data, self.caps, edge=edge)
        frame = self.frames.frame(data, header, edge=edge, region=region, stages=stages)
        with stages.stage("face"):
            faces = self.find(frame)
        square = crop.square(*frame.size, face.surest(faces))
        side = square[2] - square[0]
        kept = kept_of((header.width, header.height), frame.size, region)
        widest = face.widest(faces, side)
        renditions = []
        pictures: dict[str, Image.Image] = {}
        for recipe in recipes:
            with stages.stage("resize"):
                picture = pictures.get(recipe.crop)
                if picture is None:
                    picture = frame.crop(square if recipe.crop == "face" else crop.square(*frame.size))
                canvas, grid = min(recipe.edge, side), side
                if recipe.face_px is not None:
                    grid = face_budget.grid_side(side, widest, recipe.face_px)
                    shown = face_budget.soften(picture, grid=grid, canvas=canvas)
                else:
                    shown = _resized(picture, canvas)
                    picture = shown
                pictures[recipe.crop] = picture
            with stages.stage("mark"):
                marked = self.design.draw(shown, recipe.visible_mark) if recipe.visible_mark != "none" else shown
            done = Done(
                cropped=kept.cropped,
                resized=canvas not in kept.sides,
                softened=grid < canvas,
                visible_mark=ImageChops.difference(shown, marked).getbbox() is not None,
            )
            preview = None
            if recipe.preview:
                with stages.stage("encode"):
                    preview = blurhash(marked)
            detail_side = min(grid, canvas)
            for variant in range(recipe.variants):
                made = self._finished(marked, recipe, (numbers or {}).get(recipe.tier, 0), variant, stages)
                if made is None:
                    continue
                renditions.append(
                    Rendition(
                        recipe,
                        made.data,
                        canvas,
                        canvas,
                        hashlib.sha256(made.data).hexdigest(),
                        detail_side,
                        made.picture,
                        made.read,
                        done,
                        detail_side * widest / side if recipe.face_px is not None else None,
                        preview,
                        variant,
                        made.agreement,
                    )
                )
        return Rendered(renditions, stages.ms, header, frame, square, faces, widest / side)

    def _finished(
        self, picture: Image.Image, recipe: Recipe, number: int, variant: int, stages: Stages
    ) -> Marked | None:
        """Return a rendition's bytes, marked if its tier asks for it; None where a mark that must be there is not."""

        def encoded(image: Image.Image) -> bytes:
            with stages.stage("encode"):
                return encode(
                    image,
                    format=recipe.format,
                    quality=recipe.quality,
                    effort=recipe.effort,
                    max_bytes=recipe.max_bytes,
                    opt_out=recipe.provenance == "embedded",
                )

        if recipe.hidden_mark == "none":
            data = encoded(picture)
            with stages.stage("read"):
                return Marked(picture, data, decoded(data), None, None)
        if self.hidden is None:
            message = f"tier '{recipe.tier}' asks for a hidden mark; set NIGHTLIGHT_HIDDEN_MARK_KEYS"
            raise SettingsRefused(message)
        made = self.hidden.mark(picture, recipe, Payload(number, variant), encoded, stages)
        if made.agreement is None:
            metrics.UNREADABLE_WATERMARKS.labels(recipe.hidden_mark).inc()
            logs.get("imaging").warning("mark.unreadable", tier=recipe.tier, wanted=recipe.hidden_mark)
            if recipe.hidden_mark == "required":
                return None
        return made

    def find(self, frame: Image.Image) -> list[face.Face]:
        """Return the faces of a frame; none where the detector breaks, so that the whole picture counts as one."""
        try:
            return self.faces.find(frame)
        except Exception as error:  # noqa: BLE001 - whatever broke, the picture is softened and the operator told
            metrics.FACE_DETECTOR_FAILURES.inc()
            logs.get("imaging").error("face.detector_failed", detail=f"{type(error).__name__}: {error}")
            return []


def _resized(picture: Image.Image, edge: int) -> Image.Image:
    if picture.size == (edge, edge):
        return picture
    return picture.resize((edge, edge), _FILTER, reducing_gap=_GAP)
