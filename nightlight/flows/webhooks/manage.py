"""What operators do with webhooks: see endpoints and events, have events sent again, enable an endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from nightlight.catalogue.webhooks import DISABLED, ENABLED

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue
    from nightlight.catalogue.events import EventRecord
    from nightlight.catalogue.webhooks import WebhookEndpoint
    from nightlight_core.clock import Clock

_BATCH = 1000


@dataclass(frozen=True, slots=True)
class WebhookOverview:
    """How webhooks stand; ``counts`` are of events that nobody has taken, by state."""

    endpoints: list[WebhookEndpoint]
    counts: dict[str, int]
    events: list[EventRecord]

    @property
    def disabled(self) -> bool:
        """Say whether an endpoint is disabled: events wait until somebody enables it."""
        return any(endpoint.state == DISABLED for endpoint in self.endpoints)


@dataclass(frozen=True, slots=True)
class ManageWebhooks:
    """Reads and changes what the schedule delivers by. Every change leaves a line in the audit log."""

    catalogue: Catalogue
    clock: Clock

    def overview(self, *, limit: int, state: str | None = None) -> WebhookOverview:
        """Return endpoints, counts, and the newest events, of one state if asked for."""
        with self.catalogue.reading() as tx:
            events = tx.events.listed(limit=limit, state=state)
            return WebhookOverview(tx.webhooks.endpoints(), tx.events.counts(), events)

    def replay(self, *, event_ids: Sequence[str] = (), since: datetime | None = None, actor: str) -> int:
        """Have events delivered again: those that are named, or all that were written since; return how many."""
        now = self.clock()
        if since is not None:
            count = self._all_again(now, since=since)
        else:
            with self.catalogue.transaction() as tx:
                count = tx.events.again(event_ids, now)
        if count:
            with self.catalogue.transaction() as tx:
                tx.audit.append("webhooks.replayed", now=now, actor=actor, detail={"events": count})
        return count

    def enable(self, *, actor: str) -> tuple[list[WebhookEndpoint], int]:
        """Enable the endpoints that are disabled; return them, and how many events are due at once.

        Those are all that were never taken, given up or not. They are due first: whoever is stopped in between finds
        the endpoint disabled, and begins again.
        """
        now = self.clock()
        with self.catalogue.reading() as tx:
            disabled = [endpoint for endpoint in tx.webhooks.endpoints() if endpoint.state == DISABLED]
        if not disabled:
            return [], 0
        due = self._all_again(now, since=None)
        with self.catalogue.transaction() as tx:
            enabled = [
                replace(
                    held, state=ENABLED, reason=None, failures=0, failing_since=None, not_before=None, disabled_at=None
                )
                for endpoint in disabled
                if (held := tx.webhooks.locked(endpoint.endpoint_id)) is not None
            ]
            for endpoint in enabled:
                tx.webhooks.write(endpoint)
            tx.audit.append("webhooks.enabled", now=now, actor=actor, detail={"events": due})
        return enabled, due

    def _all_again(self, now: datetime, *, since: datetime | None) -> int:
        """Have events delivered again in batches, each a short transaction."""
        count, last = 0, None
        while True:
            with self.catalogue.transaction() as tx:
                batch = tx.events.batch(last, since=since, limit=_BATCH)
                count += tx.events.again([event_id for _, event_id in batch], now)
            if len(batch) < _BATCH:
                return count
            last = batch[-1]
