"""What an export says, as a document with a schema (docs/reference/export.schema.json).

All of it is about one person. No other person is named, and nothing here is from which one could be told: no viewer, no
guardian, who blocked or reported or was blocked, no number that tells how often the picture was asked for.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

FORMAT = "nightlight-export/1"
DOCUMENT, PAGE, SCHEMA = "export.json", "index.html", "export.schema.json"

PictureState = Literal["current", "replaced", "rejected", "failed", "held", "not_available"]
LeftOut = Literal["not_available", "held", "too_large"]


class Part(BaseModel):
    """A part of the document."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Declared(Part):
    """What the platform last said of the account, and when."""

    band: str = Field(description="The age band, in a word of the policy.")
    assurance: str = Field(description="How the platform knows.")
    region: str
    choice: str = Field(description="Who may see the picture, by the person's own setting.")
    at: str = Field(description="When the platform said so last (RFC 3339).")
    first_at: str = Field(description="When the platform spoke of the account for the first time.")
    counts_as: str = Field(description="The age band that counts now: `unknown` once it was not said again in time.")


class Account(Part):
    """The account."""

    profile_id: str = Field(description="The platform's own id of it.")
    declared: Declared
    deactivated_at: str | None = Field(description="Since when it is deactivated, and shown to nobody.")
    report_open: bool = Field(description="Whether a report is open, which hides the picture from everybody else.")


class Shown(Part):
    """Who is shown which rendition of the current picture."""

    relation: str = Field(description="What a person is to the account.")
    viewer: str = Field(description="What is known of that person's age.")
    context: str = Field(description="Where the picture is shown.")
    tier: str = Field(description="The rendition; `none` is a placeholder without a picture.")


class RenditionEntry(Part):
    """A smaller picture that was made of the original. How it looks for each tier is in `tiers`."""

    tier: str
    format: str
    width: int
    height: int
    bytes: int
    made_at: str


class Original(Part):
    """The bytes that were uploaded, as they came."""

    file: str = Field(description="Its name in this archive.")
    format: str
    width: int
    height: int
    bytes: int
    sha256: str


class ToldHold(Part):
    """An order to keep the picture, of which the person may know."""

    kind: str = Field(description="legal or safeguarding.")
    since: str
    until: str | None


class Happened(Part):
    """What happened to a picture."""

    at: str
    what: str = Field(description="accepted, ready, replaced, rejected or failed.")


class PictureEntry(Part):
    """One upload."""

    image_id: str
    state: PictureState
    uploaded_at: str
    band_at_upload: str = Field(description="The age band that counted then.")
    ceiling_band: str = Field(description="The age band whose rules it keeps.")
    reason: str | None = Field(description="Why it was rejected or failed: a code.")
    reason_in_words: str | None
    crop: str | None = Field(description="The part that the person chose: left,top,width,height.")
    events: list[Happened]
    original: Original | None
    original_left_out: LeftOut | None = Field(
        description="Why there is no original: it is not available now (there can be several causes), an order to keep "
        "it locks it away, or the archive would be too large."
    )
    renditions: list[RenditionEntry]
    holds: list[ToldHold]


class Erased(Part):
    """A picture that was erased, with the signed receipts of it."""

    image_id: str
    receipts: list[dict[str, Any]]


class TierEntry(Part):
    """How a rendition of a tier looks."""

    tier: str
    edge: int = Field(description="Its longer side, in pixels, at most.")


class ExportDocument(Part):
    """A person's own data, as Nightlight keeps it."""

    format: Literal["nightlight-export/1"]
    export_id: str
    made_at: str
    account: Account
    pictures: list[PictureEntry]
    shown: list[Shown] = Field(description="Empty while the account is deactivated or has no current picture.")
    tiers: list[TierEntry]
    erased: list[Erased]


def schema() -> dict[str, Any]:
    """Return the JSON schema of the document."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **ExportDocument.model_json_schema()}
