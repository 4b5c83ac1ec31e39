"""The receiver of webhooks for asyncio: event loops need sockets, which unit tests have none of."""

import asyncio
import base64
from datetime import UTC, datetime

import pytest

from nightlight.flows.webhooks.dispatch import payload
from nightlight.flows.webhooks.signing import EventSigner
from nightlight_client import AsyncWebhookReceiver, MemorySeen, WebhookRefused, WebhookReplayed

pytestmark = pytest.mark.integration
NOW, SECRET = 1_795_338_000, bytes(32)
OLD = "whsec_" + base64.b64encode(SECRET).decode()


def sent(event_id):
    body = payload("picture.changed", datetime(2026, 11, 22, 9, tzinfo=UTC), {"profile_id": "u-81"})
    return body, EventSigner(lambda: [SECRET]).headers(event_id, NOW, body)


class Awaited:
    """A store whose methods are awaited, as those of redis.asyncio."""

    def __init__(self):
        self._seen = MemorySeen()

    async def add(self, word, seconds):
        await asyncio.sleep(0)
        return self._seen.add(word, seconds)

    async def has(self, word):
        await asyncio.sleep(0)
        return self._seen.has(word)

    async def discard(self, word):
        await asyncio.sleep(0)
        self._seen.discard(word)


@pytest.mark.parametrize("store", [MemorySeen, Awaited])
def test_the_same_with_asyncio(store):
    given = AsyncWebhookReceiver(secrets=[OLD], seen=store(), clock=lambda: NOW)

    async def statuses():
        ended = []
        go_on = asyncio.Event()

        async def take(*, fails=False, waits=False):
            try:
                async with given.receive(*sent("event-1")) as event:
                    if waits:
                        await go_on.wait()
                    ended.append(1 / 0 if fails else event.profile_id)
            except WebhookRefused as refusal:
                ended.append(refusal.status)
            except ZeroDivisionError:
                ended.append("failed")

        await take(fails=True)
        slow = asyncio.create_task(take(waits=True))
        await asyncio.sleep(0.05)
        await take()
        go_on.set()
        await slow
        await take()
        event = await given.verify(*sent("event-2"))
        with pytest.raises(WebhookReplayed):
            await given.verify(*sent("event-2"))
        return [*ended, event.event_id]

    assert asyncio.run(statuses()) == ["failed", 503, "u-81", 204, "event-2"]
