"""Names of renditions that may not be fetched any more, until their objects are gone."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import delete, insert, select

from nightlight.catalogue.rows import Rows
from nightlight.catalogue.schema import images, renditions, revocations
from nightlight_core.ids import ImageId, ProfileId


class Revocations(Rows):
    """Revocation rows, inside one transaction."""

    def add(
        self,
        profile_id: ProfileId,
        now: datetime,
        *,
        image_id: ImageId | None = None,
        tiers: Collection[str] | None = None,
    ) -> list[ImageId]:
        """Revoke the names of what was made of a profile's images; return those images.

        ``image_id`` leaves out all but one image, ``tiers`` all but its renditions of these tiers.
        """
        query = (
            select(renditions.c.name, renditions.c.format, renditions.c.image_id)
            .join(images, images.c.image_id == renditions.c.image_id)
            .where(images.c.profile_id == profile_id, renditions.c.name.not_in(select(revocations.c.name)))
        )
        if image_id is not None:
            query = query.where(renditions.c.image_id == image_id)
        if tiers is not None:
            query = query.where(renditions.c.tier.in_(tiers))
        rows = [{**row, "created_at": now} for row in self._execute(query).mappings()]
        if rows:
            self._execute(insert(revocations), rows)
        return [ImageId(image_id) for image_id in dict.fromkeys(row["image_id"] for row in rows)]

    def names(self) -> frozenset[str]:
        """Return every name that is revoked and may still have an object."""
        return frozenset(row.name for row in self._execute(select(revocations.c.name)))

    def named(self, names: Sequence[str] | None) -> list[tuple[str, str]]:
        """Return (name, format) of those of ``names`` that are revoked and may still have an object; None for all."""
        query = select(revocations.c.name, revocations.c.format)
        if names is not None:
            query = query.where(revocations.c.name.in_(names))
        return [(row.name, row.format) for row in self._execute(query)]

    def of_image(self, image_id: ImageId) -> list[tuple[str, str]]:
        """Return (name, format) of what is revoked of an image."""
        query = select(revocations.c.name, revocations.c.format).where(revocations.c.image_id == image_id)
        return [(row.name, row.format) for row in self._execute(query)]

    def drop(self, image_id: ImageId, names: Sequence[str]) -> None:
        """Forget revocations of an image: the objects under these names are gone."""
        same_rows = revocations.c.image_id == image_id, revocations.c.name.in_(names)
        self._execute(delete(revocations).where(*same_rows))
