"""Bytes to the frame: upright sRGB pixels of the part that is kept, as small as the tiers allow.

This is all that happens to a picture inside the sandbox.

::

    decode     first frame; JPEG at the smallest DCT scale that suffices
    continuous palettes looked up, 16 bits to 8
    shrink     the owner's crop, or a part of a long picture, to the largest edge of any tier
    upright    EXIF orientation
    srgb       ICC profile to sRGB
    flatten    transparency over the background

The picture is shrunk before it is turned and colour-managed, because those cost by the pixel.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from PIL import Image

from nightlight.imaging import crop, normalise
from nightlight.imaging.colour_space import colours
from nightlight.imaging.decoders import open_upload
from nightlight.imaging.decoders.opened import DECODER_ERRORS
from nightlight.imaging.decoders.shrink import unshrunk_size
from nightlight.imaging.decoders.strips import FILTER, GAP
from nightlight_core.errors import CorruptImage

if TYPE_CHECKING:
    from nightlight.imaging.crop import Region
    from nightlight.imaging.decode_notes import DecodeNote
    from nightlight.imaging.decoders.opened import Readable
    from nightlight.imaging.header import Header


@dataclass(slots=True)
class StageTimes:
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


def make_frame(
    data: Readable,
    header: Header,
    *,
    edge: int,
    region: Region | None = None,
    whole: bool = False,
    stages: StageTimes | None = None,
    notes: list[DecodeNote] | None = None,
) -> Image.Image:
    """Return the frame, as the sandbox does; see ``decode_frame``."""
    import numpy as np

    from nightlight.imaging.interpolate import interpolated

    image = decode_frame(data, header, edge=edge, region=region, whole=whole, stages=stages, notes=notes)
    return interpolated(np.asarray(image), edge) if min(image.size) > edge else image


def decode_frame(
    data: Readable,
    header: Header,
    *,
    edge: int,
    region: Region | None = None,
    whole: bool = False,
    stages: StageTimes | None = None,
    notes: list[DecodeNote] | None = None,
) -> Image.Image:
    """Return the frame (mode RGB, sRGB, upright) of the picture in ``data``, or what it is interpolated from.

    The latter is a JPEG without a profile that is little larger: it has ``unshrunk_size``, perhaps turned. Otherwise
    the shorter side has ``edge`` pixels, or as many as the picture has; its longer side at most crop.MAX_ASPECT times
    that, or, with ``whole``, as long as the picture is. ``region`` is the owner's crop. ``notes`` gets what the decoder
    has to say. Raises CorruptImage or TruncatedImage, or MemoryError where memory is limited.
    """
    stages = stages or StageTimes()
    with stages.stage("decode"):
        upload = open_upload(data, header)
        box = crop.frame_window(upload.size, upload.orientation, region, whole=whole)
        image, box = upload.load(box, edge=edge)
        if notes is not None:
            notes += upload.notes
    try:
        with stages.stage("shrink"):
            profile, space = colours(header, upload.cicp, upload.icc_profile)
            image = normalise.to_continuous(image)
            if region is not None or profile or space or unshrunk_size(header, edge) != image.size:
                image = image.resize(crop.fitted_size(box, edge), FILTER, box=box, reducing_gap=GAP)
        with stages.stage("normalise"):
            image = normalise.to_srgb(normalise.upright(image, upload.orientation), profile, space)
            return normalise.flatten(image)
    except DECODER_ERRORS as error:
        raise CorruptImage(f"{header.format}: {type(error).__name__}: {error}") from error
