"""What a platform's backend does, run where only the client is installed: reads its task from stdin, prints JSON."""

import asyncio
import base64
import importlib.util
import json
import sys
from pathlib import Path

from nightlight_client import AsyncNightlightClient, NightlightClient
from nightlight_client.testing import FakeNightlight

httpx_before = "httpx" in sys.modules
task = json.load(sys.stdin)
keys = {name: base64.b64decode(key) for name, key in task["relation_keys"].items()}


def items(case):
    return [(item["profile_id"], item["relation"], item.get("proof"), item.get("at_most")) for item in case["items"]]


def named(case):
    return {name: case.get(name) for name in ("viewer_id", "at_most")}


def answers(decisions):
    return [[decision.url, decision.expires_at, decision.capture] for decision in decisions]


def over_http(case):
    with NightlightClient(task["url"], token=task["token"], budget_s=task["budget_s"]) as client:
        return answers(client.decide(case["viewer"], case["context"], items(case), **named(case)))


async def over_http_later(case):
    async with AsyncNightlightClient(task["url"], token=task["token"], budget_s=task["budget_s"]) as client:
        return answers(await client.decide(case["viewer"], case["context"], items(case), **named(case)))


def locally(cases):
    from nightlight_client.local_client import LocalClient, Terms
    from nightlight_core.policy.public_keys import PublicKeys

    publisher, terms = PublicKeys.read(Path(task["publisher"])), Terms(relation_keys=keys, stale_s=3600.0)
    with (
        NightlightClient(task["url"], token=task["token"], budget_s=task["budget_s"]) as client,
        LocalClient(client, publisher, terms, clock=lambda: task["now"]) as local,
    ):
        decided = [answers(local.decide(case["viewer"], case["context"], items(case), **named(case))) for case in cases]
        return decided, local.problem


decided, problem = locally(task["cases"])
with NightlightClient("http://127.0.0.1:1", token="t", budget_s=0.1) as nobody:
    fallback = nobody.decide("peer", "list", [("a", "stranger")])[0]
fake = FakeNightlight()
with fake.client(viewer_id="v") as client:
    client.declare("p", band="age_13_15", assurance="verified", region="eu")
    client.upload("p", b"\xff\xd8\xff a picture")
    shown = [fake.shown(client.decide("peer", "list", [("p", word)])[0]).tier for word in ("stranger", "self")]
json.dump(
    {
        "fake": shown,
        "httpx_before": httpx_before,
        "server": [name for name in ("nightlight", "service", "workers") if importlib.util.find_spec(name)],
        "http": over_http(task["cases"][0]),
        "later": asyncio.run(over_http_later(task["cases"][0])),
        "local": decided,
        "problem": problem,
        "fallback": [fallback.fallback, fallback.url[:23]],
    },
    sys.stdout,
)
