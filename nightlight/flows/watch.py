"""What a service process keeps of the catalogue, and the feed of changes that it is kept true by.

::

    views      profiles that decisions were made by lately                        (delivery.views)
    refused    names of renditions that were revoked: their URLs are refused
    pictures   bytes that were served lately

The feed is read every ``poll_s`` seconds. A look that is overdue is made by the next decision itself; while none can be
made, nothing of what is kept is used.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from nightlight import logs
from nightlight.catalogue.feed import NAME, PROFILE
from nightlight.delivery.names import EXTENSIONS, object_key
from nightlight.delivery.views import MOST_BLOCKED, Offered, View, Views
from nightlight.errors import NightlightError
from nightlight.flows.declare import UNVOUCHED
from nightlight.ids import ProfileId, is_profile_id

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue, Transaction
    from nightlight.store.port import StoredObject

# Every name that is revoked is read again after so long, so that those whose objects are gone are forgotten.
_ALL_NAMES_S = 60.0


class Watch:
    """Reads the feed. Safe to share between threads."""

    def __init__(
        self,
        catalogue: Catalogue,
        views: Views,
        *,
        picture_bytes: int,
        assertion_days: int,
        poll_s: float,
        flush: Callable[[], None],
    ) -> None:
        """Keep ``views`` and at most ``picture_bytes`` of pictures true; ``flush`` is called after every look."""
        self.views, self.refused = views, Refused()
        self.pictures = Pictures(self.refused, most_bytes=picture_bytes)
        self._catalogue, self._poll_s, self._flush = catalogue, poll_s, flush
        self._assertion = timedelta(days=assertion_days)
        self._lock = threading.Lock()
        self._cursor: str | None = None
        self._all_names_at = float("-inf")

    def look(self, *, at_least: int | None = None) -> bool:
        """Look once; say whether the change ``at_least`` is in what was seen. Raises CatalogueUnavailable."""
        with self._lock:
            began = time.monotonic()
            with self._catalogue.reading() as tx:
                seen = tx.feed.since(self._cursor)
                has = at_least is None or tx.audit.has(at_least)
                every = seen.anew or began - self._all_names_at > _ALL_NAMES_S
                names = tx.revocations.names() if every else frozenset()
            changed = [key for kind, key in seen.changed if kind == PROFILE]
            revoked = names | {key for kind, key in seen.changed if kind == NAME}
            self.refused.take(names if every else revoked, every=every)
            self.pictures.forget(revoked, every=seen.anew)
            self.views.looked(began, changed, anew=seen.anew)
            self._all_names_at = began if every else self._all_names_at
            self._cursor = seen.cursor
        return has

    def read(self, profile_ids: Sequence[str]) -> list[View]:
        """Return what decisions need of profiles, from the catalogue, and keep it; raises CatalogueUnavailable."""
        ticket = self.views.ticket()
        with self._catalogue.reading() as tx:
            views = read_views(tx, profile_ids, self._assertion)
        self.views.keep(ticket, views)
        return views

    def blocked(self, viewer_id: str, profile_ids: Sequence[str]) -> set[ProfileId]:
        """Return those of the profiles that a viewer is blocked by; raises CatalogueUnavailable."""
        with self._catalogue.reading() as tx:
            return tx.blocks.of_viewer(viewer_id, [ProfileId(one) for one in profile_ids])

    def run(self, stop: threading.Event) -> None:
        """Look again and again until ``stop`` is set."""
        while True:
            try:
                self.look()
                self._flush()
            except NightlightError as error:
                logs.get("watch").error("feed.not_read", code=error.code)
            if stop.wait(self._poll_s):
                return


class Refused:
    """The names that a process refuses."""

    def __init__(self) -> None:
        """Know of none until the first look."""
        self._names: frozenset[str] = frozenset()

    def __contains__(self, name: object) -> bool:
        """Say whether a name is revoked."""
        return name in self._names

    def take(self, names: frozenset[str], *, every: bool) -> None:
        """Refuse these too, or, where these are all there are, no others."""
        if every or names:
            self._names = names if every else self._names | names


class Pictures:
    """Bytes of renditions by name, the ones that were fetched last. Safe to share between threads."""

    def __init__(self, refused: Refused, *, most_bytes: int) -> None:
        """Keep at most ``most_bytes``, and nothing that is ``refused``."""
        self._refused, self._most = refused, most_bytes
        self._lock = threading.Lock()
        self._kept: dict[str, StoredObject] = {}
        self._bytes = 0

    def get(self, name: str) -> StoredObject | None:
        """Return what is kept under a name."""
        return self._kept.get(name)

    def keep(self, name: str, stored: StoredObject) -> None:
        """Keep what was just read, unless its name was refused meanwhile."""
        with self._lock:
            if name in self._refused or name in self._kept or len(stored.data) > self._most:
                return
            self._kept[name] = stored
            self._bytes += len(stored.data)
            while self._bytes > self._most:
                self._bytes -= len(self._kept.pop(next(iter(self._kept))).data)

    def forget(self, names: frozenset[str], *, every: bool) -> None:
        """Forget these, or all of them."""
        with self._lock:
            for name in list(self._kept) if every else names & self._kept.keys():
                self._bytes -= len(self._kept.pop(name).data)


def read_views(tx: Transaction, profile_ids: Sequence[str], assertion: timedelta) -> list[View]:
    """Return a view of each profile, in order; unknown and deleted ones alike."""
    valid = [ProfileId(one) for one in profile_ids if is_profile_id(one)]
    shown = tx.profiles.shown(valid)
    known = list(shown)
    images = [one.image_id for one in shown.values() if one.image_id is not None]
    renditions = tx.images.shown(images) if images else {}
    by_image: dict[str, dict[str, tuple[Offered, ...]]] = {}
    generations = {one.image_id: one.profile.generation for one in shown.values()}
    for (image_id, tier), rows in renditions.items():
        # What is still named in an earlier generation is being named anew.
        mine = tuple(
            Offered(f"/{object_key(row.name, EXTENSIONS[row.format])}", row.edge, row.face_px)
            for row in rows
            if row.generation == generations[image_id]
        )
        if mine:
            by_image.setdefault(image_id, {})[tier] = mine
    blocked = tx.blocks.of_profiles(known, most=MOST_BLOCKED) if known else {}
    canaries = tx.suspects.canaries(known) if known else frozenset()
    views = []
    for profile_id in profile_ids:
        one = shown.get(ProfileId(profile_id))
        if one is None:
            views.append(View(profile_id))
            continue
        profile = one.profile
        viewers = blocked.get(profile.profile_id, set())
        lapses = 0 if profile.assurance == UNVOUCHED else int((profile.asserted_at + assertion).timestamp())
        views.append(
            View(
                profile_id=profile_id,
                known=True,
                band=profile.band,
                vouched_until=lapses,
                region=profile.region,
                choice=profile.choice,
                hold=profile.hold,
                held_to=None if one.released else one.image_band,
                image_id=one.image_id,
                blurhash=one.blurhash,
                canary=profile_id in canaries,
                blocked=None if viewers is None else frozenset(viewers),
                offered=by_image.get(one.image_id or "", {}),
            )
        )
    return views
