"""A profile whose every value is a canary string is erased; then every place is searched for the strings.

On both deployments: the database's dump or files with their free pages, the data folder with logs and queues, Redis,
the broker, metrics, exports. What may stay is named in the receipt: here, the change feed's two hours are let pass.
"""

import base64
import json
import re
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import redis
from kombu import Connection
from sqlalchemy import func, select, text

from nightlight.catalogue.retention_schema import tombstones
from nightlight.jobs.lanes import LANES
from tests.support import pictures
from tests.support.command import run_command
from tests.support.receiver import receiving
from tests.support.releases import dump
from tests.support.services import BROKER, REDIS, needed, token
from tests.support.stacks import STACKS
from tests.support.waiting import HANG_S, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.integration]


@pytest.fixture(scope="module")
def hooks():
    """The platform's receiver of webhooks: what it was told is its own."""
    with receiving() as server:
        yield server


@pytest.fixture(scope="module", params=sorted(STACKS))
def stack(request, tmp_path_factory, hooks):
    settings = {
        "NIGHTLIGHT_DELIVERY_WEBHOOK_URL": f"{hooks.url}/events",
        "NIGHTLIGHT_DELIVERY_WEBHOOK_SECRET": "whsec_" + base64.b64encode(bytes(32)).decode(),
        "NIGHTLIGHT_RETENTION_PROVE_AGAIN_S": "1",
        "NIGHTLIGHT_LOG_LEVEL": "debug",
        "NIGHTLIGHT_QUOTAS_PROFILES_PER_HOUR": "2",  # the third profile that a viewer asks for makes it a suspect
    }
    with STACKS[request.param](tmp_path_factory.mktemp("residue"), **settings) as started:
        yield started


def life(stack, who):
    """Let a profile do all that leaves traces; return every string that names it or what is its own."""
    canary = f"canary{token()}"
    with stack.client() as client:
        client.declare(who, band="age_13_15", assurance="verified", region="eu")
        image = client.upload(who, pictures.jpeg(seed=71), idempotency_key=f"{canary}-key")
        image = client.wait(image.image_id)
        assert image.state == "ready"
        client.block(who, f"{canary}-blocked")
        for other in ("one", "two", "three"):
            client.declare(f"{other}-{canary}", band="adult", assurance="verified", region="eu")
            client.decide("peer", "profile", [(f"{other}-{canary}", "stranger")], viewer_id=who)
        client.revoke(who)
        image = client.wait(image.image_id)
        client.deactivate(who)
        client.reactivate(who)
        client.set_report_flag(who, "reported")
    with stack.catalogue.reading() as tx:
        row = tx.images.get(image.image_id)
        own = {row.original_key.rpartition("/")[2], *(name for name, _ in tx.images.rendition_names(image.image_id))}
        own |= {key.rpartition("/")[2].partition(".")[0] for key in tx.jobs.planned_keys(image.image_id)}
    return image.image_id, {who, f"{canary}-key", f"{canary}-blocked", *own}


def erased(stack, who):
    asked = run_command(["erase", who, "--yes", "--json", "--wait-s", HANG_S], stack.as_role("operator"))
    assert asked.returncode == 0, asked.stderr
    assert json.loads(asked.stdout)["state"] == "erased"

    def rows_gone():
        with stack.catalogue.reading() as tx:
            return tx.profiles.get(who) is None

    eventually(rows_gone)


def two_hours_pass(stack):
    """The change feed forgets by the database's own clock: what it has is made two hours older."""
    with stack.catalogue.transaction() as tx:
        tx.connection.execute(text("UPDATE changes SET at = at - 7300"))

    def forgotten():
        with stack.catalogue.reading() as tx:
            return tx.connection.execute(text("SELECT count(*) FROM changes")).scalar_one() == 0

    eventually(forgotten)


