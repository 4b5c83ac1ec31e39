"""Tells the platform that a profile's picture changed, by the Standard Webhooks specification (version 1.0.0).

One type of event for almost every cause, and nothing in it but whose picture it is: whoever reads it learns nothing of
a block, a report or an age. A takedown notice has two of its own, with the image, so that its owner can be told that it
was hidden, or is shown again; they say nothing of the notice, nor of other copies. One more tells of a notice whose
hashes were set aside: people are needed. Events are signed with Ed25519
(``v1a``), and delivered at least once: ask for decisions anew.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from nightlight import logs, metrics
from nightlight_core.errors import SettingsRefused

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue
    from nightlight.catalogue.events import Event
    from nightlight_core.clock import Clock

_BATCH = 50
# When the next attempt is made: at once, then as the specification proposes; three days in all.
_RETRY_S = (5, 300, 1800, 7200, 18_000, 36_000, 36_000, 50_400, 72_000, 86_400)
_PREFIX = "whsk_"
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class DeliverWebhooks:
    """Delivers events to one URL; without a URL they are dropped."""

    catalogue: Catalogue
    url: str | None
    key: Ed25519PrivateKey | None
    timeout_s: float
    clock: Clock

    def run_once(self) -> int:
        """Deliver one batch; return how many events were taken by the platform."""
        now = self.clock()
        with self.catalogue.transaction() as tx:
            due = tx.events.claim(now, limit=_BATCH, claim_s=_BATCH * self.timeout_s + 60)
            if self.url is None or self.key is None:
                for event in due:
                    tx.events.taken(event.event_id)
                return 0
        if not due:
            return 0
        taken = 0
        with httpx.Client(timeout=self.timeout_s, follow_redirects=False) as http:
            for event in due:
                ok = self._delivered(http, self.url, self.key, event)
                taken += ok
                self._record_outcome(event, taken=ok)
        return taken

    def _delivered(self, http: httpx.Client, url: str, key: Ed25519PrivateKey, event: Event) -> bool:
        moment = int(self.clock().timestamp())
        data = {"type": event.kind, "timestamp": event.created_at.isoformat(), "data": _subject(event)}
        body = json.dumps(data, separators=(",", ":"))
        signature = base64.b64encode(key.sign(f"{event.event_id}.{moment}.{body}".encode())).decode()
        headers = {
            "content-type": "application/json",
            "webhook-id": event.event_id,
            "webhook-timestamp": str(moment),
            "webhook-signature": f"v1a,{signature}",
        }
        try:
            answer = http.post(url, content=body, headers=headers)
        except httpx.HTTPError as error:
            logs.get("notify").warning("event.not_delivered", detail=type(error).__name__, attempt=event.attempts + 1)
            return False
        if not answer.is_success:
            logs.get("notify").warning("event.not_taken", status=answer.status_code, attempt=event.attempts + 1)
        return answer.is_success

    def _record_outcome(self, event: Event, *, taken: bool) -> None:
        with self.catalogue.transaction() as tx:
            if taken:
                tx.events.taken(event.event_id)
            elif event.attempts < len(_RETRY_S):
                tx.events.put_off(event.event_id, self.clock() + timedelta(seconds=_RETRY_S[event.attempts]))
            else:
                tx.events.taken(event.event_id)
                logs.get("notify").error("event.given_up", attempt=event.attempts + 1)
        metrics.EVENTS.labels("taken" if taken else "failed").inc()


def _subject(event: Event) -> dict[str, str]:
    """Return whom or what an event is about."""
    if event.takedown_id is not None:
        return {"takedown_id": event.takedown_id}
    return {"profile_id": event.profile_id} | ({"image_id": event.image_id} if event.image_id else {})


def webhook_key(text: str, what: str) -> Ed25519PrivateKey:
    """Return the key that ``whsk_`` and base64 of 32 bytes stand for; raise SettingsRefused naming ``what``."""
    try:
        raw = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except ValueError:
        raw = b""
    if not text.startswith(_PREFIX) or len(raw) != _KEY_BYTES:
        raise SettingsRefused(f"{what} must be '{_PREFIX}' and the base64 of {_KEY_BYTES} bytes")
    return Ed25519PrivateKey.from_private_bytes(raw)
