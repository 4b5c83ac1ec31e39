"""What leads back to a rendition: its perceptual hash, from which an index is made, and its invisible watermark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, func, insert, select

from nightlight.catalogue.rows import Rows
from nightlight.catalogue.schema import images, rendition_hashes, renditions
from nightlight_core.ids import ImageId, ProfileId

_MOST = 100


@dataclass(frozen=True, slots=True)
class HashRow:
    """The hash of one rendition: 32 bytes, and its quality, 0 to 100."""

    name: str
    hash: bytes
    quality: int


@dataclass(frozen=True, slots=True)
class HashOrigin:
    """What a hash or an invisible watermark leads back to.

    ``hash_id`` and ``hash`` are None for a rendition too plain for a hash, ``watermark`` for one without an invisible
    watermark. ``published_at`` is when the image was first shown, ``shown_until`` when another took its place, or None.
    ``variants`` is how many its tier has of this image: where there is one, everybody is given the same.
    """

    hash_id: int | None
    image_id: ImageId
    profile_id: ProfileId
    tier: str
    variant: int
    state: str
    hash: bytes | None
    watermark: int | None
    rendered_at: datetime
    published_at: datetime | None
    shown_until: datetime | None
    variants: int


class RenditionHashes(Rows):
    """Hash rows, inside one transaction."""

    def add(self, rows: Sequence[HashRow]) -> None:
        """Write the hashes of renditions that are written in the same transaction."""
        if rows:
            self._execute(insert(rendition_hashes), [asdict(row) for row in rows])

    def after(self, hash_id: int, *, limit: int) -> list[tuple[int, bytes]]:
        """Return (number, hash) of the next ``limit`` hashes after a number, in their order."""
        query = (
            select(rendition_hashes.c.hash_id, rendition_hashes.c.hash)
            .where(rendition_hashes.c.hash_id > hash_id)
            .order_by(rendition_hashes.c.hash_id)
            .limit(limit)
        )
        return [(row.hash_id, row.hash) for row in self._execute(query)]

    def of_image(self, image_id: ImageId) -> list[bytes]:
        """Return the hashes of an image's renditions, 32 bytes each, every hash once."""
        joined = renditions.join(rendition_hashes, rendition_hashes.c.name == renditions.c.name)
        query = select(rendition_hashes.c.hash).select_from(joined).where(renditions.c.image_id == image_id)
        return sorted({bytes(row.hash) for row in self._execute(query)})

    def present(self, hash_ids: Sequence[int]) -> set[int]:
        """Return those of these hashes that are here."""
        query = select(rendition_hashes.c.hash_id).where(rendition_hashes.c.hash_id.in_(hash_ids))
        return set(self._execute(query).scalars())

    def origins(self, hash_ids: Sequence[int]) -> dict[int, HashOrigin]:
        """Return what these hashes lead back to; those that are not here any more are left out."""
        query = _origins().where(rendition_hashes.c.hash_id.in_(hash_ids))
        return {row.hash_id: HashOrigin(*row) for row in self._execute(query)}

    def by_watermark(self, watermark: int, *, limit: int = 20) -> list[HashOrigin]:
        """Return the renditions with this invisible watermark: variants of one, or nothing if it was erased."""
        query = _origins().where(renditions.c.watermark == watermark).order_by(renditions.c.variant).limit(limit)
        return [HashOrigin(*row) for row in self._execute(query)]

    def by_short_watermark(self, short_watermark: int, variant: int, *, limit: int = 200) -> list[HashOrigin]:
        """Return the small renditions whose invisible watermark has these 16 bits: one in 65,536 of all."""
        conditions = renditions.c.short_watermark == short_watermark, renditions.c.variant == variant
        query = _origins().where(*conditions).order_by(renditions.c.created_at.desc()).limit(limit)
        return [HashOrigin(*row) for row in self._execute(query)]

    def manifests(
        self,
        *,
        watermark: int | None = None,
        hash_: bytes | None = None,
        rendition: tuple[ImageId, str, int] | None = None,
        name: str | None = None,
    ) -> list[str]:
        """Return the ids of manifests: by a watermark, a hash, a rendition (image, tier, variant) or its name."""
        query = select(renditions.c.manifest_id).where(renditions.c.manifest_id.is_not(None))
        if watermark is not None:
            query = query.where(renditions.c.watermark == watermark)
        if hash_ is not None:
            joined = renditions.join(rendition_hashes, rendition_hashes.c.name == renditions.c.name)
            query = query.select_from(joined).where(rendition_hashes.c.hash == hash_)
        if rendition is not None:
            image_id, tier, variant = rendition
            conditions = (renditions.c.image_id == image_id, renditions.c.tier == tier, renditions.c.variant == variant)
            query = query.where(*conditions)
        if name is not None:
            query = query.where(renditions.c.name == name)
        return [row.manifest_id for row in self._execute(query.order_by(renditions.c.created_at).limit(_MOST))]

    def manifest(self, manifest_id: str) -> str | None:
        """Return the name of a manifest, None if there is none of this id."""
        query = select(renditions.c.manifest).where(renditions.c.manifest_id == manifest_id).limit(1)
        label: str | None = self._execute(query).scalar()
        return label

    def drop(self, image_id: ImageId) -> None:
        """Forget the hashes of an image's renditions."""
        names = select(renditions.c.name).where(renditions.c.image_id == image_id)
        self._execute(delete(rendition_hashes).where(rendition_hashes.c.name.in_(names)))


def _origins() -> Select[Any]:
    later = images.alias("later")
    replaced = (
        select(func.min(later.c.ready_at))
        .where(later.c.profile_id == images.c.profile_id, later.c.sequence > images.c.sequence)
        .correlate(images)
        .scalar_subquery()
    )
    sibling = renditions.alias("sibling")
    variants = (
        select(func.count())
        .where(sibling.c.image_id == renditions.c.image_id, sibling.c.tier == renditions.c.tier)
        .correlate(renditions)
        .scalar_subquery()
    )
    columns = (
        rendition_hashes.c.hash_id, renditions.c.image_id, images.c.profile_id, renditions.c.tier, renditions.c.variant,
        images.c.state, rendition_hashes.c.hash, renditions.c.watermark, renditions.c.created_at, images.c.ready_at,
    )  # fmt: skip
    return (
        select(*columns, replaced, variants)
        .select_from(renditions)
        .join(images, images.c.image_id == renditions.c.image_id)
        .outerjoin(rendition_hashes, rendition_hashes.c.name == renditions.c.name)
    )
