"""A signed event that tells of nothing: whether the platform's receiver answers, and what is wrong if not."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from nightlight.flows.webhooks.dispatch import payload
from nightlight.flows.webhooks.post import Endpoint, PostResult, post

if TYPE_CHECKING:
    from nightlight.flows.webhooks.signing import EventSigner
    from nightlight_core.clock import Clock

TEST = "webhook.test"


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What came of it: ``seconds`` is how long the receiver took."""

    event_id: str
    url: str
    delivery: PostResult
    seconds: float
    signatures: list[str]


@dataclass(frozen=True, slots=True)
class SendTrialEvent:
    """Sends an event of the type ``webhook.test``, once, from this process. Nothing is written down."""

    endpoint: Endpoint
    signer: EventSigner
    timeout_s: float
    clock: Clock

    def run(self) -> TrialResult:
        """Send it; return how that ended."""
        now = self.clock()
        event_id, body = secrets.token_hex(16), payload(TEST, now, {})
        headers = self.signer.headers(event_id, int(now.timestamp()), body)
        began = time.monotonic()
        delivery = asyncio.run(self._posted(body, headers))
        kinds = [signature.partition(",")[0] for signature in headers["webhook-signature"].split()]
        return TrialResult(event_id, self.endpoint.shown, delivery, time.monotonic() - began, kinds)

    async def _posted(self, body: bytes, headers: dict[str, str]) -> PostResult:
        async with httpx.AsyncClient(timeout=self.timeout_s) as http:
            return await post(http, self.endpoint.url, body, headers, self.timeout_s)
