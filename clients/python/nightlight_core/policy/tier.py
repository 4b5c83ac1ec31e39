"""The recipe of a tier: everything that a policy says of a rendition's pixels. A strict model, as bundles carry it."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

# A number is written as one in decimal; text that looks like a number ("0454", "86_400") is not.
Number = Annotated[int, Field(strict=True)]


def _decimal(value: object) -> object:
    """Take a plain decimal, which the strict reading of YAML leaves as text, for a number."""
    return float(value) if isinstance(value, str) and re.fullmatch(r"0\.[0-9]{1,4}", value) else value


# A share of one, written with a point: 0.05.
Share = Annotated[float, BeforeValidator(_decimal), Field(strict=True, gt=0, le=1)]


class Document(BaseModel):
    """What all documents share."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class Tier(Document):
    """The recipe of one kind of rendition: everything about its pixels."""

    edge: Annotated[Number, Field(ge=8, le=2048)]
    crop: Literal["face", "centre"] = "face"
    format: Literal["webp", "jpeg", "avif"] = "webp"
    quality: Annotated[Number, Field(ge=1, le=100)] = 80
    effort: Annotated[Number, Field(ge=0, le=6)] = 2
    max_bytes: Annotated[Number, Field(ge=500, le=4_000_000)] | None = None
    face_px: Annotated[Number, Field(ge=2, le=2048)] | None = None
    reidentification_at_most: Share | None = None
    visible_watermark: Literal["none", "faint", "clear", "strong"] = "none"
    invisible_watermark: Literal["none", "best_effort", "required"] = "none"
    psnr_at_least: Annotated[Number, Field(ge=36, le=48)] = 40
    variants: Annotated[Number, Field(ge=1, le=2)] = 1
    provenance: Literal["none", "sidecar", "embedded"] = "none"
