"""Runs over all pictures that are shown: each that is not by the recipes of now is queued to be rendered again.

Workers look after the run that is under way, every few seconds: it begins where the policy, or this deployment's
watermark, asks for other recipes than the last run did. Few pictures are queued at a time, so that a run that is
replaced leaves little behind, and those that are asked for most come first. A run goes on where it was, whoever dies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from nightlight import logs, metrics
from nightlight.imaging.recipe import digest_of
from nightlight.jobs import kinds
from nightlight.jobs.enqueue import enqueue_many
from nightlight_core.errors import CatalogueUnavailable, InvalidInput, NotFound

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue, Transaction
    from nightlight.catalogue.rerender_progress import RerenderRow
    from nightlight.imaging.recipe import Recipe
    from nightlight_core.clock import Clock

# So many pictures wait in the queue at most; so many are looked at in one transaction, and so often in one look.
QUEUED, BATCH, MOST_BATCHES = 200, 500, 20
# Workers that have not heard of a new policy yet would take turns with those that have.
BETWEEN_RUNS, TURNS = timedelta(seconds=10), timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    ``waiting`` pictures are queued and not rendered. ``pictures_a_second`` is over the run so far; ``seconds_left`` is
    None where nobody can tell.
    """

    run: RerenderRow
    waiting: int
    pictures_a_second: float
    seconds_left: float | None

    def to_json(self) -> dict[str, Any]:
        """Return the progress as plain values, times in ISO 8601."""
        own = {"waiting": self.waiting, "pictures_a_second": self.pictures_a_second, "seconds_left": self.seconds_left}
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in {**asdict(self.run), **own}.items()
        }


@dataclass(frozen=True, slots=True)
class RerenderRuns:
    """Begins runs by hand, and tells how far runs are."""

    catalogue: Catalogue
    clock: Clock

    def begin(self, scope: Mapping[str, Any], *, actor: str) -> RerenderRow:
        """Begin a run by hand (RerenderRow says what ``scope`` may be); raises NotFound for an unknown profile.

        Raises InvalidInput for a tier or a key that no rendition has.
        """
        now = self.clock()
        with self.catalogue.transaction() as tx:
            if (profile_id := scope.get("profile_id")) and tx.profiles.get(profile_id) is None:
                raise NotFound
            for tier in scope.get("tiers", ()):
                if not tx.rerenders.known(tier=tier):
                    raise InvalidInput(f"there is no rendition of a tier '{tier}'")
            if (key := scope.get("watermark_key")) and not tx.rerenders.known(watermark_key=key):
                raise InvalidInput(f"there is no rendition that was watermarked with the key '{key}'")
            run = tx.rerenders.begin(tx.rerenders.wanted() or "", scope, None, actor=actor, now=now)
            detail = {name: str(value) for name, value in scope.items() if name != "profile_id"}
            tx.audit.append("rerender.begun", now=now, actor=actor, detail=detail)
        return run

    def progress(self, *, limit: int = 10) -> list[Progress]:
        """Return the newest runs, the last first."""
        now = self.clock()
        with self.catalogue.reading() as tx:
            waiting = tx.jobs.open(kinds.RERENDER.name)
            under_way = tx.rerenders.under_way()
            runs = tx.rerenders.runs(limit=limit)
        running = under_way.rerender_id if under_way else None
        return [_progress(run, waiting if run.rerender_id == running else 0, now) for run in runs]


def rendered_a_second(runs: Sequence[RerenderRow], now: datetime) -> float | None:
    """Return how many pictures the newest run that rendered any has rendered in a second; None if none has."""
    return next((run.rendered / _took_s(run, now) for run in runs if run.rendered), None)


def _took_s(run: RerenderRow, now: datetime) -> float:
    return max(((run.finished_at or now) - run.created_at).total_seconds(), 1e-3)