def places(stack):
    """Yield (name, bytes) of everything that is kept anywhere."""
    for path in sorted(Path(stack.folder).rglob("*")):
        with suppress(FileNotFoundError):
            if path.is_file():
                yield str(path.relative_to(stack.folder)), path.read_bytes()
    if stack.name == "scale":
        yield "dump", dump(stack.environment["NIGHTLIGHT_CATALOGUE_URL"]).encode()
        yield from in_redis(stack)
        yield from in_broker(stack)
    for port in ("SERVICE_PORT", "WORKER_HEALTH_PORT", "WORKER_SCHEDULE_HEALTH_PORT"):
        page = httpx.get(f"http://127.0.0.1:{stack.environment[f'NIGHTLIGHT_{port}']}/metrics", follow_redirects=False)
        yield f"metrics {port}", page.content
    for command in (
        ["receipt", "export"],
        ["report", "--no-buckets", "--json"],
        ["abuse-signals", "report"],
        ["webhooks", "list", "--limit", "1000", "--json"],
    ):
        printed = run_command(command, {**stack.as_role("operator"), "COLUMNS": "400"})
        assert printed.returncode == 0, printed.stderr
        yield " ".join(command), printed.stdout.encode()
        if command[0] == "receipt":
            payloads = [base64.b64decode(json.loads(line)["payload"]) for line in printed.stdout.splitlines()]
            yield "payloads of receipts", b"\n".join(payloads)


def in_redis(stack):
    server = redis.Redis.from_url(needed(REDIS))
    for key in server.scan_iter(f"*{stack.queue}*"):
        kept = server.dump(key) or b""
        yield f"redis {key!r}", key + kept
    server.close()


def in_broker(stack):
    """Everything that waits, dead letters too; messages that are looked at go back."""
    with Connection(needed(BROKER)) as connection:
        channel = connection.default_channel
        for name in (*(f"{stack.queue}.{lane}" for lane in LANES), f"{stack.queue}.dead"):
            while (message := channel.basic_get(name, no_ack=False)) is not None:
                yield f"queue {name}", bytes(str(message.body) + str(message.headers), "utf-8")


def hits_in(stack, needles):
    pattern = re.compile(b"|".join(re.escape(needle.encode()) for needle in needles))
    return {(name, hit.decode()) for name, data in places(stack) for hit in pattern.findall(data)}


def test_nothing_is_left_of_a_profile_whose_every_value_is_a_canary(stack, hooks):
    who = f"canary-{token()}"
    hooks.statuses["/events"] = [500]  # the first event waits, and is told of later
    image_id, needles = life(stack, who)
    eventually(lambda: len({body["data"].get("profile_id") for body in hooks.bodies("/events")} & {who}) or None)
    hits = hits_in(stack, needles)
    assert ("webhooks list --limit 1000 --json", who) in hits
    before = {hit for _, hit in hits}
    assert who in before  # the search finds what is there
    assert len(before) >= 4
    erased(stack, who)
    two_hours_pass(stack)
    eventually(lambda: hits_in(stack, needles) == set())  # the schedule empties SQLite's log, once nobody reads
    with stack.catalogue.reading() as tx:
        assert tx.connection.execute(select(func.count()).select_from(tombstones)).scalar_one() == 1
        assert tx.receipts.of_image(image_id)
    again = run_command(["erase", who, "--yes", "--json"], stack.as_role("operator"))
    assert (again.returncode, json.loads(again.stdout)["state"]) == (0, "absent")


def test_an_outsider_is_answered_of_an_erased_profile_as_of_one_that_never_was(stack):
    who = f"outsider-{token()}"
    with stack.client() as client:
        client.declare(who, band="age_13_15", assurance="verified", region="eu")
        client.wait(client.upload(who, pictures.jpeg(seed=72)).image_id)
        erased(stack, who)
        never = f"outsider-{token()}"
        gone, unknown = client.decide("peer", "profile", [(who, "stranger"), (never, "stranger")])
    assert repr(gone).replace(who, "") == repr(unknown).replace(never, "")
