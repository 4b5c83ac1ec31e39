"""What takes something away, and copies that somebody waits for, do not wait behind uploads; nor do honest uploads
behind pictures that are slow to decode. On RabbitMQ and on the embedded queue."""

import httpx
import pytest
from sqlalchemy import func, select

from nightlight.catalogue import jobs
from nightlight.catalogue.lanes import BACKGROUND, LANES, UPLOAD
from nightlight.catalogue.tables import jobs as rows
from nightlight.cli import keys
from tests.support import hostile, pictures
from tests.support.waiting import eventually

pytestmark = [pytest.mark.failure, pytest.mark.integration]

BACKLOG = 200


def declared(client, name):
    client.declare(name, band="adult", assurance="verified", region="eu", choice="everyone")
    return name


def open_renders(stack, image_ids):
    with stack.catalogue.reading() as tx:
        query = select(func.count()).where(
            rows.c.image_id.in_(image_ids), rows.c.kind == jobs.RENDER, rows.c.state.in_(("queued", "leased"))
        )
        return tx.connection.execute(query).scalar_one()


def done(stack, kind, image_id):
    with stack.catalogue.reading() as tx:
        return tx.jobs.ended(image_id, kind)


def held(stack, profile_id):
    bearer = keys.token(stack.folder, scopes=["vault"], subject="officer", hours=1)
    headers = {"Authorization": f"Bearer {bearer}"}
    asked = {"profile_id": profile_id, "kind": "safeguarding", "reference": "case 7"}
    hold_id = httpx.post(f"{stack.url}/v1/holds", headers=headers, json=asked).json()["hold_id"]
    return lambda: httpx.get(f"{stack.url}/v1/holds/{hold_id}", headers=headers).json()["state"] == "placed"


def test_erasures_new_names_holds_and_traces_do_not_wait_behind_two_hundred_uploads(any_stack, record_property):
    """Each costs a hundredth of what is queued before it: where they waited in one line, hardly any upload was left."""
    with any_stack.client() as client:
        picture = pictures.jpeg(1400, 1050)
        subjects = {
            name: client.upload(declared(client, name), picture).image_id for name in ("erased", "renamed", "held")
        }
        for image_id in subjects.values():
            assert client.wait(image_id).state == "ready"
        declared(client, "busy")
        uploads = [client.upload("busy", picture).image_id for _ in range(BACKLOG)]
        trace = client.trace(pictures.jpeg(300, 300))
        placed = held(any_stack, "held")
        client.revoke("renamed")
        client.delete_image(subjects["erased"])
        eventually(lambda: done(any_stack, jobs.ERASE, subjects["erased"]), 120)
        eventually(lambda: done(any_stack, jobs.RENAME, subjects["renamed"]), 120)
        eventually(placed, 120)
        assert client.wait_trace(trace.trace_id, timeout_s=120).state == "done"
        left = open_renders(any_stack, uploads)
        record_property("uploads_left", left)
        assert left > BACKLOG / 2


def test_a_picture_that_is_slow_to_decode_waits_in_the_background_and_others_pass_it(any_stack, record_property):
    slow, quick = hostile.jpeg_scans(25, 4000, 3000), pictures.jpeg(640, 480)
    with any_stack.client() as client:
        declared(client, "slow")
        declared(client, "quick")
        behind = [client.upload("slow", slow).image_id for _ in range(12)]
        with any_stack.catalogue.reading() as tx:
            query = select(rows.c.lane).where(rows.c.image_id == behind[0])
            assert LANES[tx.connection.execute(query).scalar_one()] == BACKGROUND
            assert tx.jobs.render_lane(behind[0]) == BACKGROUND
        image = client.upload("quick", quick)
        eventually(lambda: client.image(image.image_id).state == "ready", 120)
        with any_stack.catalogue.reading() as tx:
            assert tx.jobs.render_lane(image.image_id) == UPLOAD
        left = open_renders(any_stack, behind)
        record_property("slow_left", left)
        assert left >= 6


def test_how_many_wait_and_for_how_long_is_told_for_each_lane(any_stack):
    port = any_stack.environment["NIGHTLIGHT_WORKER_SCHEDULE_HEALTH_PORT"]

    def told():
        text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        return all(f'nightlight_jobs_waiting{{lane="{lane}"}}' in text for lane in LANES) and all(
            f'nightlight_jobs_waiting_seconds{{lane="{lane}"}}' in text for lane in LANES
        )

    assert eventually(told)
