"""Images, from accepted to ready, and the renditions made from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime

from sqlalchemy import Column, delete, exists, func, insert, select, update

from nightlight.catalogue.rows import Rows
from nightlight.catalogue.schema import images, profiles, rendition_hashes, renditions, revocations
from nightlight_core.ids import ImageId, ProfileId

# The states of an image; nightlight.catalogue.image_states says what they mean and how one follows another. An image is
# `receiving` until its original is safely stored and the upload acknowledged, so that no object is ever stored that the
# catalogue does not know of.
RECEIVING = "receiving"
PENDING = "pending"
READY = "ready"
SUPERSEDED = "superseded"
REJECTED = "rejected"
FAILED = "failed"
QUARANTINED = "quarantined"
HELD = "held"
DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One upload; sizes are in pixels as stored in the file, before orientation.

    ``crop`` is the owner's: ``left,top,width,height`` in pixels of the upright picture. ``band`` counted when it was
    uploaded; ``ceiling_band`` is the most protective band that the platform asserted since; ``released_band`` the band
    up to which the owner opened it, None where no release is in force. ``reason_detail`` is the reason in words for the
    owner, where there is more to say than its code does.
    """

    image_id: ImageId
    profile_id: ProfileId
    sequence: int
    state: str
    reason: str | None
    original_key: str
    original_bytes: int
    format: str
    width: int
    height: int
    band: str
    ceiling_band: str
    created_at: datetime
    ready_at: datetime | None
    crop: str | None = None
    blurhash: str | None = None
    superseded_at: datetime | None = None
    sealed_key: str | None = field(default=None, repr=False)
    released_band: str | None = None
    reason_detail: str | None = None

    @property
    def effective_ceiling(self) -> str:
        """Return the band whose ceiling the picture keeps, whatever band its owner is of now."""
        return self.released_band or self.ceiling_band


@dataclass(frozen=True, slots=True)
class RenditionRow:
    """One rendition as published; ``name`` is its opaque name and its key in the store.

    ``watermark`` is the number that its invisible watermark says (0 to 2**56 - 1; None where it has none),
    ``short_watermark`` the 16 bits of it that a small rendition carries, ``watermark_agreement`` how
    well that read back, in thousandths. ``manifest`` is its C2PA manifest, by the SHA-256 of the
    rendition's bytes, ``manifest_id`` what the manifest calls itself. ``watermark_key`` is the id of the key of its
    invisible watermark. ``face_px`` and ``no_face_px`` are its recipe's.
    """

    name: str
    tier: str
    generation: int
    recipe: str
    format: str
    bytes: int
    width: int
    height: int
    sha256: str
    face_px: int | None = None
    watermark: int | None = None
    short_watermark: int | None = None
    variant: int = 0
    watermark_agreement: int | None = None
    manifest: str | None = None
    manifest_id: str | None = None
    watermark_key: str | None = None
    no_face_px: int | None = None


