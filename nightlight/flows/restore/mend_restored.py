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
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from nightlight import logs
from nightlight.catalogue.position import CURRENT, REPLAYING
from nightlight.flows.restore.position_marker import read_marker, write_marker
from nightlight.flows.restore.purge_restored import replay_receipts
from nightlight.flows.restore.write_position import current_marker
from nightlight_core.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nightlight.catalogue.engine import Catalogue
    from nightlight.flows.restore.compare_stores import CompareStores
    from nightlight.flows.restore.position_marker import PositionMarker
    from nightlight.flows.restore.purge_restored import PurgeRestored
    from nightlight.retention.erasure_receipt import Receipt
    from nightlight.store.interface import ObjectStore
    from nightlight_core.clock import Clock

_ACTOR = "restore"
# More lines than are written between two looks at the position (write_position).
_LINES = 1_000_000


class Mended(NamedTuple):
    """What was done, and what the platform has to replay: what changed from ``since`` to ``until``.

    ``receipts`` were added, ``receipts_missing`` says that others were issued that nobody has; ``missing`` pictures are
    rendered again, of ``lost`` the original is gone, ``unknown`` objects were erased. ``policy`` is the highest version
    of a bundle that this catalogue knows, ``policy_before`` the one that it knew; ``until`` and it are None where there
    was no marker.
    """

    profiles: int
    images: int
    keys_lost: tuple[str, ...]
    receipts: int
    receipts_missing: bool
    missing: int
    lost: int
    unknown: int
    since: str | None
    until: str | None
    policy: int
    policy_before: int | None


class PolicyBehind(NamedTuple):
    """The catalogue knows bundles up to ``version``, and knew them up to ``before``."""

    version: int
    before: int


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

        ``receipts`` were verified, with their envelopes. Raises InvalidInput where the catalogue is not behind, unless
        ``force`` says that it was restored all the same; StoreUnavailable, StoreDenied or CatalogueUnavailable.
        """
        marker = read_marker(self.renditions)
        with self.catalogue.reading() as tx:
            position, since, policy = tx.position.get(), tx.audit.last_at(), tx.policies.state().highest_version
        is_behind = position.state == REPLAYING or (marker is not None and position.number < marker.number)
        if not is_behind and not force:
            message = "this catalogue is not behind what was written; if it was restored all the same, say --force"
            raise InvalidInput(message)
        added = replay_receipts(self.catalogue, receipts)
        purged = self.purge.run(receipt for receipt, _ in receipts)
        compared = self.compare.run(say)
        now = self.clock()
        with self.catalogue.transaction() as tx:
            is_whole = marker is None or marker.receipt in {"", *tx.receipts.hashes([marker.receipt])}
            tx.audit.append_above(_above(marker), "catalogue.restored", now=now, actor=_ACTOR)
            tx.position.advance(marker.number if marker is not None else 0)
            tx.position.set_state(REPLAYING, tx.feed.now())
        logs.get("restore").info("restore.mended", count=added)
        return Mended(
            *purged,
            receipts=added,
            receipts_missing=not is_whole,
            **compared._asdict(),
            since=since.isoformat() if since is not None else None,
            until=datetime.fromtimestamp(marker.at, UTC).isoformat() if marker is not None else None,
            policy=policy,
            policy_before=marker.policy if marker is not None else None,
        )

    def resume(self, *, policy_lost: bool = False) -> PolicyBehind | None:
        """Have decisions made by the catalogue again; return why not, if its policy is behind and not ``policy_lost``.

        Raises InvalidInput where it is not being mended; likewise.
        """
        marker = read_marker(self.renditions)
        now = self.clock()
        with self.catalogue.transaction() as tx:
            if tx.position.get().state != REPLAYING:
                raise InvalidInput("this catalogue is not being mended: there is nothing to resume")
            version = tx.policies.state().highest_version
            if marker is not None and version < marker.policy and not policy_lost:
                return PolicyBehind(version, marker.policy)
            number = tx.position.advance(marker.number if marker is not None else 0)
            tx.position.set_state(CURRENT)
            tx.audit.append("catalogue.resumed", now=now, actor=_ACTOR)
        with self.catalogue.reading() as tx:
            marker = current_marker(tx, int(now.timestamp()))
        write_marker(self.renditions, replace(marker, number=number))
        return None


def _above(marker: PositionMarker | None) -> int:
    return marker.audit + _LINES if marker is not None else 0
