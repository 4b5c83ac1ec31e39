"""The invisible watermark's step in the pipeline: written on the final pixels, encoded with them, and read back.

A watermark that does not read back from the encoded bytes is written once more, as strong as ``psnr_at_least`` allows.
If it does not read back then either, a tier that requires it has no such rendition; another tier publishes it as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from nightlight.imaging.decoded_frame import StageTimes
from nightlight.imaging.webp_codec import webp_luma
from nightlight.watermark.embed import LEAST_SIDE, SSIM, embed
from nightlight.watermark.layout import Layout, build_layout
from nightlight.watermark.payload import Payload
from nightlight.watermark.read_back import agreement
from nightlight_core.errors import CorruptImage

if TYPE_CHECKING:
    from collections.abc import Callable

    from nightlight.imaging.recipe import Recipe

# A watermark counts as read back when it agrees this far with its codeword: half of all readings fail at 0.5, so what
# is published stands a fifth more than it needs.
LEAST_AGREEMENT = 0.6


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """A picture as it was encoded.

    ``picture``: the pixels (RGB), watermarked or not. ``data``: their bytes. ``decoded``: the luma (L) of what the
    bytes decode to. ``agreement``: how well the watermark reads back, 0 to 1; None if it does not, or there is none.
    ``psnr``: in dB, against the pixels without the watermark; None if there is none.
    """

    picture: Image.Image
    data: bytes
    decoded: Image.Image
    agreement: float | None
    psnr: float | None


def decode_rendition(data: bytes, size: tuple[int, int]) -> Image.Image:
    """Return the luma (L) of a picture of ``size`` in bytes of our own encoder, as every decoder gives it."""
    return Image.fromarray(decoded_luma(data, size))


def decoded_luma(data: bytes, size: tuple[int, int]) -> np.ndarray:
    """Return the luma, uint8 (h, w), of a picture of ``size`` (width, height) in bytes of our own encoder."""
    try:
        luma = webp_luma(data, size) if data.startswith(b"RIFF") else None
        return luma if luma is not None else np.asarray(Image.open(BytesIO(data)).convert("L"))
    except OSError as error:
        raise CorruptImage("the encoder's own bytes do not decode; refusing to publish them") from error


@dataclass(frozen=True)
class InvisibleWatermarkWriter:
    """Writes watermarks with one key. The key never prints."""

    key: bytes = field(repr=False)

    @cached_property
    def _layout(self) -> Layout:
        return build_layout(self.key)

    def write(
        self,
        picture: Image.Image,
        recipe: Recipe,
        payload: Payload,
        encode: Callable[[Image.Image], bytes],
        stages: StageTimes,
    ) -> EncodedPicture:
        """Return ``picture`` (RGB, square) with ``payload`` in it, encoded by ``encode``.

        The bytes are those of the strongest watermark within ``recipe.psnr_at_least`` and SSIM 0.97 that reads back,
        else of the strongest within the former alone. ``agreement`` is None where not even that one reads back, and for
        a picture that is too small for a watermark.
        """
        if min(picture.size) < LEAST_SIDE:
            data = encode(picture)
            return EncodedPicture(picture, data, decode_rendition(data, picture.size), None, None)
        pixels = np.asarray(picture)
        encoded = EncodedPicture(picture, b"", picture, None, None)
        for least_ssim in (SSIM, None):
            with stages.stage("invisible_watermark"):
                embedded = embed(pixels, payload, self._layout, psnr=recipe.psnr_at_least, ssim=least_ssim)
                watermarked = Image.fromarray(embedded.pixels)
            data = encode(watermarked)
            with stages.stage("invisible_watermark"):
                decoded = decoded_luma(data, picture.size)
                score = agreement(decoded, embedded.payload, self._layout)
            readable = score if score >= LEAST_AGREEMENT else None
            encoded = EncodedPicture(watermarked, data, Image.fromarray(decoded), readable, embedded.psnr)
            if readable is not None:
                break
        return encoded
