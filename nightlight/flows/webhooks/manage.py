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


@dataclass(frozen=True, slots=True)
class WebhookOverview:
    """How webhooks stand; ``counts`` are of all events that are kept, by state."""

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
        with self.catalogue.transaction() as tx:
            count = tx.events.again(now, event_ids=event_ids, since=since)
            if count:
                tx.audit.append("webhooks.replayed", now=now, actor=actor, detail={"events": count})
        return count

    def enable(self, *, actor: str) -> tuple[list[WebhookEndpoint], int]:
        """Enable the endpoints that are disabled; return them, and how many events are due at once.

        Those are all that were never taken, given up or not.
        """
        now = self.clock()
        with self.catalogue.transaction() as tx:
            enabled = []
            for endpoint in tx.webhooks.endpoints():
                held = tx.webhooks.locked(endpoint.endpoint_id)
                if held is None or held.state != DISABLED:
                    continue
                fresh = replace(
                    held, state=ENABLED, reason=None, failures=0, failing_since=None, not_before=None, disabled_at=None
                )
                tx.webhooks.write(fresh)
                enabled.append(fresh)
            due = tx.events.again(now, untaken=True) if enabled else 0
            if enabled:
                tx.audit.append("webhooks.enabled", now=now, actor=actor, detail={"events": due})
        return enabled, due
