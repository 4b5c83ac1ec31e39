"""Tells the platform that a profile's picture changed, by the Standard Webhooks specification (version 1.0.0).

One type of event for almost every cause, and nothing in it but whose picture it is: whoever reads it learns nothing of
a block, a report or an age. A takedown notice has two of its own, with the image, so that its owner can be told that it
was hidden, or is shown again; they say nothing of the notice, nor of other copies. One more tells of a notice whose
hashes were set aside: people are needed. Events are delivered at least once, in no order: ask for decisions anew.

An endpoint whose deliveries fail for too long is disabled: its events wait, and are sent once it is enabled.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import httpx

from nightlight import logs, metrics
from nightlight.catalogue.webhooks import DISABLED, FAILING, GONE
from nightlight.flows.webhooks.post import GONE as GONE_AWAY
from nightlight.flows.webhooks.post import UNANSWERED, post

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue, Transaction
    from nightlight.catalogue.events import Event
    from nightlight.catalogue.webhooks import WebhookEndpoint
    from nightlight.flows.webhooks.post import Endpoint, PostResult
    from nightlight.flows.webhooks.signing import EventSigner
    from nightlight_core.clock import Clock

_BATCH = 50
_DROP = 1000
# Deliveries under way at once.
_WAVE = 5
# When the next attempt is made: at once, then as the specification proposes; three days in all.
RETRY_S = (5, 300, 1800, 7200, 18_000, 36_000, 36_000, 50_400, 72_000, 86_400)
# Retries of one outage are spread over a tenth of their pause.
_JITTER = 0.1
# What was not tried, since nothing answered, is due again after this.
_PAUSE_S = 5.0


@dataclass(frozen=True, slots=True)
class EndpointLimits:
    """When an endpoint is disabled: after so many failures in a row, of which the first is so many seconds ago."""

    failures: int = 5
    failing_s: float = 259_200.0


@dataclass(frozen=True, slots=True)
class DeliverWebhooks:
    """Delivers events to one endpoint; without one they are dropped."""

    catalogue: Catalogue
    endpoint: Endpoint | None
    signer: EventSigner
    timeout_s: float
    clock: Clock
    limits: EndpointLimits = EndpointLimits()

    def run_once(self) -> int:
        """Deliver one batch; return how many events were taken by the platform."""
        due = self._due()
        if not due or self.endpoint is None:
            return 0
        taken = 0
        with asyncio.Runner() as runner:
            http = httpx.AsyncClient(timeout=self.timeout_s)
            try:
                while due:
                    wave, due = due[:_WAVE], due[_WAVE:]
                    deliveries = runner.run(self._sent(http, self.endpoint.url, wave))
                    taken += sum(delivery.taken for delivery in deliveries)
                    if not self._record(self.endpoint, wave, deliveries, due):
                        break
            finally:
                runner.run(http.aclose())
        return taken

    def _due(self) -> list[Event]:
        """Claim the events of a batch; none while the endpoint is disabled, or asked to be left alone."""
        now = self.clock()
        with self.catalogue.transaction() as tx:
            tx.webhooks.publish_keys(self.signer.public_keys(), now)
            if self.endpoint is None:
                tx.webhooks.forget_endpoints()
                tx.events.drop_due(now, limit=_DROP)
                _tell(None, now)
                return []
            known = tx.webhooks.configured(self.endpoint.endpoint_id, self.endpoint.shown, now)
            _tell(known, now)
            if known.state == DISABLED or (known.not_before is not None and known.not_before > now):
                return []
            return tx.events.claim(now, limit=_BATCH, claim_s=_BATCH / _WAVE * self.timeout_s + 60)

    async def _sent(self, http: httpx.AsyncClient, url: str, wave: Sequence[Event]) -> list[PostResult]:
        moment = int(self.clock().timestamp())
        return await asyncio.gather(*(self._post(http, url, event, moment) for event in wave))

    async def _post(self, http: httpx.AsyncClient, url: str, event: Event, moment: int) -> PostResult:
        body = payload(event.kind, event.created_at, _subject(event))
        return await post(http, url, body, self.signer.headers(event.event_id, moment, body), self.timeout_s)

    def _record(
        self, endpoint: Endpoint, wave: Sequence[Event], deliveries: Sequence[PostResult], untried: Sequence[Event]
    ) -> bool:
        """Write how deliveries ended; say whether to go on. If not, those that are ``untried`` are due again soon."""
        now = self.clock()
        with self.catalogue.transaction() as tx:
            before = tx.webhooks.locked(endpoint.endpoint_id)  # before its events: so does whoever enables it
            for event, delivery in zip(wave, deliveries, strict=True):
                _record_event(tx, event, delivery, now)
            after = judged(before, deliveries, now, self.limits) if before is not None else None
            unanswered = all(delivery.outcome in UNANSWERED for delivery in deliveries)
            # Without a row another process has other settings.
            stop = after is None or after.state == DISABLED or after.not_before is not None or unanswered
            if stop:
                tx.events.release([event.event_id for event in untried], now + timedelta(seconds=_PAUSE_S))
            if after is not None:
                tx.webhooks.write(after)
                _tell(after, now)
        if after is not None and after.disabled_at == now:
            logs.get("notify").error("webhook.disabled", reason=after.reason, count=after.failures)
        return not stop


def payload(kind: str, moment: datetime, data: dict[str, str]) -> bytes:
    """Return the body of an event: what is signed, to the byte."""
    return json.dumps({"type": kind, "timestamp": moment.isoformat(), "data": data}, separators=(",", ":")).encode()


def judged(
    before: WebhookEndpoint, deliveries: Sequence[PostResult], now: datetime, limits: EndpointLimits
) -> WebhookEndpoint:
    """Return how an endpoint does after deliveries that were made at one time."""
    last = next((delivery for delivery in deliveries if delivery.taken), deliveries[-1])
    after_s = max(delivery.after_s for delivery in deliveries)
    after = replace(
        before,
        last_at=now,
        last_outcome=last.outcome,
        last_status=last.status,
        not_before=now + timedelta(seconds=after_s) if after_s else None,
    )
    if last.taken:
        after = replace(after, failures=0, failing_since=None)
    else:
        since = before.failing_since or now
        after = replace(after, failures=before.failures + len(deliveries), failing_since=since)
    if before.state == DISABLED:
        return after
    reason = None
    if any(delivery.outcome == GONE_AWAY for delivery in deliveries):
        reason = GONE
    elif after.failing_since is not None and after.failures >= limits.failures:
        reason = FAILING if (now - after.failing_since).total_seconds() >= limits.failing_s else None
    return after if reason is None else replace(after, state=DISABLED, reason=reason, disabled_at=now)


def retry_at(event: Event, delivery: PostResult, now: datetime) -> datetime | None:
    """Return when an event whose delivery failed is tried again; None where its retries are over."""
    if event.attempts >= len(RETRY_S):
        return None
    spread = 1 + _JITTER * int(event.event_id[:4], 16) / 0xFFFF  # the id is random
    return now + timedelta(seconds=max(RETRY_S[event.attempts] * spread, delivery.after_s))


def _record_event(tx: Transaction, event: Event, delivery: PostResult, now: datetime) -> None:
    attempt = event.attempts + 1
    if delivery.taken:
        tx.events.taken(event.event_id, now, status=delivery.status)
        metrics.EVENTS.labels("taken").inc()
        return
    metrics.EVENTS.labels("failed").inc()
    log = logs.get("notify")
    log.warning("event.not_taken", outcome=delivery.outcome, status=delivery.status, attempt=attempt)
    until = retry_at(event, delivery, now)
    tx.events.failed(event.event_id, now, until=until, outcome=delivery.outcome, status=delivery.status)
    if until is None:
        log.error("event.given_up", attempt=attempt)


def _tell(endpoint: WebhookEndpoint | None, now: datetime) -> None:
    disabled = endpoint is not None and endpoint.state == DISABLED
    failing = endpoint is not None and not disabled and endpoint.failing_since is not None
    since = endpoint.failing_since if endpoint is not None and failing else None
    metrics.WEBHOOKS_DISABLED.set(disabled)
    metrics.WEBHOOKS_FAILING_SECONDS.set((now - since).total_seconds() if since is not None else 0)


def _subject(event: Event) -> dict[str, str]:
    """Return whom or what an event is about."""
    if event.takedown_id is not None:
        return {"takedown_id": event.takedown_id}
    return {"profile_id": event.profile_id} | ({"image_id": event.image_id} if event.image_id else {})
