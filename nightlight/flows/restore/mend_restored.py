"""A restored catalogue, from the moment it is noticed until decisions are made by it again.

::

    mend      receipts that were issued since are added to the chain again; whoever was erased since is erased again;
              the buckets and the catalogue are made to agree; the audit log goes on above the numbers that it had;
              every reader of the feed begins from nothing. From then on everything can be written, and nothing is shown
    replay    the platform declares, blocks, reports and uploads again what it did since; the policy's publisher
              activates the policy that was active
    resume    decisions are made by it again
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from nightlight import logs
from nightlight.catalogue.position import CURRENT, REPLAYING
from nightlight.flows.restore.compare_stores import Compared
from nightlight.flows.restore.position_marker import read_marker, write_marker
from nightlight.flows.restore.purge_restored import replay_receipts
from nightlight.flows.restore.write_position import current_marker
from nightlight_core.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nightlight.catalogue.engine import Catalogue
    from nightlight.flows.restore.compare_stores import CompareStores
    from nightlight.flows.restore.purge_restored import PurgeRestored
    from nightlight.retention.erasure_receipt import Receipt
    from nightlight.store.interface import ObjectStore
    from nightlight_core.clock import Clock

_ACTOR = "restore"
_RESTORED = "catalogue.restored"
# More lines, and more numbers, than were written without the marker being written: for weeks it may have been refused.
_LINES, _NUMBERS = 1_000_000, 2**20


class Mended(NamedTuple):
    """What was done, and what the platform has to replay: what it did from ``since`` to ``until``.

    ``receipts`` were added, ``receipts_missing`` says that others were issued that nobody has; ``missing`` pictures are
    rendered again; of those that are ``lost`` the original is gone; ``unknown`` objects were erased, ``locked`` ones
    cannot be. ``policy`` and ``candidate`` are bundles of this catalogue, ``policy_before`` and ``candidate_before``
    those that decided before, None where there was no marker.
    """

    profiles: int
    images: int
    keys_lost: tuple[str, ...]
    receipts: int
    receipts_missing: bool
    missing: int
    lost: tuple[str, ...]
    unknown: int
    locked: int
    since: str
    until: str
    policy: int
    policy_before: int | None
    candidate: int
    candidate_before: int | None


class PolicyDiffers(NamedTuple):
    """Bundles that decide, and that decided before; 0 for none."""

    policy: int
    policy_before: int
    candidate: int
    candidate_before: int


@dataclass(frozen=True, slots=True)
class MendRestored:
    """Both steps. Each may be run again after an interruption."""

    catalogue: Catalogue
    renditions: ObjectStore
    purge: PurgeRestored
    compare: CompareStores
    clock: Clock

    def mend(
        self,
        receipts: Sequence[tuple[Receipt, dict[str, str]]],
        *,
        force: bool = False,
        say: Callable[[str], object] = lambda _: None,
    ) -> Mended:
        """Mend a restored catalogue, while no process of Nightlight writes.

        ``receipts`` were verified, with their envelopes. Run again before ``resume``, it takes further receipts, and
        leaves the buckets alone: workers write to them by then. Raises InvalidInput where the catalogue is not behind,
        unless ``force`` says that it was restored all the same; StoreUnavailable, StoreDenied or CatalogueUnavailable.
        """
        marker = read_marker(self.renditions)
        with self.catalogue.reading() as tx:
            position, policy = tx.position.get(), tx.policies.state()
            last, noted = tx.audit.last_at(but=_ACTOR), tx.audit.last_detail(_RESTORED)
        if position is None:
            raise InvalidInput("this catalogue is not whole: was it restored to its end?")
        again = position.state == REPLAYING
        if not (again or force or (marker is not None and position.number < marker.number)):
            message = "this catalogue is not behind what was written; if it was restored all the same, say --force"
            raise InvalidInput(message)
        since = str(noted.get("since", "")) if again else last.isoformat() if last is not None else ""
        added = replay_receipts(self.catalogue, receipts)
        purged = self.purge.run(receipt for receipt, _ in receipts)
        compared = Compared(0, (), 0, 0) if again and not force else self.compare.run(say)
        now = self.clock()
        with self.catalogue.transaction() as tx:
            is_whole = marker is None or marker.receipt in {"", *tx.receipts.hashes([marker.receipt])}
            if not again:
                above = marker.audit + _LINES if marker is not None else 0
                tx.audit.append_above(above, _RESTORED, now=now, actor=_ACTOR, detail={"since": since})
                tx.position.advance((marker.number if marker is not None else position.number) + _NUMBERS)
                tx.position.set_state(REPLAYING, tx.feed.now())
        logs.get("restore").info("restore.mended", count=added)
        return Mended(
            *purged,
            receipts=added,
            receipts_missing=not is_whole,
            **compared._asdict(),
            since=since,
            until=now.isoformat(),
            policy=policy.active_version or 0,
            policy_before=marker.policy if marker is not None else None,
            candidate=policy.candidate_version or 0,
            candidate_before=marker.candidate if marker is not None else None,
        )

    def resume(self, *, policy_lost: bool = False) -> PolicyDiffers | None:
        """Have decisions made by the catalogue again; return why not, if its policy differs and is not ``policy_lost``.

        Raises InvalidInput where it is not being mended; likewise.
        """
        marker = read_marker(self.renditions)
        now = self.clock()
        with self.catalogue.transaction() as tx:
            position, policy = tx.position.get(), tx.policies.state()
            if position is None or position.state != REPLAYING:
                raise InvalidInput("this catalogue is not being mended: there is nothing to resume")
            active, candidate = policy.active_version or 0, policy.candidate_version or 0
            differs = marker is not None and (active, candidate) != (marker.policy, marker.candidate)
            if marker is not None and differs and not policy_lost:
                return PolicyDiffers(active, marker.policy, candidate, marker.candidate)
            number = tx.position.advance(marker.number if marker is not None else 0)
            tx.position.set_state(CURRENT)
            tx.audit.append("catalogue.resumed", now=now, actor=_ACTOR)
        with self.catalogue.reading() as tx:
            marker = current_marker(tx, int(now.timestamp()))
        write_marker(self.renditions, replace(marker, number=number))
        return None
