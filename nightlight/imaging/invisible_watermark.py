"""The hidden mark's place in the pipeline: written on the final pixels, encoded with them, and read back.

A mark that does not read back from the encoded bytes is written once more, as strong as ``psnr_at_least`` lets it
be. If it does not read then either, a tier that requires it has no such rendition; another publishes it as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from nightlight.imaging.decoded_frame import Stages
from nightlight.watermark.detect import agreement
from nightlight.watermark.embed import LEAST_SIDE, SSIM, embed
from nightlight.watermark.layout import Layout, layout
from nightlight.watermark.payload import Payload

if TYPE_CHECKING:
    from collections.abc import Callable

    from nightlight.imaging.recipe import Recipe

# A mark counts as read back when it agrees this far with its codeword: half of all readings fail at 0.5, so what is
# published stands a fifth more than it needs.
LEAST_AGREEMENT = 0.6


@dataclass(frozen=True, slots=True)
class Marked:
    """A rendition's pixels, its bytes, what those decode to, and how well its mark reads back: None if it does not."""

    picture: Image.Image
    data: bytes
    read: Image.Image
    agreement: float | None
    psnr: float | None


def decoded(data: bytes) -> Image.Image:
    """Return the picture (RGB) that bytes of our own encoder hold."""
    return Image.open(BytesIO(data)).convert("RGB")


@dataclass(frozen=True)
class HiddenMark:
    """Writes one key's marks. The key never prints."""

    key: bytes = field(repr=False)

    @cached_property
    def _layout(self) -> Layout:
        return layout(self.key)

    def mark(
        self,
        picture: Image.Image,
        recipe: Recipe,
        payload: Payload,
        encode: Callable[[Image.Image], bytes],
        stages: Stages,
    ) -> Marked:
        """Return ``picture`` (RGB, square) marked with ``payload`` and encoded.

        The bytes are those of the strongest mark within ``recipe.psnr_at_least`` and SSIM 0.97 that reads back, else
        of the strongest within the former; ``agreement`` is None where not even that one reads back.
        """
        if min(picture.size) < LEAST_SIDE:
            data = encode(picture)
            return Marked(picture, data, decoded(data), None, None)
        pixels = np.asarray(picture)
        made = Marked(picture, b"", picture, None, None)
        for similar in (SSIM, None):
            with stages.stage("hide"):
                embedded = embed(pixels, payload, self._layout, psnr=recipe.psnr_at_least, ssim=similar)
                marked = Image.fromarray(embedded.pixels)
            data = encode(marked)
            with stages.stage("hide"):
                back = decoded(data)
                agrees = agreement(np.asarray(back), embedded.payload, self.key)
            made = Marked(marked, data, back, agrees if agrees >= LEAST_AGREEMENT else None, embedded.psnr)
            if made.agreement is not None:
                break
        return made
