"""The hashes of images' views, by which copies of a picture are by_number among all that is published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, insert, select

from nightlight.catalogue.rows import Rows
from nightlight.catalogue.schema import images
from nightlight.catalogue.takedown_schema import view_hashes
from nightlight_core.ids import ImageId, ProfileId


@dataclass(frozen=True, slots=True)
class HashedImage:
    """An image whose views are hashed: 32 bytes a view, the whole picture first."""

    number: int
    image_id: ImageId
    profile_id: ProfileId
    state: str
    hashes: bytes


class ViewHashes(Rows):
    """Rows of view hashes, inside one transaction."""

    def set(self, image_id: ImageId, hashes: bytes) -> None:
        """Keep the hashes of an image's views under a new number; nothing is kept of one that is too plain."""
        self.drop(image_id)
        if hashes:
            self._execute(insert(view_hashes).values(image_id=image_id, hashes=hashes))

    def after(self, number: int, *, limit: int) -> list[tuple[int, bytes]]:
        """Return (number, hashes) of the next ``limit`` rows after a number, in their order."""
        query = select(view_hashes.c.number, view_hashes.c.hashes).where(view_hashes.c.number > number)
        rows = self._execute(query.order_by(view_hashes.c.number).limit(limit))
        return [(row.number, bytes(row.hashes)) for row in rows]

    def images(self, numbers: Sequence[int]) -> dict[int, HashedImage]:
        """Return the images with these numbers; those that are not here any more are left out."""
        columns = view_hashes.c.number, images.c.image_id, images.c.profile_id, images.c.state, view_hashes.c.hashes
        query = select(*columns).join(images, images.c.image_id == view_hashes.c.image_id)
        by_number: dict[int, HashedImage] = {}
        for begin in range(0, len(numbers), _IN_ONE_QUERY):
            part = numbers[begin : begin + _IN_ONE_QUERY]
            rows = self._execute(query.where(view_hashes.c.number.in_(part)))
            by_number.update({row.number: HashedImage(*row) for row in rows})
        return by_number

    def of_image(self, image_id: ImageId) -> bytes:
        """Return the hashes of an image's views, nothing where there are none."""
        query = select(view_hashes.c.hashes).where(view_hashes.c.image_id == image_id)
        return bytes(self._execute(query).scalar() or b"")

    def drop(self, image_id: ImageId) -> None:
        """Forget the hashes of an image's views."""
        self._execute(delete(view_hashes).where(view_hashes.c.image_id == image_id))


# A statement has at most 32,766 variables in SQLite, 65,535 in PostgreSQL.
_IN_ONE_QUERY = 5_000
