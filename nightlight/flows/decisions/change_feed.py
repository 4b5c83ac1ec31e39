"""What a service process keeps of the catalogue, and the feed of changes that it is kept true by.

::

    views      profiles that decisions were made by lately  (nightlight_core.decisions.profile_views)
    revoked    names of renditions that were revoked: their URLs are refused
    pictures   bytes that were served lately

The feed is polled every ``poll_s`` seconds. A poll that is overdue is made by the next decision itself; while none can
be made, nothing of what is kept is used. A poll reads the views that have changed again, and answers by them what was
answered before: so the time that a decision takes does not tell which profile has just changed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from sys import intern
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from nightlight import logs, metrics
from nightlight.catalogue.decision_inputs import Seen, SeenRendition, seen
from nightlight.catalogue.feed import NAME, PROFILE
from nightlight.delivery.object_names import rendition_key
from nightlight_core.decisions.inputs import UNASSURED
from nightlight_core.decisions.profile_views import MOST_BLOCKED, AvailableRendition, ProfileView, ProfileViewCache
from nightlight_core.errors import CatalogueRestored, CatalogueUnavailable, NightlightError
from nightlight_core.ids import ProfileId, is_profile_id
from nightlight_core.policy.tier import TierRecipe

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue, Transaction
    from nightlight.flows.restore.position_watch import PositionWatch
    from nightlight.store.interface import StoredObject

# Every name that is revoked is read again after so long, so that those whose objects are gone are forgotten.
_ALL_NAMES_S = 60.0


class ChangeFeedPoller:
    """Polls the feed. Safe to share between threads."""

    def __init__(  # noqa: PLR0913 - each is a part of its own; the last three are there or not
        self,
        catalogue: Catalogue,
        views: ProfileViewCache,
        *,
        picture_bytes: int,
        assertion_days: int,
        poll_s: float,
        after: Sequence[Callable[[], object]] = (),
        answer_again: Callable[[ProfileView, ProfileView], None] | None = None,
        position: PositionWatch | None = None,
    ) -> None:
        """Keep ``views`` and at most ``picture_bytes`` of pictures true; ``after`` is called after every poll.

        ``answer_again`` is given each view that has changed, and the same as it is now: see AnswerBuilder. Nothing is
        read of a catalogue that is not where ``position`` expects it.
        """
        self.views, self.revoked = views, RevokedNames()
        self.pictures = RenditionCache(self.revoked, most_bytes=picture_bytes)
        self._catalogue, self._poll_s, self._after, self._answer_again = catalogue, poll_s, after, answer_again
        self._assertion, self._recipes = timedelta(days=assertion_days), KnownRecipes()
        self._position = position
        self._lock = threading.Lock()
        self._cursor: str | None = None
        self._all_names_at = self._failed_at = float("-inf")

    def poll(self, *, at_least: int | None = None) -> bool:
        """Read the feed once; say whether the change ``at_least`` was in it. Raises CatalogueUnavailable."""
        with self._lock:
            return self._poll(at_least)

    def catch_up(self, *, at_least: int | None = None) -> bool:
        """Do the same for a request that finds the last poll too long ago, unless another has done it meanwhile.

        While the catalogue does not answer, who waited for somebody else's poll does not wait for one more.
        """
        asked_at = time.monotonic()
        with self._lock:
            if at_least is None and self.views.fresh:
                return True
            if self._failed_at >= asked_at:
                raise CatalogueUnavailable("somebody else has just polled in vain")
            return self._poll(at_least)

    def check(self) -> str | None:
        """Return ``feed_stale`` where a decision of now could use nothing of what is kept; poll first, as it would."""
        try:
            self.catch_up()
        except (NightlightError, DBAPIError):
            return "feed_stale"
        return None

    def _poll(self, at_least: int | None) -> bool:
        began = time.monotonic()
        try:
            with self.reading() as tx:
                page = tx.feed.since(self._cursor)
                has = at_least is None or tx.audit.has(at_least)
                every = page.reset or began - self._all_names_at > _ALL_NAMES_S
                names = tx.revocations.names() if every else frozenset()
                changed = [key for kind, key in page.changed if kind == PROFILE]
                # After the feed: these are no older than what it told of.
                again = [] if page.reset else self._read_again(tx, changed)
        except NightlightError as error:
            self._failed_at = time.monotonic()
            if isinstance(error, CatalogueRestored):
                self.views.expire()  # what was read of it a moment ago counts for nothing either
            raise
        revoked = names | {key for kind, key in page.changed if kind == NAME}
        self.revoked.add(names if every else revoked, every=every)
        self.pictures.forget(revoked, every=page.reset)
        self.views.polled(began, changed, reset=page.reset, again=again)
        self._all_names_at = began if every else self._all_names_at
        self._cursor = page.cursor
        metrics.FEED_MOMENT.set(time.time())
        return has

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """Run the block in a transaction that reads; raises CatalogueRestored too: see PositionWatch."""
        if self._position is None:
            with self._catalogue.reading() as tx:
                yield tx
            return
        expected = self._position.expected()
        try:
            with self._catalogue.reading(gated=False) as tx:
                self._position.check(tx, expected)
                yield tx
        except DBAPIError as error:  # refused rather than unanswered: a table is missing while it is restored
            raise CatalogueUnavailable(type(error).__name__) from error

    def _read_again(self, tx: Transaction, changed: Sequence[str]) -> list[ProfileView]:
        old = self.views.changed(changed)
        ids = [view.profile_id for view in old]
        again = read_views(tx, ids, self._assertion, self._recipes) if old else []
        if self._answer_again is not None:
            for before, now in zip(old, again, strict=True):
                self._answer_again(before, now)
        return again

    def read(self, profile_ids: Sequence[str], *, keep: bool = True) -> list[ProfileView]:
        """Return what decisions need of profiles, from the catalogue, and keep it; raises CatalogueUnavailable.

        Without ``keep`` it is for somebody else's decisions, and leaves no trace in those that are made here.
        """
        ticket = self.views.ticket()
        with self.reading() as tx:
            views = read_views(tx, profile_ids, self._assertion, self._recipes)
        if keep:
            self.views.keep(ticket, views)
        return views

    def blocked(self, viewer_id: str, profile_ids: Sequence[str]) -> set[ProfileId]:
        """Return those of the profiles that a viewer is blocked by; raises CatalogueUnavailable."""
        with self._catalogue.reading() as tx:
            return tx.blocks.of_viewer(viewer_id, [ProfileId(profile_id) for profile_id in profile_ids])

    def run(self, stop: threading.Event) -> None:
        """Poll again and again until ``stop`` is set."""
        while True:
            try:
                self.poll()
                for call in self._after:
                    call()
            except Exception as error:  # noqa: BLE001 - who does not poll any more would answer nobody
                logs.failed("change_feed", "feed.not_read", error)
            if stop.wait(self._poll_s):
                return


class RevokedNames:
    """The names of renditions that were revoked."""

    def __init__(self) -> None:
        """Know of none until the first poll."""
        self._names: frozenset[str] = frozenset()

    def __contains__(self, name: object) -> bool:
        """Say whether a name is revoked."""
        return name in self._names

    def add(self, names: frozenset[str], *, every: bool) -> None:
        """Add these, or, where these are all there are, keep no others."""
        if every or names:
            self._names = names if every else self._names | names


class RenditionCache:
    """Bytes of renditions by name, the ones that were fetched last. Safe to share between threads."""

    def __init__(self, revoked: RevokedNames, *, most_bytes: int) -> None:
        """Keep at most ``most_bytes``, and nothing that is ``revoked``."""
        self._revoked, self._most = revoked, most_bytes
        self._lock = threading.Lock()
        self._kept: dict[str, StoredObject] = {}
        self._bytes = 0

    def get(self, name: str) -> StoredObject | None:
        """Return what is kept under a name."""
        return self._kept.get(name)

    def keep(self, name: str, stored: StoredObject) -> None:
        """Keep what was just read, unless its name was revoked meanwhile."""
        with self._lock:
            if name in self._revoked or name in self._kept or len(stored.data) > self._most:
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


class KnownRecipes:
    """The recipes that renditions name, read once each. Safe to share between threads."""

    def __init__(self) -> None:
        """Know of none."""
        self._known: dict[str, TierRecipe] = {}

    def named_by(self, tx: Transaction, rows: Sequence[Seen]) -> Mapping[str, TierRecipe]:
        """Return the recipes of all renditions in ``rows`` that the catalogue knows."""
        named = {rendition.recipe for row in rows for rendition in row.available()}
        if missing := named - self._known.keys():
            self._known = {**self._known, **tx.recipes.get(missing)}
        return self._known


def read_views(
    tx: Transaction, profile_ids: Sequence[str], assertion: timedelta, known: KnownRecipes
) -> list[ProfileView]:
    """Return a view of each profile, in order; unknown and deleted ones alike."""
    valid = [ProfileId(profile_id) for profile_id in profile_ids if is_profile_id(profile_id)]
    rows = seen(tx.connection, valid, most_blocked=MOST_BLOCKED) if valid else []
    inputs = {row.profile_id: row for row in rows}
    kept_s, recipes = int(assertion.total_seconds()), known.named_by(tx, rows)
    return [_view(inputs[key], kept_s, recipes) if key in inputs else ProfileView(key) for key in profile_ids]


def _recipe(rendition: SeenRendition, recipes: Mapping[str, TierRecipe]) -> TierRecipe:
    """Return what a rendition was made by; where nobody knows, or its row says otherwise, what the row says alone."""
    known = recipes.get(rendition.recipe)
    face_px, no_face_px = rendition.face_px, rendition.no_face_px
    if known and rendition.edge <= known.edge and (face_px, no_face_px) == (known.face_px, known.no_face_px):
        return known
    return TierRecipe(edge=min(max(rendition.edge, 8), 2048), face_px=face_px, no_face_px=no_face_px)


def _view(inputs: Seen, kept_s: int, recipes: Mapping[str, TierRecipe]) -> ProfileView:
    tiers: dict[str, tuple[AvailableRendition, ...]] = {}
    for rendition in inputs.available():
        path = f"/{rendition_key(rendition.name, rendition.format)}"
        tier = intern(rendition.tier)
        tiers[tier] = (*tiers.get(tier, ()), AvailableRendition(path, rendition.edge, _recipe(rendition, recipes)))
    # Words are few and views many: each word is kept once.
    return ProfileView(
        profile_id=inputs.profile_id,
        known=True,
        band=intern(inputs.band),
        band_expires_at=0 if inputs.assurance == UNASSURED else inputs.asserted_at + kept_s,
        assurance=intern(inputs.assurance),
        region=intern(inputs.region),
        choice=intern(inputs.choice),
        report_flag=intern(inputs.report_flag),
        effective_ceiling=None if inputs.effective_ceiling is None else intern(inputs.effective_ceiling),
        image_id=inputs.image_id,
        blurhash=inputs.blurhash,
        canary=bool(inputs.canary),
        blocked=inputs.viewers(),
        revoked=inputs.proofs_count_after(),
        available=tiers,
    )
