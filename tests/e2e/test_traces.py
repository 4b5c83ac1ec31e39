"""Traces over HTTP: a copy goes in, a worker finds where it comes from, and the copy is gone."""

import httpx
import pytest
from PIL import Image, ImageOps

from nightlight_client import Problem
from tests.support import pictures
from tests.support.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.integration]


@pytest.fixture(scope="module")
def leak(client):
    """A photograph that no other test uploads, and its medium rendition as a connection gets it."""
    client.declare("leaky-http", band="age_16_17", assurance="verified", region="eu")
    image = client.wait(
        client.upload("leaky-http", pictures.photograph("coffee.png"), crop=(30, 10, 370, 370)).image_id
    )
    assert image.state == "ready"
    (decision,) = client.decide("peer", "profile", [("leaky-http", "connection")])
    return image, pictures.opened(httpx.get(decision.url).content).convert("RGB")


def screenshot(image, box, width, quality):
    """A part of the picture as shown at another size, mirrored, encoded anew: nothing of the file is left."""
    shown = ImageOps.mirror(image.crop(box)).resize((width, width), Image.Resampling.BICUBIC)
    return pictures.encoded(shown, "JPEG", quality=quality)


SCREENSHOTS = [((10, 20, 300, 310), 212, 80), ((16, 16, 304, 304), 240, 75), ((30, 5, 310, 285), 260, 85)]


def test_cropped_mirrored_encoded_screenshots_lead_back_over_http(client, leak):
    """Each is read from more than nine pictures in ten (docs/watermark.md); what this one says differs in every run."""
    image, shown = leak
    asked = [client.trace(screenshot(shown, *how)) for how in SCREENSHOTS]
    assert all(trace_job.state == "pending" and not trace_job.copy_kept for trace_job in asked)
    ended = [client.wait_trace(trace_job.trace_id) for trace_job in asked]
    assert [trace_job.state for trace_job in ended] == ["done"] * len(asked)
    named = [trace_job.result for trace_job in ended if trace_job.result["origins"]]
    assert len(named) >= 2
    for result in named:
        first = result["origins"][0]
        assert (first["image_id"], first["profile_id"], first["tier"]) == (image.image_id, "leaky-http", "medium")
        assert first["published_at"]
        assert result["watermark"]["mirrored"]
        assert result["watermark"]["chance"] < 1e-6


def test_what_was_asked_of_a_copy_is_in_the_catalogue_and_the_copy_is_nowhere(stack, client, leak):
    trace_id = client.wait_trace(client.trace(pictures.encoded(leak[1], "JPEG", quality=90)).trace_id).trace_id

    def copy_gone():
        with stack.catalogue.reading() as tx:
            return tx.trace_jobs.get(trace_id).copy_key is None or None

    eventually(copy_gone)
    client.delete_trace(trace_id)
    with pytest.raises(Problem) as gone:
        client.trace_status(trace_id)
    assert gone.value.status == 404


def test_a_trace_needs_its_scope(stack, client, leak):
    asked = client.trace(pictures.encoded(leak[1], "JPEG"))
    with stack.client("ingest", "decide", "explain", "policy", "report") as other:
        for call in (
            lambda: other.trace(pictures.jpeg()),
            lambda: other.trace_status(asked.trace_id),
            lambda: other.delete_trace(asked.trace_id),
        ):
            with pytest.raises(Problem) as refused:
                call()
            assert (refused.value.status, refused.value.code) == (403, "forbidden")


@pytest.mark.parametrize(
    ("copy", "status", "code"),
    [
        (b"", 422, "corrupt_image"),
        (b"no picture at all, but long enough to be looked at", 415, "unsupported_format"),
        (pictures.jpeg()[:12], 422, "corrupt_image"),
        (b"\xff\xd8\xff" + bytes(64_100_000), 413, "payload_too_large"),
    ],
)
def test_what_is_no_picture_is_refused_at_the_door(client, copy, status, code):
    with pytest.raises(Problem) as refused:
        client.trace(copy)
    assert (refused.value.status, refused.value.code) == (status, code)


def test_damaged_and_empty_pictures_end_in_bounded_time(client):
    whole = pictures.encoded(Image.effect_noise((300, 300), 90).convert("RGB"), "PNG")
    asked = {
        "noise": client.trace(whole),
        "blank": client.trace(pictures.encoded(Image.new("RGB", (500, 500), "white"), "PNG")),
        "tiny": client.trace(pictures.encoded(Image.new("RGB", (9, 7)), "PNG")),
        "cut short": client.trace(whole[: len(whole) // 2]),
    }
    ended = {name: client.wait_trace(trace_job.trace_id) for name, trace_job in asked.items()}
    for name in ("noise", "blank", "tiny"):
        assert (ended[name].state, ended[name].result["origins"], ended[name].result["watermark"]) == ("done", [], None)
    assert (ended["cut short"].state, ended["cut short"].reason) == ("rejected", "truncated_image")


@pytest.mark.parametrize(("keep", "status"), [("yes", 422), ("", 422), ("TRUE", 422), ("true", 202), ("false", 202)])
def test_keep_is_true_or_false(stack, client, keep, status):
    token = client._token()
    answer = httpx.post(
        f"{stack.url}/v1/traces",
        files={"file": ("copy", pictures.jpeg())},
        data={"keep": keep},
        headers={"Authorization": f"Bearer {token}"},
    )
    assert answer.status_code == status
    if status == 202:
        assert answer.json()["copy_kept"] == (keep == "true")
        assert answer.headers["location"] == f"/v1/traces/{answer.json()['trace_id']}"
        client.wait_trace(answer.json()["trace_id"])


@pytest.mark.parametrize("trace_id", ["0" * 32, "0" * 31, "A" * 32])
def test_a_trace_that_is_none_is_a_plain_refusal(client, trace_id):
    with pytest.raises(Problem) as refused:
        client.trace_status(trace_id)
    assert refused.value.status in {404, 422}
