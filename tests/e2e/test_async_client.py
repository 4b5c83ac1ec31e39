"""The asyncio client does with a real service what the other does."""

import asyncio

import httpx
import pytest

from nightlight.cli import key_commands
from nightlight_client import AsyncNightlightClient, Problem
from tests.support import pictures
from tests.support.waiting import HANG_S

pytestmark = [pytest.mark.e2e, pytest.mark.integration]


def test_from_declaration_to_picture_to_block_to_deletion(stack):
    token = key_commands.token(stack.folder, scopes=None, subject="async", hours=1)
    relation_keys = key_commands.relation_keys(stack.folder)

    async def life():
        async with AsyncNightlightClient(
            stack.url, token=token, relation_keys=relation_keys, viewer_id="pal", budget_s=HANG_S
        ) as client:
            await client.declare("async", band="age_16_17", assurance="verified", region="eu")
            image = await client.upload("async", pictures.jpeg(400, 400), idempotency_key="async-1")
            for _ in range(int(HANG_S / 0.05)):
                if (image := await client.image(image.image_id)).state != "pending":
                    break
                await asyncio.sleep(0.05)
            assert image.state == "ready"
            asked = [("async", "connection"), ("no-such-profile", "stranger")]
            batches = await asyncio.gather(*(client.decide("peer", "list", asked) for _ in range(10)))
            assert len({(decision.url, other.url) for decision, other in batches}) == 1
            shown, nobody = batches[0]
            assert shown.url.split("?")[0] != nobody.url.split("?")[0]
            assert (await asyncio.to_thread(httpx.get, shown.url)).status_code == 200
            await client.block("async", "pal")
            (blocked,) = await client.decide("peer", "list", asked[:1])
            assert blocked.url.split("?")[0] == nobody.url.split("?")[0]
            await client.unblock("async", "pal")
            await client.revoke("async")
            other = await client.upload("async", pictures.jpeg(400, 400, seed=3), crop=(10, 10, 300, 300))
            await client.delete_image(other.image_id)
            await client.delete_profile("async")
            with pytest.raises(Problem):
                await client.revoke("async")

    asyncio.run(life())
