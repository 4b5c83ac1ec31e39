"""The pipeline of one worker process, built from its settings when its first picture comes: after the fork."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from nightlight.imaging.crop import MAX_ASPECT, Region, kept_box
from nightlight.imaging.match_squares import SIDE, candidate_lumas, square_luma, whole_picture
from nightlight.imaging.notice_views import window_lumas
from nightlight.imaging.probe import probe, upload_caps
from nightlight.imaging.recipe import with_visible_watermark
from nightlight.settings.process import Environment, SandboxKind
from nightlight_core.errors import SettingsRefused, WatermarkKeyMissing
from nightlight_core.keyring import KeyRing

if TYPE_CHECKING:
    from PIL.Image import Image

    from nightlight.imaging.header import Header
    from nightlight.imaging.invisible_watermark import InvisibleWatermarkWriter
    from nightlight.imaging.pipeline import Pipeline
    from nightlight.imaging.recipe import Recipe
    from nightlight.imaging.rendition import Rendition
    from nightlight.imaging.sandbox import Sandbox
    from nightlight.imaging.visible_watermark import VisibleWatermark
    from nightlight.settings import Settings
    from nightlight.watermark.detect import DetectionResult
    from nightlight_core.live_files import LiveFile

_KEYS = "NIGHTLIGHT_INVISIBLE_WATERMARK_KEYS"
# The shorter side in pixels at which a trace reads a found copy.
COPY_EDGE = 1024


@dataclass(frozen=True, slots=True)
class FoundCopy:
    """A found copy, decoded for a trace.

    ``pixels``: RGB, uint8 (h, w, 3). ``lumas``: to be hashed, uint8 (512, 512) each: the whole copy and, where that is
    no square, its middle.
    """

    pixels: np.ndarray
    lumas: tuple[np.ndarray, ...]


class Renderer:
    """The pipeline of a worker process, with its sandbox and its face detector; built in the child, on first use."""

    def __init__(self, settings: Settings, watermark_keys: LiveFile[KeyRing] | None = None) -> None:
        """Keep the settings; nothing is loaded yet. ``watermark_keys`` may change; unset: they are the settings'."""
        self._settings, self._live = settings, watermark_keys
        self._pipeline: Pipeline | None = None
        self._writes_with: KeyRing | None = None
        self._sandbox: Sandbox | None = None

    def check(self, recipes: tuple[Recipe, ...] = ()) -> str:
        """Check that this process's children can render ``recipes``; return a warning, or nothing.

        Raises SettingsRefused naming what is wrong or missing.
        """
        from nightlight.imaging.face_networks import missing_dependency

        self._visible_watermark()
        if reason := self._missing_key(recipes) or missing_dependency():
            raise SettingsRefused(reason)
        self._check_formats()
        return self._check_sandbox()

    def recipes(self, recipes: tuple[Recipe, ...]) -> tuple[Recipe, ...]:
        """Return the recipes as they are drawn here, with this deployment's visible watermark.

        Raises WatermarkKeyMissing where a tier asks for an invisible watermark and there is no key. A policy may have
        begun to ask for one since the start.
        """
        if reason := self._missing_key(recipes):
            raise WatermarkKeyMissing(reason)
        return with_visible_watermark(recipes, self._built().visible_watermark.digest)

    def wanted(self, recipes: tuple[Recipe, ...]) -> tuple[Recipe, ...]:
        """Return the same without loading what children load: for the parent, which never renders."""
        return with_visible_watermark(recipes, self._visible_watermark().digest)

    @property
    def watermark_key(self) -> str | None:
        """Return the id of the key that invisible watermarks are written with, None without one."""
        ring = self._watermark_keys()
        return ring.signing_id if ring else None

    def render(
        self, data: bytes, recipes: Sequence[Recipe], crop: str | None, watermark_ids: Mapping[str, int]
    ) -> tuple[list[Rendition], dict[str, float], list[np.ndarray]]:
        """Return the renditions of an original, the CPU milliseconds of each stage, and the lumas to be hashed.

        ``crop`` is the owner's. ``watermark_ids`` are what the invisible watermarks carry, by tier. The lumas, uint8
        (512, 512), are of what the renditions show and, where that is a part, of the whole too. Raises what
        ``Pipeline.render`` raises.
        """
        pipeline = self._built()
        region = _region(crop)
        result = pipeline.render(data, recipes, region=region, watermark_ids=watermark_ids)
        lumas = candidate_lumas(result.frame, result.square) + _rest_lumas(pipeline, data, result.header, region)
        return result.renditions, result.stages, lumas

    def match_lumas(self, data: bytes, crop: str | None) -> list[np.ndarray]:
        """Return the lumas of an original for hash lists, uint8 (512, 512); ``crop`` is its owner's.

        Raises ImageRefused and its kinds, or DecoderDied.
        """
        from nightlight.imaging.face import crop_face

        pipeline = self._built()
        header = probe(data, pipeline.caps, edge=SIDE)
        region = _region(crop)
        frame = pipeline.decoder.frame(data, header, edge=SIDE, region=pipeline.kept_region(data, header, region))
        lumas = candidate_lumas(frame, kept_box(*frame.size, crop_face(pipeline.find_faces(frame).faces)))
        return lumas + _rest_lumas(pipeline, data, header, region)

    def notice_lumas(self, data: bytes, crop: str | None) -> tuple[list[np.ndarray], Iterator[np.ndarray]]:
        """Return the lumas of a notice's picture, uint8 (512, 512): of what an upload is hashed by, and of windows.

        ``crop`` is its owner's, where it is an upload. Raises ImageRefused and its kinds, or DecoderDied.
        """
        from nightlight.imaging.face import crop_face

        pipeline = self._built()
        header = probe(data, pipeline.caps, edge=SIDE)
        region = _region(crop)
        frame = pipeline.decoder.frame(data, header, edge=SIDE, region=pipeline.kept_region(data, header, region))
        shown = kept_box(*frame.size, crop_face(pipeline.find_faces(frame).faces))
        return candidate_lumas(frame, shown) + _rest_lumas(pipeline, data, header, region), window_lumas(frame, shown)

    def review_picture(self, data: bytes) -> bytes:
        """Return the softened picture of an untrusted image file that a reviewer compares, WebP.

        Raises ImageRefused and its kinds, or DecoderDied.
        """
        from nightlight.imaging.review_picture import review_picture, shrunk

        pipeline = self._built()
        frame = shrunk(whole_picture(pipeline.decoder, data, probe(data, pipeline.caps, edge=SIDE)))
        return review_picture(frame, pipeline.find_faces(frame))

    def decode_copy(self, data: bytes) -> FoundCopy:
        """Return an untrusted image file, decoded for a trace.

        Raises ImageRefused and its kinds, or DecoderDied and its kind.
        """
        pipeline = self._built()
        header = probe(data, pipeline.caps, edge=COPY_EDGE)
        frame = pipeline.decoder.frame(data, header, edge=COPY_EDGE)
        return FoundCopy(np.asarray(frame), _copy_lumas(frame))

    def detect(self, pixels: np.ndarray, sides: Sequence[int]) -> DetectionResult:
        """Return the invisible watermark in RGB pixels, uint8 (h, w, 3); ``sides``: those of today's renditions."""
        from nightlight.watermark.detect import Detector

        ring = self._watermark_keys()
        return Detector(ring.keys if ring else {}, sides).detect(pixels)

    def close(self) -> None:
        """Stop the sandbox, if there is one."""
        if self._sandbox is not None:
            self._sandbox.close()
            self._sandbox = self._pipeline = None

    def _built(self) -> Pipeline:
        if self._pipeline is not None and self._writes_with is not self._watermark_keys() and self._live is not None:
            self._pipeline = replace(self._pipeline, invisible_watermark=self._writer())
        if self._pipeline is None:
            from nightlight.imaging.face import FaceDetector
            from nightlight.imaging.pipeline import Pipeline
            from nightlight.imaging.sandbox import Sandbox, SandboxLimits

            worker = self._settings.worker
            limits = SandboxLimits(
                memory_bytes=worker.decode_memory_bytes,
                cpu_s=math.ceil(worker.decode_s),
                wall_s=worker.decode_s,
                slow_s=self._settings.upload.slow_decode_cpu_s,
            )
            self._sandbox = Sandbox(limits, require_seccomp=self._requires_seccomp())
            self._pipeline = Pipeline(
                caps=upload_caps(self._settings.upload),
                decoder=self._sandbox,
                face_finder=FaceDetector(),
                visible_watermark=self._visible_watermark(),
                invisible_watermark=self._writer(),
            )
        return self._pipeline

    def _writer(self) -> InvisibleWatermarkWriter | None:
        from nightlight.imaging.invisible_watermark import InvisibleWatermarkWriter

        self._writes_with = ring = self._watermark_keys()
        return InvisibleWatermarkWriter(ring.keys[ring.signing_id]) if ring else None

    def _check_formats(self) -> None:
        from nightlight.imaging.decoders import available_formats
        from nightlight.imaging.formats import FORMATS

        for name in upload_caps(self._settings.upload).formats - available_formats():
            extra = FORMATS[name].extra
            message = f"NIGHTLIGHT_UPLOAD_{extra.upper()} is on and its decoder is missing; install nightlight[{extra}]"
            raise SettingsRefused(message)

    def _check_sandbox(self) -> str:
        """Return a warning where decoders run without seccomp; raise SettingsRefused where they must not."""
        from nightlight.imaging import seccomp

        limits_only = self._settings.worker.sandbox is SandboxKind.LIMITS_ONLY
        reason = "" if limits_only else seccomp.unavailable_reason()
        if reason and self._requires_seccomp():
            message = f"decoders cannot be sandboxed here ({reason}); see NIGHTLIGHT_WORKER_SANDBOX=limits_only"
            raise SettingsRefused(message)
        return f"decoders run without seccomp here: {reason}" if reason else ""

    def _requires_seccomp(self) -> bool:
        production = self._settings.general.environment is Environment.PRODUCTION
        return production and self._settings.worker.sandbox is SandboxKind.SECCOMP

    def _visible_watermark(self) -> VisibleWatermark:
        from nightlight.imaging.visible_watermark import VisibleWatermark

        settings = self._settings.visible_watermark
        return VisibleWatermark.read(settings.text, settings.logo, settings.font)

    def _missing_key(self, recipes: tuple[Recipe, ...]) -> str:
        if self._watermark_keys() is None and any(recipe.invisible_watermark != "none" for recipe in recipes):
            return f"the policy asks for invisible watermarks and {_KEYS} is not set; `nightlight keys init` makes one"
        return ""

    def _watermark_keys(self) -> KeyRing | None:
        if self._live is not None:
            return self._live.value
        keys = self._settings.invisible_watermark.keys
        return KeyRing.parse(keys.get_secret_value(), _KEYS) if keys else None


def _region(crop: str | None) -> Region | None:
    return Region.parse(crop) if crop else None  # bounded when it was accepted


def _rest_lumas(pipeline: Pipeline, data: bytes, header: Header, region: Region | None) -> list[np.ndarray]:
    """Return the lumas of the whole picture where its frame is a part of it: by the owner's crop, or its length."""
    long = max(header.width, header.height) > MAX_ASPECT * min(header.width, header.height)
    return candidate_lumas(whole_picture(pipeline.decoder, data, header)) if region is not None or long else []


def _copy_lumas(frame: Image) -> tuple[np.ndarray, ...]:
    """Return the lumas to hash of a found copy: the whole and, where that is no square, its middle."""
    pictures = [frame] if frame.width == frame.height else [frame, frame.crop(kept_box(*frame.size))]
    return tuple(square_luma(picture, SIDE) for picture in pictures)
