"""Perceptual hashes of renditions: what an index is made from, and what a match leads back to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select

from nightlight.catalogue.tables import images, rendition_hashes, renditions
from nightlight.ids import ImageId, ProfileId

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class HashRow:
    """The hash of one rendition: 32 bytes, and its quality, 0 to 100."""

    name: str
    hash: bytes
    quality: int


@dataclass(frozen=True, slots=True)
class Origin:
    """What a hash leads back to."""

    hash_id: int
    image_id: ImageId
    profile_id: ProfileId
    tier: str
    state: str
    hash: bytes
    rendered_at: datetime


class Hashes:
    """Hash rows, inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        """Work on ``connection``."""
        self._connection = connection

    def add(self, rows: Sequence[HashRow]) -> None:
        """Write the hashes of renditions that are written in the same transaction."""
        if rows:
            values = [{"name": row.name, "hash": row.hash, "quality": row.quality} for row in rows]
            self._connection.execute(insert(rendition_hashes), values)

    def after(self, hash_id: int, *, limit: int) -> list[tuple[int, bytes]]:
        """Return (number, hash) of the next ``limit`` hashes after a number, in their order."""
        query = (
            select(rendition_hashes.c.hash_id, rendition_hashes.c.hash)
            .where(rendition_hashes.c.hash_id > hash_id)
            .order_by(rendition_hashes.c.hash_id)
            .limit(limit)
        )
        return [(row.hash_id, row.hash) for row in self._connection.execute(query)]

    def origins(self, hash_ids: Sequence[int]) -> dict[int, Origin]:
        """Return what these hashes lead back to; those that are not here any more are left out."""
        query = (
            select(
                rendition_hashes.c.hash_id,
                renditions.c.image_id,
                images.c.profile_id,
                renditions.c.tier,
                images.c.state,
                rendition_hashes.c.hash,
                renditions.c.created_at,
            )
            .select_from(rendition_hashes)
            .join(renditions, renditions.c.name == rendition_hashes.c.name)
            .join(images, images.c.image_id == renditions.c.image_id)
            .where(rendition_hashes.c.hash_id.in_(hash_ids))
        )
        return {row.hash_id: Origin(*row) for row in self._connection.execute(query)}

    def drop(self, image_id: ImageId) -> None:
        """Forget the hashes of an image's renditions."""
        names = select(renditions.c.name).where(renditions.c.image_id == image_id)
        self._connection.execute(delete(rendition_hashes).where(rendition_hashes.c.name.in_(names)))
