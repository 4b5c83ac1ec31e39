"""The pipeline of one worker's process, made from its settings when the first picture comes: after the fork."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nightlight.errors import SettingsRefused
from nightlight.imaging.crop import Region
from nightlight.imaging.headers import Format
from nightlight.imaging.probe import caps_of, probe
from nightlight.imaging.recipe import drawn_with
from nightlight.settings import CageKind, Environment

if TYPE_CHECKING:
    import numpy as np

    from nightlight.imaging.cage import Cage
    from nightlight.imaging.mark import Design
    from nightlight.imaging.pipeline import Pipeline, Rendition
    from nightlight.imaging.recipe import Recipe
    from nightlight.settings import Settings


class Rendering:
    """The pipeline of a worker's process, with its cage and its face detector: built when first used, in the child."""

    def __init__(self, settings: Settings) -> None:
        """Keep the settings; nothing is loaded yet."""
        self._settings = settings
        self._pipeline: Pipeline | None = None
        self._cage: Cage | None = None

    def check(self) -> str:
        """Return a warning, or nothing; raise SettingsRefused if this process's children could not render."""
        from nightlight.imaging import confine
        from nightlight.imaging.decode import available
        from nightlight.imaging.face import missing

        self._design()
        if what := missing():
            raise SettingsRefused(what)
        if self._settings.intake.heic and Format.HEIC not in available():
            message = "NIGHTLIGHT_INTAKE_HEIC is on and pillow-heif is not installed; install nightlight[heic]"
            raise SettingsRefused(message)
        why = "" if self._settings.worker.cage is CageKind.LIMITS_ONLY else confine.why_not()
        if why and self._must():
            message = f"decoders cannot be shut in here ({why}); NIGHTLIGHT_WORKER_CAGE=limits_only goes without"
            raise SettingsRefused(message)
        return f"decoders run without seccomp here: {why}" if why else ""

    def recipes(self, made: tuple[Recipe, ...]) -> tuple[Recipe, ...]:
        """Return the recipes as they are drawn here, with this deployment's visible mark."""
        return drawn_with(made, self._built().design.digest)

    def render(
        self, data: bytes, asked: Sequence[Recipe], crop: str | None
    ) -> tuple[list[Rendition], dict[str, float]]:
        """Return the renditions of an original, and the CPU milliseconds of each stage."""
        region = Region.parse(crop) if crop else None  # bounded when it was accepted
        rendered = self._built().render(data, asked, region=region)
        return rendered.renditions, rendered.stages

    def look(self, data: bytes, side: int = 512) -> list[np.ndarray]:
        """Return the luma of an image file that nobody trusts, uint8 (side, side): whole, and its middle square.

        Raises ImageRefused and its kinds, or DecoderDied.
        """
        from nightlight.imaging.crop import square
        from nightlight.imaging.pipeline import canonical

        pipeline = self._built()
        header = probe(data, pipeline.caps, edge=side)
        frame = pipeline.frames.frame(data, header, edge=side)
        views = [frame] if frame.width == frame.height else [frame, frame.crop(square(*frame.size))]
        return [canonical(view, side) for view in views]

    def close(self) -> None:
        """Stop the cage, if there is one."""
        if self._cage is not None:
            self._cage.close()
            self._cage = self._pipeline = None

    def _built(self) -> Pipeline:
        if self._pipeline is None:
            from nightlight.imaging.cage import Cage, CageLimits
            from nightlight.imaging.face import FaceDetector
            from nightlight.imaging.pipeline import Pipeline

            worker = self._settings.worker
            limits = CageLimits(
                memory_bytes=worker.decode_memory_bytes, cpu_s=math.ceil(worker.decode_s), wall_s=worker.decode_s
            )
            self._cage = Cage(limits, require_seccomp=self._must())
            self._pipeline = Pipeline(caps_of(self._settings.intake), self._cage, FaceDetector(), self._design())
        return self._pipeline

    def _must(self) -> bool:
        production = self._settings.general.environment is Environment.PRODUCTION
        return production and self._settings.worker.cage is CageKind.SECCOMP

    def _design(self) -> Design:
        from nightlight.imaging.mark import Design

        mark = self._settings.mark
        return Design.read(mark.text, mark.logo, mark.font)
