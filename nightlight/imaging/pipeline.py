"""One upload to all its renditions: the steps, in the order they are taken.

::

    probe                header only: format, size, caps                                     (probe)
    long picture         which part of it the frame shows: around its face, else the middle  (long_picture)
    frame                in the sandbox: decode, shrink, upright, sRGB, no transparency      (decoded_frame, sandbox)
    face                 where the faces are, on a small copy                                (face)
    crop                 the square that is kept: around the face, else the middle           (crop)
    then for every tier, from the largest edge to the smallest:
    resize               from the tier before, or from a grid within the face budget         (cascade)
    visible_watermark    drawn over the picture                                              (visible_watermark)
    invisible_watermark  written just before encoding, and read back from the bytes          (invisible_watermark)
    encode               the bytes, checked to hold nothing else                             (encode)
    decode_back          the bytes, as every viewer will decode them

What was done to the upload for a rendition is noted beside it (``edits``), for its manifest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from PIL import Image, ImageChops

from nightlight import logs, metrics
from nightlight.imaging import crop, face, long_picture
from nightlight.imaging.blurhash import blurhash
from nightlight.imaging.cascade import Cascade
from nightlight.imaging.decoded_frame import StageTimes
from nightlight.imaging.edits import Edits, kept_square
from nightlight.imaging.encode import encode
from nightlight.imaging.invisible_watermark import EncodedPicture, InvisibleWatermarkWriter, decode_rendition
from nightlight.imaging.probe import UploadCaps, probe
from nightlight.imaging.rendition import RenderResult, Rendition
from nightlight.imaging.visible_watermark import VisibleWatermark
from nightlight.watermark.payload import Payload
from nightlight_core.errors import SettingsRefused

if TYPE_CHECKING:
    from nightlight.imaging.crop import Region
    from nightlight.imaging.header import Header
    from nightlight.imaging.recipe import Recipe


class FrameDecoder(Protocol):
    """Decodes uploads to frames: ``nightlight.imaging.sandbox.Sandbox``."""

    def frame(
        self,
        data: bytes,
        header: Header,
        *,
        edge: int,
        region: Region | None = None,
        whole: bool = False,
        stages: StageTimes | None = None,
    ) -> Image.Image:
        """Return the frame: RGB, upright, sRGB; with ``whole``, of a long picture too all that the region keeps."""
        ...


class FaceFinder(Protocol):
    """Finds faces: ``nightlight.imaging.face.FaceDetector``."""

    def find(self, frame: Image.Image) -> face.FaceSearch:
        """Search an RGB frame."""
        ...

    def largest(self, frame: Image.Image) -> face.Face | None:
        """Return the face that an RGB frame is to be cropped around; None without any."""
        ...


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Everything that a picture goes through. One for each process; not thread-safe."""

    caps: UploadCaps
    decoder: FrameDecoder
    face_finder: FaceFinder
    visible_watermark: VisibleWatermark
    invisible_watermark: InvisibleWatermarkWriter | None = None

    def render(
        self,
        data: bytes,
        recipes: Sequence[Recipe],
        *,
        region: Region | None = None,
        watermark_ids: Mapping[str, int] | None = None,
    ) -> RenderResult:
        """Return the renditions of each recipe: one, or one for each of its variants.

        ``recipes`` come with the largest edge first, as ``build_recipes`` sorts them. ``region`` is the owner's crop.
        ``watermark_ids`` are the numbers that the invisible watermarks carry, by tier: 0 to 2**56 - 1. A tier that
        requires a watermark has no rendition where the watermark does not read back.

        Raises UnsupportedFormat, ImageTooLarge, ImageTooComplex or CorruptImage, which the same bytes will always
        raise; DecoderDied, DecoderTooSlow or SandboxUnavailable; and SettingsRefused where a recipe asks for an
        invisible watermark and there is no key.
        """
        stages = StageTimes()
        edge = max(face.FRAME_EDGE, *(recipe.edge for recipe in recipes))
        with stages.stage("probe"):
            header = probe(data, self.caps, edge=edge)
        region = self.kept_region(data, header, region, stages)
        frame = self.decoder.frame(data, header, edge=edge, region=region, stages=stages)
        with stages.stage("face"):
            search = self.find_faces(frame)
        box = crop.kept_box(*frame.size, face.crop_face(search.faces))
        side = box[2] - box[0]
        widest_face = face.widest_face_px(search, side)
        kept = kept_square((header.width, header.height), frame.size, region)
        cascade = Cascade(frame, box, widest_face, no_face=search.no_face)
        renditions = []
        for recipe in recipes:
            with stages.stage("resize"):
                resized = cascade.resize(recipe)
            with stages.stage("visible_watermark"):
                strength = recipe.visible_watermark
                picture = resized.picture
                if strength != "none":
                    picture = self.visible_watermark.draw(picture, strength, recipe.visible_pattern)
            edits = Edits(
                cropped=kept.cropped,
                resized=resized.canvas not in kept.sides,
                softened=resized.grid < resized.canvas,
                visible_watermark=picture is not resized.picture
                and ImageChops.difference(resized.picture, picture).getbbox() is not None,
            )
            preview = None
            if recipe.preview:
                with stages.stage("encode"):
                    preview = blurhash(picture)
            detail = min(resized.grid, resized.canvas)
            for variant in range(recipe.variants):
                payload = Payload((watermark_ids or {}).get(recipe.tier, 0), variant)
                encoded = self._encode(picture, recipe, payload, stages)
                if encoded is None:
                    continue
                rendition = Rendition(
                    recipe=recipe,
                    data=encoded.data,
                    width=resized.canvas,
                    height=resized.canvas,
                    sha256=hashlib.sha256(encoded.data).hexdigest(),
                    grid=detail,
                    picture=encoded.picture,
                    decoded=encoded.decoded,
                    edits=edits,
                    face_px=detail * widest_face / side if recipe.face_px is not None else None,
                    no_face=resized.no_face,
                    blurhash=preview,
                    variant=variant,
                    agreement=encoded.agreement,
                )
                renditions.append(rendition)
        return RenderResult(renditions, stages.ms, header, frame, box, search, widest_face / side)

    def kept_region(
        self, data: bytes, header: Header, region: Region | None, stages: StageTimes | None = None
    ) -> Region | None:
        """Return the part of a picture that its frame shows; the owner's ``region``, unless that is long.

        Raises what the decoder raises. Where the detector fails, the middle of a long picture is kept.
        """
        size, stages = (header.width, header.height), stages or StageTimes()
        if not crop.is_long(size, region):
            return region
        whole = self.decoder.frame(data, header, edge=long_picture.WHOLE_EDGE, region=region, whole=True, stages=stages)
        with stages.stage("face"):
            try:
                return long_picture.kept_part(size, region, whole, self.face_finder)
            except Exception as error:  # noqa: BLE001 - as below
                _report_failure(error)
                return region

    def find_faces(self, frame: Image.Image) -> face.FaceSearch:
        """Search a frame; where the detector fails, nothing is known, and the whole picture counts as a face."""
        try:
            return self.face_finder.find(frame)
        except Exception as error:  # noqa: BLE001 - whatever failed, the picture is softened and the operator told
            _report_failure(error)
            return face.FaceSearch()

    def _encode(
        self, picture: Image.Image, recipe: Recipe, payload: Payload, stages: StageTimes
    ) -> EncodedPicture | None:
        """Return the encoded rendition, with its watermark if there is one; None if a required one is unreadable."""

        def encode_with_recipe(image: Image.Image) -> bytes:
            with stages.stage("encode"):
                return encode(
                    image,
                    format=recipe.format,
                    quality=recipe.quality,
                    effort=recipe.effort,
                    max_bytes=recipe.max_bytes,
                    opt_out=recipe.provenance == "embedded",
                )

        if recipe.invisible_watermark == "none":
            data = encode_with_recipe(picture)
            with stages.stage("decode_back"):
                return EncodedPicture(picture, data, decode_rendition(data, picture.size), None, None)
        if self.invisible_watermark is None:
            message = f"tier '{recipe.tier}' asks for an invisible watermark; set NIGHTLIGHT_INVISIBLE_WATERMARK_KEYS"
            raise SettingsRefused(message)
        encoded = self.invisible_watermark.write(picture, recipe, payload, encode_with_recipe, stages)
        if encoded.agreement is None:
            metrics.UNREADABLE_WATERMARKS.labels(recipe.invisible_watermark).inc()
            log = logs.get("imaging")
            log.warning("watermark.unreadable", tier=recipe.tier, requirement=recipe.invisible_watermark)
            if recipe.invisible_watermark == "required":
                return None
        return encoded


def _report_failure(error: Exception) -> None:
    metrics.FACE_DETECTOR_FAILURES.inc()
    logs.get("imaging").error("face.detector_failed", detail=f"{type(error).__name__}: {error}")