class Images(Rows):
    """Image and rendition rows, inside one transaction."""

    def add(self, image: ImageRow) -> None:
        """Write a new image."""
        self._execute(insert(images).values(**asdict(image)))

    def get(self, image_id: ImageId, *, lock: bool = False) -> ImageRow | None:
        """Return the image or None; ``lock`` holds its row until the transaction ends."""
        query = select(images).where(images.c.image_id == image_id)
        row = self._execute(query.with_for_update() if lock else query).mappings().one_or_none()
        return ImageRow(**row) if row else None

    def of_profile(self, profile_id: ProfileId) -> list[ImageRow]:
        """Return every acknowledged image of a profile that is not deleted, the newest first."""
        query = (
            select(images)
            .where(images.c.profile_id == profile_id, images.c.state.not_in((DELETED, RECEIVING)))
            .order_by(images.c.sequence.desc())
        )
        return [ImageRow(**row) for row in self._execute(query).mappings()]

    def deleted_of(self, profile_id: ProfileId) -> list[ImageId]:
        """Return a profile's images that are being erased."""
        query = select(images.c.image_id).where(images.c.profile_id == profile_id, images.c.state == DELETED)
        return [ImageId(row.image_id) for row in self._execute(query)]

    def slices(self) -> int:
        """Return into how many slices of about 100,000 rows or fewer the images fall: a power of sixteen."""
        if self._connection.dialect.name != "postgresql":
            return 1
        estimate = "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'images'::regclass"
        rows, slices = int(self._connection.exec_driver_sql(estimate).scalar_one()), 1
        while rows > slices * 100_000:
            slices *= 16
        return slices

    def inconsistent(self, *, limit: int, part: tuple[int, int] = (0, 1)) -> list[ImageId]:
        """Return images that are ready and that their profile does not show, and hold their rows.

        ``part`` is which slice is looked at, of how many: no index knows such images.
        """
        number, slices = part
        digits = len(f"{slices:x}") - 1
        joined = images.join(profiles, profiles.c.profile_id == images.c.profile_id)
        query = select(images.c.image_id).select_from(joined).where(images.c.state == READY)
        query = query.where(profiles.c.current_image_id.is_distinct_from(images.c.image_id)).limit(limit)
        if digits:
            query = query.where(
                images.c.image_id >= f"{number:0{digits}x}", images.c.image_id < f"{number:0{digits}x}g"
            )
        rows = self._execute(query.with_for_update(of=images, skip_locked=True))
        return [ImageId(row.image_id) for row in rows]

    def in_states(self, states: Sequence[str], *, after: str, limit: int) -> list[ImageId]:
        """Return images that are in one of these states, in the order of their ids, those after an id."""
        query = select(images.c.image_id).where(images.c.state.in_(states), images.c.image_id > after)
        rows = self._execute(query.order_by(images.c.image_id).limit(limit))
        return [ImageId(row.image_id) for row in rows]

    def abandoned(self, before: datetime, *, limit: int) -> list[ImageId]:
        """Return images that began to be received before ``before`` and were never acknowledged."""
        query = (
            select(images.c.image_id)
            .where(images.c.state == RECEIVING, images.c.created_at < before)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        return [ImageId(row.image_id) for row in self._execute(query)]

    def lower_ceiling(self, profile_id: ProfileId, band: str, *, looser: Sequence[str]) -> None:
        """Hold a profile's images to ``band`` where they were held to one of ``looser``, those that protect less."""
        rows = images.c.profile_id == profile_id, images.c.ceiling_band.in_(looser)
        self._execute(update(images).where(*rows).values(ceiling_band=band))

    def release(self, profile_id: ProfileId, band: str | None) -> None:
        """Open a profile's images up to the ceiling of ``band``; None takes back what was opened."""
        rows = images.c.profile_id == profile_id
        self._execute(update(images).where(rows).values(released_band=band))

    def effective_ceilings(self, profile_id: ProfileId) -> dict[ImageId, str]:
        """Return the band that each of a profile's images is held to, of those that have renditions."""
        query = select(images.c.image_id, func.coalesce(images.c.released_band, images.c.ceiling_band)).where(
            images.c.profile_id == profile_id, exists().where(renditions.c.image_id == images.c.image_id)
        )
        return {ImageId(image_id): band for image_id, band in self._execute(query)}

    def set_sealed_key(self, image_id: ImageId, sealed_key: str | None) -> None:
        """Write the key that an image's original was sealed with."""
        self._execute(update(images).where(images.c.image_id == image_id).values(sealed_key=sealed_key))

    def destroy_key(self, image_id: ImageId) -> bool:
        """Destroy the key that an image's original is sealed with; return whether there was one."""
        row = images.c.image_id == image_id, images.c.sealed_key.is_not(None)
        return self._execute(update(images).where(*row).values(sealed_key=None)).rowcount == 1

    def add_renditions(self, image_id: ImageId, rows: Sequence[RenditionRow], now: datetime) -> None:
        """Write the renditions of an image."""
        self._execute(insert(renditions), [{**asdict(row), "image_id": image_id, "created_at": now} for row in rows])

    def renditions(self, image_id: ImageId) -> list[RenditionRow]:
        """Return an image's renditions."""
        columns = [renditions.c[name] for name in RenditionRow.__slots__]
        query = select(*columns).where(renditions.c.image_id == image_id)
        return [RenditionRow(**row) for row in self._execute(query).mappings()]

    def rendered_before(self, image_id: ImageId, moment: datetime) -> list[RenditionRow]:
        """Return an image's renditions that were written before a moment."""
        columns = [renditions.c[name] for name in RenditionRow.__slots__]
        query = select(*columns).where(renditions.c.image_id == image_id, renditions.c.created_at < moment)
        return [RenditionRow(**row) for row in self._execute(query).mappings()]

    def rendition_page(self, after: str, *, limit: int) -> list[tuple[str, str, ImageId]]:
        """Return (name, format, image) of renditions that should have an object, in the order of their names."""
        query = (
            select(renditions.c.name, renditions.c.format, renditions.c.image_id)
            .join(images, images.c.image_id == renditions.c.image_id)
            .where(renditions.c.name > after, images.c.state.not_in((DELETED, HELD)))
            .order_by(renditions.c.name)
        )
        return [(row.name, row.format, ImageId(row.image_id)) for row in self._execute(query.limit(limit))]

    def known_names(self, names: Sequence[str]) -> set[str]:
        """Return those of ``names`` that renditions have."""
        return self._among(renditions.c.name, names)

    def known_manifests(self, names: Sequence[str]) -> set[str]:
        """Return those of ``names`` that manifests of renditions have."""
        return self._among(renditions.c.manifest, names)

    def known_originals(self, keys: Sequence[str]) -> set[str]:
        """Return those of ``keys`` that images' originals have."""
        return self._among(images.c.original_key, keys)

    def _among(self, column: Column[str], values: Sequence[str]) -> set[str]:
        return set(self._execute(select(column).where(column.in_(values))).scalars())

    def rename(self, old: str, new: str, generation: int) -> None:
        """Give a rendition another name, with its hash."""
        row = self._execute(select(renditions).where(renditions.c.name == old)).mappings().one_or_none()
        if row is None or old == new:
            return
        old_row = renditions.c.name == old
        # The hash refers to the name, and of a tier's variant there is one: the old row steps aside first.
        self._execute(update(renditions).where(old_row).values(variant=-1 - row["variant"]))
        self._execute(insert(renditions).values({**row, "name": new, "generation": generation}))
        hashes = rendition_hashes.c.name == old
        self._execute(update(rendition_hashes).where(hashes).values(name=new))
        self._execute(delete(renditions).where(old_row))

    def rendition_names(self, image_id: ImageId) -> list[tuple[str, str]]:
        """Return (name, format) of an image's renditions."""
        query = select(renditions.c.name, renditions.c.format).where(renditions.c.image_id == image_id)
        return [(row.name, row.format) for row in self._execute(query)]

    def manifests(self, image_id: ImageId) -> list[str]:
        """Return the C2PA manifests of an image's renditions."""
        query = select(renditions.c.manifest).where(
            renditions.c.image_id == image_id, renditions.c.manifest.is_not(None)
        )
        return sorted({row.manifest for row in self._execute(query)})

    def replace_renditions(self, image_id: ImageId, old: Sequence[RenditionRow], now: datetime) -> list[str]:
        """Forget renditions whose place others take: their names are revoked; return the keys of their manifests.

        A manifest that another rendition of the image has too is left out.
        """
        names = [row.name for row in old]
        if not names:
            return []
        known = select(revocations.c.name).where(revocations.c.name.in_(names))
        revoked = {row.name for row in self._execute(known)}
        fresh = [
            {"name": row.name, "format": row.format, "image_id": image_id, "created_at": now}
            for row in old
            if row.name not in revoked
        ]
        if fresh:
            self._execute(insert(revocations), fresh)
        self._execute(delete(rendition_hashes).where(rendition_hashes.c.name.in_(names)))
        self._execute(delete(renditions).where(renditions.c.name.in_(names)))
        kept = set(self.manifests(image_id))
        return sorted({row.manifest for row in old if row.manifest is not None} - kept)

    def set_blurhash(self, image_id: ImageId, blurhash: str) -> None:
        """Write the blur of an image's most protective rendition."""
        self._execute(update(images).where(images.c.image_id == image_id).values(blurhash=blurhash))

    def drop_renditions(self, image_id: ImageId, *, keep_crop: bool = False) -> None:
        """Forget an image's renditions, and what the image's own row tells of its pixels."""
        self._execute(delete(renditions).where(renditions.c.image_id == image_id))
        values = {"blurhash": None} | ({} if keep_crop else {"crop": None})
        self._execute(update(images).where(images.c.image_id == image_id).values(values))
