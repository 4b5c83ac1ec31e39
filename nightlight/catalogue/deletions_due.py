"""What the policy keeps no longer: images and deactivated accounts whose days are over.

The days depend on the state, the band and the region. Each query asks for one band, and for the regions that have the
same number of days (policy.retention.RetentionTerm).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Select, case, func, or_, select

from nightlight.catalogue.images import HELD, QUARANTINED, READY, SUPERSEDED
from nightlight.catalogue.matching_schema import hash_list_matches
from nightlight.catalogue.profiles import DEACTIVATED
from nightlight.catalogue.rows import Rows
from nightlight.catalogue.schema import images, profiles
from nightlight_core.ids import ImageId, ProfileId

if TYPE_CHECKING:
    from nightlight.policy.retention import RetentionTerm

# Nothing of an account is dropped with it that has days of its own: it may be evidence.
EVIDENCE = (QUARANTINED, HELD)


@dataclass(frozen=True, slots=True)
class DueDate:
    """What is due: what has been in its state since ``before`` or longer, of those that ``term`` is about.

    A profile's band is unknown where nobody vouches for it, or has not since ``lapsed``.
    """

    term: RetentionTerm
    before: datetime
    lapsed: datetime


class DeletionsDue(Rows):
    """Images and accounts that are due, inside one transaction. What a report is open about is left out."""

    def images(self, state: str, due: DueDate, *, limit: int) -> list[ImageId]:
        """Return images that have been in a state for so long, of a band or of a profile of that band.

        An image is of the band that it was uploaded under, and of the most protective that was asserted since. In
        quarantine the days count from the match, or from the verdict that confirmed it.
        """
        since: ColumnElement[Any] = images.c.superseded_at if state == SUPERSEDED else images.c.created_at
        if state == QUARANTINED:
            matched = func.max(func.coalesce(hash_list_matches.c.decided_at, hash_list_matches.c.found_at))
            query = select(matched).where(hash_list_matches.c.image_id == images.c.image_id)
            since = func.coalesce(query.correlate(images).scalar_subquery(), since)
        return self._images(due, since, images.c.state == state, limit=limit)

    def deactivated_images(self, due: DueDate, *, limit: int) -> list[ImageId]:
        """Return images that would be shown, were their account not deactivated for so long."""
        deactivated = images.c.state == READY, profiles.c.state == DEACTIVATED
        return self._images(due, profiles.c.deactivated_at, *deactivated, limit=limit)

    def accounts(self, due: DueDate, *, limit: int) -> list[ProfileId]:
        """Return accounts that have been deactivated for so long, and hold no image in quarantine or under a hold."""
        evidence = select(images.c.image_id).where(
            images.c.profile_id == profiles.c.profile_id, images.c.state.in_(EVIDENCE)
        )
        query = select(profiles.c.profile_id).where(profiles.c.state == DEACTIVATED, ~evidence.exists())
        query = _of_profile(query, due, profiles.c.deactivated_at)
        if due.term.band is not None:
            query = query.where(_band_now(due) == due.term.band)
        rows = self._execute(query.order_by(profiles.c.deactivated_at).limit(limit))
        return [ProfileId(row.profile_id) for row in rows]

    def _images(
        self, due: DueDate, since: ColumnElement[Any], *where: ColumnElement[bool], limit: int
    ) -> list[ImageId]:
        joined = images.join(profiles, profiles.c.profile_id == images.c.profile_id)
        query = _of_profile(select(images.c.image_id).select_from(joined).where(*where), due, since)
        if (band := due.term.band) is not None:
            query = query.where(or_(images.c.band == band, images.c.ceiling_band == band, _band_now(due) == band))
        return [ImageId(row.image_id) for row in self._execute(query.order_by(since).limit(limit))]


def _of_profile(query: Select[Any], due: DueDate, since: ColumnElement[Any]) -> Select[Any]:
    query = query.where(since <= due.before, profiles.c.report_flag == "clear")
    regions = due.term.regions
    if due.term.all_but:
        return query.where(profiles.c.region.not_in(regions)) if regions else query
    return query.where(profiles.c.region.in_(regions))


def _band_now(due: DueDate) -> ColumnElement[str]:
    stale = or_(profiles.c.asserted_at < due.lapsed, profiles.c.assurance == "none")
    return case((stale, "unknown"), else_=profiles.c.band)
