"""What takes something away, and copies that somebody waits for, do not wait behind uploads; nor do honest uploads
behind pictures that are slow to decode. On RabbitMQ and on the embedded queue."""

import httpx
import pytest
from sqlalchemy import func, select

from nightlight.catalogue.schema import jobs as rows
from nightlight.cli import key_commands
from nightlight.jobs import kinds
from nightlight.jobs.enqueue import lane_before
from nightlight.jobs.lanes import BACKGROUND, LANE_OF_RANK, LANES, UPLOAD
from tests.support import hostile, pictures
from tests.support.stacks import STACKS
from tests.support.waiting import eventually

pytestmark = [pytest.mark.failure, pytest.mark.integration]

BACKLOG = 200
# Nothing here is killed; on a machine with much else to do a render takes its time.
UNHURRIED = {"NIGHTLIGHT_WORKER_TIME_LIMIT_S": "100", "NIGHTLIGHT_WORKER_LEASE_S": "101"}


@pytest.fixture(scope="module", params=sorted(STACKS))
def stack(request, tmp_path_factory):
    with STACKS[request.param](tmp_path_factory.mktemp(request.param), **UNHURRIED) as started:
        yield started


def declared(client, name):
    client.declare(name, band="adult", assurance="verified", region="eu", choice="everyone")
    return name


def open_renders(stack, image_ids):
    with stack.catalogue.reading() as tx:
        query = select(func.count()).where(
            rows.c.image_id.in_(image_ids), rows.c.kind == kinds.RENDER.name, rows.c.state.in_(("queued", "leased"))
        )
        return tx.connection.execute(query).scalar_one()


def done(stack, kind, image_id):
    with stack.catalogue.reading() as tx:
        return tx.jobs.ended(image_id, kind)


def held(stack, profile_id):
    bearer = key_commands.token(stack.folder, scopes=["hold"], subject="officer", hours=1)
    headers = {"Authorization": f"Bearer {bearer}"}
    asked = {"profile_id": profile_id, "kind": "safeguarding", "reference": "case 7"}
    hold_id = httpx.post(f"{stack.url}/v1/holds", headers=headers, json=asked).json()["hold_id"]
    return lambda: httpx.get(f"{stack.url}/v1/holds/{hold_id}", headers=headers).json()["state"] == "placed"


def test_a_picture_that_is_slow_to_decode_waits_in_the_background_and_others_pass_it(stack, record_property):
    slow, quick = hostile.jpeg_scans(12, 4000, 3000), pictures.jpeg(640, 480)
    with stack.client() as client:
        declared(client, "slow")
        declared(client, "quick")
        behind = [client.upload("slow", slow).image_id for _ in range(12)]
        with stack.catalogue.reading() as tx:
            query = select(rows.c.lane).where(rows.c.image_id == behind[0])
            assert LANE_OF_RANK[tx.connection.execute(query).scalar_one()] == BACKGROUND
            assert lane_before(tx, kinds.RENDER, behind[0]) == BACKGROUND
        image = client.upload("quick", quick)
        eventually(lambda: client.image(image.image_id).state == "ready", 300)
        with stack.catalogue.reading() as tx:
            assert lane_before(tx, kinds.RENDER, image.image_id) == UPLOAD
        left = open_renders(stack, behind)
        record_property("slow_left", left)
        assert left >= 6


def test_erasures_new_names_holds_and_traces_do_not_wait_behind_two_hundred_uploads(stack, record_property):
    """Each costs a hundredth of what is queued before it: where they waited in one line, hardly any upload was left."""
    with stack.client() as client:
        picture = pictures.jpeg(1400, 1050)
        subjects = {
            name: client.upload(declared(client, name), picture).image_id for name in ("erased", "renamed", "held")
        }
        for image_id in subjects.values():
            assert client.wait(image_id, timeout_s=300).state == "ready"
        for number in range(BACKLOG // 2):
            declared(client, f"busy-{number}")
        uploads = [client.upload(f"busy-{number // 2}", picture).image_id for number in range(BACKLOG)]
        trace_job = client.trace(pictures.jpeg(300, 300))
        placed = held(stack, "held")
        client.revoke("renamed")
        client.delete_image(subjects["erased"])
        eventually(lambda: done(stack, kinds.ERASE.name, subjects["erased"]), 300)
        eventually(lambda: done(stack, kinds.ROTATE_NAMES.name, subjects["renamed"]), 300)
        eventually(placed, 300)
        assert client.wait_trace(trace_job.trace_id, timeout_s=300).state == "done"
        left = open_renders(stack, uploads)
        record_property("uploads_left", left)
        assert left > BACKLOG / 2


def test_how_many_wait_and_for_how_long_is_told_for_each_lane(stack):
    port = stack.environment["NIGHTLIGHT_WORKER_SCHEDULE_HEALTH_PORT"]

    def lane_figures():
        text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        return all(f'nightlight_jobs_waiting{{lane="{lane}"}}' in text for lane in LANES) and all(
            f'nightlight_jobs_waiting_seconds{{lane="{lane}"}}' in text for lane in LANES
        )

    assert eventually(lane_figures)