def _progress(run: RerenderRow, waiting: int, now: datetime) -> Progress:
    done = max(run.looked_at - waiting, 0)
    rate = done / _took_s(run, now)
    seconds: float | None = None
    if run.finished_at is not None:
        seconds = 0.0
    elif run.pictures is not None and rate:
        seconds = round(max(run.pictures - done, 0) / rate, 1)
    return Progress(run, waiting, round(rate, 3), seconds)


@dataclass(frozen=True, slots=True)
class RerenderFeeder:
    """Looks after the run that is under way. ``recipes`` returns what is wanted of every picture."""

    catalogue: Catalogue
    clock: Clock
    recipes: Callable[[], tuple[Recipe, ...]]

    def look(self) -> int:
        """Begin a run where one is due, and queue what there is place for; return how many pictures were queued."""
        queued = 0
        for _ in range(MOST_BATCHES):
            recipes = self.recipes()
            self._begin_due(recipes)
            with self.catalogue.transaction() as tx:
                more = self._batch(tx, recipes)
            if more is None:
                break
            queued += more
        return queued

    def _begin_due(self, recipes: Sequence[Recipe]) -> None:
        """Begin a run where other recipes are wanted than those of the last one."""
        now, digest = self.clock(), digest_of(recipes)
        with self.catalogue.reading() as tx:
            runs = tx.rerenders.followed(limit=3)
        if runs and (runs[0].wanted == digest or now - runs[0].created_at < BETWEEN_RUNS):
            return
        if _take_turns(runs, digest, now):
            logs.get("rerender").error("rerender.workers_differ", detail="recipes, watermarks or releases differ")
            return
        pictures = count_shown(self.catalogue)
        with self.catalogue.transaction() as tx:
            tx.recipes.add({recipe.digest: recipe.pixels for recipe in recipes}, now)
            tx.rerenders.begin(digest, None, pictures, actor="policy", now=now)
        logs.get("rerender").info("rerender.begun", count=pictures)

    def _batch(self, tx: Transaction, recipes: Sequence[Recipe]) -> int | None:
        """Queue the next pictures; return how many, None where there is nothing to do, or no place.

        A worker that has not heard of the policy of now, or has heard of it before others, leaves it to them.
        """
        now = self.clock()
        if tx.rerenders.wanted() != digest_of(recipes):
            return None
        run = tx.rerenders.under_way(lock=True)
        if run is None:
            return None
        waiting = tx.jobs.open(kinds.RERENDER.name)
        metrics.RERENDER_WAITING.set(max((run.pictures or run.looked_at) - run.looked_at, 0) + waiting)
        if waiting >= QUEUED:
            return None
        wanted = {(recipe.tier, recipe.digest): recipe.variants for recipe in recipes}
        asked = [] if run.scope else tx.rerenders.stale(tx.rerenders.take_asked(QUEUED, after=run.cursor), wanted, {})
        looked_at, stale = tx.rerenders.batch(wanted, run.scope, after=run.cursor, limit=BATCH)
        if not looked_at and not asked:
            if not waiting:
                tx.rerenders.finish(run.rerender_id, now)
                logs.get("rerender").info("rerender.done", count=run.rendered, detail=f"{run.failed} failed")
            return None
        image_ids = list(dict.fromkeys([*asked, *stale]))
        if image_ids:
            enqueue_many(tx, kinds.RERENDER, image_ids, now)
        cursor = looked_at[-1] if looked_at else run.cursor
        tx.rerenders.move(run.rerender_id, cursor, looked_at=len(looked_at), queued=len(image_ids))
        return len(image_ids)


def _take_turns(runs: Sequence[RerenderRow], digest: str, now: datetime) -> bool:
    """Say whether workers that want different things begin runs against each other."""
    if len(runs) < 3:  # noqa: PLR2004 - this way, the other, this way
        return False
    back = runs[0].wanted == runs[2].wanted and runs[1].wanted == digest
    return back and now - runs[2].created_at < TURNS


def count_shown(catalogue: Catalogue) -> int | None:
    """Return how many pictures are shown; None where they cannot be counted in time."""
    try:
        with catalogue.reading() as tx:
            return tx.rerenders.shown()
    except CatalogueUnavailable:
        return None
