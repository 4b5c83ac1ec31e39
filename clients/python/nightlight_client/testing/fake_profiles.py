"""Profiles and images of the fake, by the rules of the service.

::

    upload       held to the band that was asserted last; unknown where nobody vouches for it
    declaration  of a more protective band: the ceiling falls to it, and every release is taken back
    release      the owner's word (``follow_band``): opens up to that band
    lapse        30 days after the last declaration the band counts as unknown
    revocation   pictures get other names: every URL that was given out counts for nothing
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nightlight_core.decisions.inputs import UNASSURED
from nightlight_core.decisions.profile_views import AvailableRendition, ProfileView
from nightlight_core.policy.table import NONE_TIER

if TYPE_CHECKING:
    from nightlight_core.policy.table import Table

ASSERTION_S = 30 * 86_400
LIVE, DEACTIVATED = "live", "deactivated"
PENDING, READY, SUPERSEDED, DELETED = "pending", "ready", "superseded", "deleted"
_UNKNOWN = "unknown"


@dataclass(slots=True)
class FakeImage:
    """One upload; ``paths`` are those of its renditions, by tier, in the order of variants."""

    image_id: str
    profile_id: str
    colour: bytes
    ceiling_band: str
    released_band: str | None = None
    state: str = PENDING
    reason: str | None = None
    paths: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def render(self, table: Table) -> None:
        """Give its renditions names, new ones if it has any."""
        self.paths = {
            tier: tuple(f"/a/{_name()}.png" for _ in range(recipe.variants))
            for tier, recipe in table.pixels.items()
            if tier != NONE_TIER
        }


@dataclass(slots=True)
class FakeProfile:
    """One profile, as it was declared at ``asserted_at`` (Unix seconds)."""

    profile_id: str
    band: str
    assurance: str
    region: str
    choice: str
    asserted_at: int
    report_flag: str = "clear"
    state: str = LIVE
    deactivated_at: int | None = None
    canary: bool = False
    image: FakeImage | None = None

    @property
    def asserted_band(self) -> str:
        """Return the band that pictures uploaded now are held to."""
        return _UNKNOWN if self.assurance == UNASSURED else self.band

    def hold_to(self, band: str, before: str, bands: tuple[str, ...], images: Iterator[FakeImage]) -> None:
        """Hold images to a band that was declared after ``before``; ``bands`` are in the order of protection."""
        looser, opened = bands[bands.index(band) + 1 :], bands.index(before) > bands.index(band)
        for image in images:
            if image.ceiling_band in looser:
                image.ceiling_band = band
            if opened:
                image.released_band = None

    def view(self, table: Table) -> ProfileView:
        """Return what decisions need of it."""
        if self.state != LIVE:
            return ProfileView(self.profile_id)
        image = self.image if self.image is not None and self.image.state == READY else None
        return ProfileView(
            profile_id=self.profile_id,
            known=True,
            band=self.band,
            band_expires_at=0 if self.assurance == UNASSURED else self.asserted_at + ASSERTION_S,
            assurance=self.assurance,
            region=self.region,
            choice=self.choice,
            report_flag=self.report_flag,
            effective_ceiling=None if image is None else image.released_band or image.ceiling_band,
            image_id=None if image is None else image.image_id,
            canary=self.canary,
            available={} if image is None else available(image.paths, table),
        )


def available(paths: Mapping[str, tuple[str, ...]], table: Table) -> dict[str, tuple[AvailableRendition, ...]]:
    """Return renditions by tier, made by the recipes of a table."""
    return {
        tier: tuple(AvailableRendition(path, table.pixels[tier].edge, table.pixels[tier]) for path in variants)
        for tier, variants in paths.items()
    }


def colour_of(picture: bytes) -> bytes:
    """Return the colour that stands for a picture: three bytes."""
    return hashlib.sha256(picture).digest()[:3]


def _name() -> str:
    return "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(32))
