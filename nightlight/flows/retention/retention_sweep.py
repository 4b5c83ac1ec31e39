"""Age and change: what is due is done, batch by batch, by the workers.

Due times stand in SQL, never in a queue: a run finds what is due whenever it comes, and what it did twice was done
once. The buckets' lifecycle rules know no ages and are only the net under this.

::

    lapsed      a band that nobody asserted again in time is unknown from now on; what was given out counts no more
    superseded  an image that is ready and that its profile does not show (after a catalogue was restored, say); of more
                than 100,000 images a slice each hour
    retention   what the policy keeps no longer is deleted, each picture by its own owner's age and region
    accounts    an account that was deactivated for too long is deleted, as by DELETE
    rows        what was erased before rows were removed, or was kept by a hold, is looked at again, and its rows go; so
                do lines of the audit log about images that are gone          (flows.retention.remove_rows)
    records     rows that tell of work which is done, once they are old            (catalogue.old_rows)
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from nightlight import logs, metrics
from nightlight.catalogue import images
from nightlight.catalogue.deletions_due import EVIDENCE, DueDate
from nightlight.catalogue.image_states import STATES as STATES_OF_IMAGES
from nightlight.catalogue.image_states import SUPERSEDE
from nightlight.catalogue.old_rows import RecordAges
from nightlight.catalogue.sweeps import DONE, SweepRow
from nightlight.flows.pictures.change_state import change_state
from nightlight.flows.pictures.delete import StillDue
from nightlight.flows.pictures.profiles import UNKNOWN_BAND, asserted_age, tiers_taken
from nightlight.flows.pictures.revoke import withdraw
from nightlight.flows.retention.tags import DEACTIVATED, STATES
from nightlight.jobs import kinds
from nightlight.jobs.enqueue import enqueue
from nightlight.settings.records import RecordSettings
from nightlight_core.errors import NotFound
from nightlight_core.ids import ImageId

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Transaction
    from nightlight.catalogue.jobs import Lease
    from nightlight.flows.pictures.delete import DeletePictures
    from nightlight.jobs.runner import JobRunner
    from nightlight.policy.retention import RetentionTable
    from nightlight_core.policy.table import Table

_BATCH = 100
LAPSED, SUPERSEDED, DELETED, ACCOUNTS, HOLDS_DUE = "lapsed", "superseded", "deleted", "accounts", "holds_due"
# Rows of what was erased, and old lines of the audit log; rows that tell of work which is done.
ROWS, RECORDS = "rows", "records"
# Of many images a slice is looked at, another one each hour.
_SLICE_S = 3600
# Rows are small, and there are many of them.
_RECORDS_BATCH = 1000
_ACTOR = "retention"
# States of images that go with their account.
_NO_EVIDENCE = STATES_OF_IMAGES.keys() - {*EVIDENCE}


@dataclass(frozen=True, slots=True)
class Sweep:
    """Runs of the sweep: begun by the schedule or by hand, done by the workers."""

    runner: JobRunner
    delete: DeletePictures
    retention: Callable[[], RetentionTable]
    tables: Callable[[], Sequence[Table]]
    assertion_days: int
    leftovers: Callable[[], int]
    earlier: Callable[[], Sequence[Table]] = tuple
    approvers: Collection[str] = frozenset()
    records: RecordSettings = field(default_factory=RecordSettings)

    def begin(self, *, actor: str) -> str:
        """Begin a run and return its id."""
        now = self.runner.clock()
        with self.runner.catalogue.transaction() as tx:
            sweep_id = tx.sweeps.begin(actor=actor, now=now)
            enqueue(tx, kinds.SWEEP, sweep_id, now)
        return sweep_id

    def begin_due(self, every_s: float) -> bool:
        """Begin a run if none is under way and the last began ``every_s`` seconds ago; return whether one was."""
        with self.runner.catalogue.reading() as tx:
            last = tx.sweeps.last()
        if last is not None and (last.state != DONE or self._age_s(last) < every_s):
            return False
        self.begin(actor="schedule")
        return True

    def report(self, sweep_id: str | None = None) -> SweepRow:
        """Return what a run has done so far, the last one's where none is named; raises NotFound."""
        with self.runner.catalogue.reading() as tx:
            row = tx.sweeps.get(sweep_id) if sweep_id is not None else tx.sweeps.last()
        if row is None:
            raise NotFound
        return row

    def run(self, job_id: str, *, redelivered: bool) -> str:
        """Do one batch; return how it ended (see JobRunner.run), or ``swept`` and ``done``."""
        return self.runner.run(job_id, kinds.SWEEP, self._attempt, redelivered=redelivered, give_up=_give_up)

    def _attempt(self, lease: Lease) -> str:
        counts = Counter(self.batch())
        now = self.runner.clock()
        with self.runner.catalogue.transaction() as tx:
            tx.jobs.finish(lease, now)
            row = tx.sweeps.get(lease.other_id, lock=True)
            if row is None or row.state == DONE:
                return "nothing"
            more = any(counts[kind] for kind in (LAPSED, SUPERSEDED, DELETED, ACCOUNTS, ROWS, RECORDS))
            counts_so_far = {**Counter(row.counts) + counts, HOLDS_DUE: counts[HOLDS_DUE]}
            tx.sweeps.write(row.sweep_id, counts_so_far, row.batches + 1, finished_at=None if more else now)
            if more:
                enqueue(tx, kinds.SWEEP, row.sweep_id, now)
        if not more:
            logs.get("sweep").info("sweep.done", **counts_so_far)
        return "swept" if more else "done"

    def batch(self) -> dict[str, int]:
        """Do up to a batch of each kind of what is due; return how much of each that was."""
        done = {LAPSED: self._lapse(), SUPERSEDED: self._supersede(), DELETED: self._delete()}
        done[ACCOUNTS] = self._delete_accounts()
        done[ROWS] = self.leftovers()
        done[RECORDS] = self.drop_records()
        now = self.runner.clock()
        with self.runner.catalogue.reading() as tx:
            done[HOLDS_DUE] = sum(hold.may_end(now, self.approvers) for hold in tx.legal_holds.open())
        metrics.SWEPT.inc(done[DELETED])
        metrics.LAPSED.inc(done[LAPSED])
        metrics.HOLDS_DUE.set(done[HOLDS_DUE])
        return done

    def drop_records(self) -> int:
        """Drop a batch of each kind of rows that tell of work which is done, and are old; return how many."""
        now, days = self.runner.clock(), self.records
        old = RecordAges(
            jobs=now - timedelta(days=days.jobs_days),
            imports=now - timedelta(days=days.imports_days),
            audit=now - timedelta(days=days.audit_days),
            figures=now - timedelta(days=days.figures_days),
        )
        with self.runner.catalogue.transaction() as tx:
            return sum(tx.old_rows.drop(old, now, limit=_RECORDS_BATCH).values())

    def _lapse(self) -> int:
        now = self.runner.clock()
        before = now - timedelta(days=self.assertion_days)
        with self.runner.catalogue.transaction() as tx:
            profile_ids = tx.profiles.lapse(before, UNKNOWN_BAND, limit=_BATCH)
            for profile_id in profile_ids:
                profile = tx.profiles.get(profile_id)
                if profile is not None:
                    held_to, tables = tx.images.effective_ceilings(profile_id), (self.tables(), self.earlier())
                    ages = (asserted_age(profile),)
                    withdraw(tx, profile_id, tiers_taken(tx, tables, profile, ages, profile, held_to), now)
            if profile_ids:
                tx.audit.append("profiles.lapsed", now=now, actor="retention", detail={"count": len(profile_ids)})
        return len(profile_ids)

    def _supersede(self) -> int:
        now = self.runner.clock()
        with self.runner.catalogue.transaction() as tx:
            slices = tx.images.slices()
            # Drawn by the hour: whatever the time between two sweeps, every slice has its turn.
            hour = hashlib.sha256(str(int(now.timestamp() // _SLICE_S)).encode()).digest()
            part = int.from_bytes(hour[:8], "big") % slices
            image_ids = tx.images.inconsistent(limit=_BATCH, part=(part, slices))
            for image_id in image_ids:
                change_state(tx, SUPERSEDE, image_id, now, actor="retention")
        return len(image_ids)

    def _delete(self) -> int:
        swept = 0
        for image_id, due in self._due():
            try:
                self.delete.image(image_id, actor=_ACTOR, due=due)
            except NotFound:  # deleted meanwhile, or it is due no more
                continue
            swept += 1
        return swept

    def _due(self) -> Iterator[tuple[ImageId, StillDue]]:
        """Yield images that the policy keeps no longer, with what must still be so when they are deleted.

        Of the days of the image's own bands and its owner's present one the fewest count: each is asked for.
        """
        for state, word in STATES.items():
            for due in self._dates(word):
                with self.runner.catalogue.reading() as tx:
                    image_ids = tx.deletions_due.images(state, due, limit=_BATCH)
                yield from ((image_id, StillDue((state,))) for image_id in image_ids)
        for due in self._dates(DEACTIVATED):
            with self.runner.catalogue.reading() as tx:
                image_ids = tx.deletions_due.deactivated_images(due, limit=_BATCH)
            yield from ((image_id, StillDue((images.READY,), due.before)) for image_id in image_ids)

    def _delete_accounts(self) -> int:
        swept = 0
        for due in self._dates(DEACTIVATED):
            with self.runner.catalogue.reading() as tx:
                profile_ids = tx.deletions_due.accounts(due, limit=_BATCH)
            for profile_id in profile_ids:
                try:
                    self.delete.profile(profile_id, actor=_ACTOR, due=StillDue(_NO_EVIDENCE, due.before))
                except NotFound:  # deleted meanwhile, or it is due no more
                    continue
                swept += 1
        return swept

    def _dates(self, word: str) -> Iterator[DueDate]:
        """Yield, for each band and region, since when what retention.yaml calls ``word`` must be so to be due."""
        now = self.runner.clock()
        lapsed = now - timedelta(days=self.assertion_days)
        for term in self.retention().terms(word):
            yield DueDate(term, now - timedelta(days=term.days), lapsed)

    def _age_s(self, last: SweepRow) -> float:
        return (self.runner.clock() - last.created_at).total_seconds()


def _give_up(tx: Transaction, lease: Lease, _reason: str, now: datetime) -> None:
    """Say that a run was given up; the next begins in its time."""
    row = tx.sweeps.get(lease.other_id, lock=True)
    if row is not None:
        tx.sweeps.write(row.sweep_id, {**row.counts, "failed": 1}, row.batches, finished_at=now)
