"""Hash lists as they were last known, and the hashes by which images are held against them again when one changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select, update

from nightlight.catalogue.matching_schema import hash_lists, screenings
from nightlight.catalogue.rows import Rows
from nightlight.catalogue.schema import images
from nightlight_core.ids import ImageId


@dataclass(frozen=True, slots=True)
class KnownHashList:
    """A list as it was last taken over: by a worker that found it grown, or by an operator.

    ``hashes`` and ``sample`` (see ``nightlight.matching.list_index``) are what a list is measured by: they follow it
    when it grows and not when it shrinks, so that many small losses are one large one. ``digest`` and ``modified_ns``
    are of its newest state. ``revision`` rises by one with each change of any list; ``digest`` is empty where an
    operator said that the list is gone.
    """

    name: str
    hashes: int
    digest: str
    sample: bytes
    modified_ns: int
    revision: int
    known_at: datetime
    actor: str


class Screenings(Rows):
    """Rows of lists and of screenings, inside one transaction."""

    def lists(self, *, hold: str = "") -> dict[str, KnownHashList]:
        """Return every known list by name; ``hold`` keeps them unchanged (``share``) or ours (``own``)."""
        query = select(hash_lists).order_by(hash_lists.c.name)
        if hold:
            query = query.with_for_update(read=hold == "share")
        return {row.name: KnownHashList(*row) for row in self._execute(query)}

    def write(self, lists: Mapping[str, KnownHashList], hash_list: KnownHashList) -> None:
        """Write a list's state under the next revision; ``lists`` are all of them, held."""
        revision = revision_of(lists) + 1
        values = {**asdict(hash_list), "revision": revision}
        if hash_list.name in lists:
            row_of_list = hash_lists.c.name == hash_list.name
            self._execute(update(hash_lists).where(row_of_list).values(values))
        else:
            self._execute(insert(hash_lists).values(values))

    def set(self, image_id: ImageId, hashes: bytes, revision: int) -> None:
        """Keep the hashes of an image's views (32 bytes each), and the revision of the lists they were held against."""
        row_of_image = screenings.c.image_id == image_id
        values = {"image_id": image_id, "hashes": hashes, "revision": revision}
        if self._execute(update(screenings).where(row_of_image).values(values)).rowcount == 0:
            self._execute(insert(screenings).values(values))

    def behind(self, revision: int, states: Sequence[str], *, limit: int) -> list[tuple[ImageId, bytes]]:
        """Return (image, hashes) of images that were held against an earlier revision of the lists."""
        query = (
            select(screenings.c.image_id, screenings.c.hashes)
            .join(images, images.c.image_id == screenings.c.image_id)
            .where(screenings.c.revision < revision, images.c.state.in_(states))
            .order_by(screenings.c.revision, screenings.c.image_id)
            .limit(limit)
        )
        return [(ImageId(row.image_id), row.hashes) for row in self._execute(query)]

    def unhashed(self, states: Sequence[str], *, limit: int) -> list[ImageId]:
        """Return images of which no hashes are kept: made before there were lists."""
        query = (
            select(images.c.image_id)
            .outerjoin(screenings, images.c.image_id == screenings.c.image_id)
            .where(screenings.c.image_id.is_(None), images.c.state.in_(states))
            .order_by(images.c.image_id)
            .limit(limit)
        )
        return [ImageId(row.image_id) for row in self._execute(query)]

    def drop(self, image_id: ImageId) -> None:
        """Forget the hashes of an image."""
        self._execute(delete(screenings).where(screenings.c.image_id == image_id))


def revision_of(lists: Mapping[str, KnownHashList]) -> int:
    """Return the revision of the lists: 0 where there never was one."""
    return max((known_list.revision for known_list in lists.values()), default=0)
