"""The pipeline of one worker's process, made from its settings when the first picture comes: after the fork."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nightlight.imaging.crop import LONGEST, Region, square
from nightlight.imaging.header_readers import Format
from nightlight.imaging.match_squares import SIDE, canonical, whole
from nightlight.imaging.match_squares import views as list_views
from nightlight.imaging.probe import caps_of, probe
from nightlight.imaging.recipe import drawn_with
from nightlight.settings import CageKind, Environment
from nightlight_core.errors import MarkKeyMissing, SettingsRefused
from nightlight_core.keyring import KeyRing

if TYPE_CHECKING:
    from PIL.Image import Image

    from nightlight.imaging.pipeline import Pipeline, Rendition
    from nightlight.imaging.recipe import Recipe
    from nightlight.imaging.sandbox import Cage
    from nightlight.imaging.visible_watermark import Design
    from nightlight.settings import Settings
    from nightlight.watermark.detect import Looked

_KEYS = "NIGHTLIGHT_HIDDEN_MARK_KEYS"
# The pixels of a copy's shorter side that a trace looks at, and the side that is hashed.
LOOK_EDGE, _HASH_SIDE = 1024, 512


@dataclass(frozen=True, slots=True)
class Look:
    """A copy as a trace looks at it: its RGB pixels, uint8 (h, w, 3), and its luma for hashing, uint8 (512, 512).

    The latter is the whole and, where that is no square, its middle.
    """

    pixels: np.ndarray
    hashed: tuple[np.ndarray, ...]


class Rendering:
    """The pipeline of a worker's process, with its cage and its face detector: built when first used, in the child."""

    def __init__(self, settings: Settings) -> None:
        """Keep the settings; nothing is loaded yet."""
        self._settings = settings
        self._pipeline: Pipeline | None = None
        self._cage: Cage | None = None

    def check(self, made: tuple[Recipe, ...] = ()) -> str:
        """Return a warning, or nothing; raise SettingsRefused if this process's children could not render ``made``."""
        from nightlight.imaging import seccomp
        from nightlight.imaging.decode import available
        from nightlight.imaging.face import missing

        self._design()
        if what := self._no_key(made) or missing():
            raise SettingsRefused(what)
        if self._settings.intake.heic and Format.HEIC not in available():
            message = "NIGHTLIGHT_INTAKE_HEIC is on and pillow-heif is not installed; install nightlight[heic]"
            raise SettingsRefused(message)
        why = "" if self._settings.worker.cage is CageKind.LIMITS_ONLY else seccomp.why_not()
        if why and self._must():
            message = f"decoders cannot be shut in here ({why}); NIGHTLIGHT_WORKER_CAGE=limits_only goes without"
            raise SettingsRefused(message)
        return f"decoders run without seccomp here: {why}" if why else ""

    def recipes(self, made: tuple[Recipe, ...]) -> tuple[Recipe, ...]:
        """Return the recipes as they are drawn here, with this deployment's visible mark.

        Raises MarkKeyMissing where a tier asks for a hidden mark, as it may since the start, and there is no key.
        """
        if why := self._no_key(made):
            raise MarkKeyMissing(why)
        return drawn_with(made, self._built().design.digest)

    def render(
        self, data: bytes, asked: Sequence[Recipe], crop: str | None, numbers: Mapping[str, int]
    ) -> tuple[list[Rendition], dict[str, float], list[np.ndarray]]:
        """Return the renditions of an original, the CPU milliseconds of each stage, and what lists are searched for.

        ``numbers`` are what the hidden marks say, by tier. The last are lumas, uint8 (512, 512), of what the renditions
        show and, where its owner chose a part, of the whole too; none where there are no lists.
        """
        region = Region.parse(crop) if crop else None  # bounded when it was accepted
        rendered = self._built().render(data, asked, region=region, numbers=numbers)
        views: list[np.ndarray] = []
        header = rendered.header
        if self._settings.matching.lists_dir is not None:
            views += list_views(rendered.frame, rendered.square)
            if region is not None or max(header.width, header.height) > LONGEST * min(header.width, header.height):
                views += list_views(whole(self._built().frames, data, header))
        return rendered.renditions, rendered.stages, views

    def views(self, data: bytes, crop: str | None) -> list[np.ndarray]:
        """Return what lists are searched for of an original, lumas, uint8 (512, 512); ``crop`` is its owner's.

        Raises ImageRefused and its kinds, or DecoderDied.
        """
        from nightlight.imaging.face import surest

        pipeline = self._built()
        header = probe(data, pipeline.caps, edge=SIDE)
        region = Region.parse(crop) if crop else None
        frame = pipeline.frames.frame(data, header, edge=SIDE, region=region)
        found = list_views(frame, square(*frame.size, surest(pipeline.find(frame))))
        if region is not None or max(header.width, header.height) > LONGEST * min(header.width, header.height):
            found += list_views(whole(pipeline.frames, data, header))
        return found

    def look(self, data: bytes) -> Look:
        """Return an image file that nobody trusts, as a trace looks at it.

        Raises ImageRefused and its kinds, or DecoderDied and its kind.
        """
        pipeline = self._built()
        header = probe(data, pipeline.caps, edge=LOOK_EDGE)
        frame = pipeline.frames.frame(data, header, edge=LOOK_EDGE)
        return Look(np.asarray(frame), _views(frame))

    def detect(self, pixels: np.ndarray, sides: Sequence[int]) -> Looked:
        """Return the hidden mark found in RGB pixels, uint8 (h, w, 3); ``sides``: those of today's renditions."""
        from nightlight.watermark.detect import Detector

        ring = self._hidden_mark()
        return Detector(ring.keys if ring else {}, sides).detect(pixels)

    def close(self) -> None:
        """Stop the cage, if there is one."""
        if self._cage is not None:
            self._cage.close()
            self._cage = self._pipeline = None

    def _built(self) -> Pipeline:
        if self._pipeline is None:
            from nightlight.imaging.face import FaceDetector
            from nightlight.imaging.invisible_watermark import HiddenMark
            from nightlight.imaging.pipeline import Pipeline
            from nightlight.imaging.sandbox import Cage, CageLimits

            worker = self._settings.worker
            limits = CageLimits(
                memory_bytes=worker.decode_memory_bytes,
                cpu_s=math.ceil(worker.decode_s),
                wall_s=worker.decode_s,
                slow_s=self._settings.intake.slow_decode_cpu_s,
            )
            self._cage = Cage(limits, require_seccomp=self._must())
            ring = self._hidden_mark()
            hidden = HiddenMark(ring.keys[ring.signing_id]) if ring else None
            caps = caps_of(self._settings.intake)
            self._pipeline = Pipeline(caps, self._cage, FaceDetector(), self._design(), hidden)
        return self._pipeline

    def _must(self) -> bool:
        production = self._settings.general.environment is Environment.PRODUCTION
        return production and self._settings.worker.cage is CageKind.SECCOMP

    def _design(self) -> Design:
        from nightlight.imaging.visible_watermark import Design

        mark = self._settings.mark
        return Design.read(mark.text, mark.logo, mark.font)

    def _no_key(self, made: tuple[Recipe, ...]) -> str:
        if self._hidden_mark() is None and any(recipe.hidden_mark != "none" for recipe in made):
            return f"the policy asks for hidden marks and {_KEYS} is not set; `nightlight keys init` makes one"
        return ""

    def _hidden_mark(self) -> KeyRing | None:
        keys = self._settings.hidden_mark.keys
        return KeyRing.parse(keys.get_secret_value(), _KEYS) if keys else None


def _views(frame: Image) -> tuple[np.ndarray, ...]:
    """Return the lumas to hash of a picture: the whole and, where that is no square, its middle."""
    shown = [frame] if frame.width == frame.height else [frame, frame.crop(square(*frame.size))]
    return tuple(canonical(view, _HASH_SIDE) for view in shown)
