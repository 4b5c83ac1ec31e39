"""A notice, its review with softened pictures, and its undoing, on both deployments: the service reads no original."""

import io

import httpx
import pytest
from PIL import Image, ImageOps

from nightlight.cli import key_commands
from nightlight_client import Problem
from tests.support import pictures
from tests.support.waiting import HANG_S, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

PROFILE = "noticed"


def reviewer(stack, *scopes):
    token = key_commands.token(stack.folder, scopes=list(scopes), subject="reviewer", hours=1)
    return httpx.Client(base_url=stack.url, headers={"Authorization": f"Bearer {token}"}, timeout=HANG_S)


@pytest.fixture(scope="module")
def notice(client):
    """A notice with a picture that came to it mirrored, and the image that it hides; no other test uploads it."""
    photograph = pictures.opened(pictures.photograph("motorcycle_left.png")).convert("RGB")
    client.declare(PROFILE, band="age_13_15", assurance="verified", region="eu")
    image_id = client.upload(PROFILE, pictures.encoded(photograph, "JPEG", quality=90)).image_id
    assert client.wait(image_id, timeout_s=HANG_S).state == "ready"
    copy = pictures.encoded(ImageOps.mirror(photograph), "JPEG", quality=60)
    placed = client.place_takedown(copy, kind="intimate_image", reference="case-81")
    standing = client.wait_takedown(placed.takedown_id, timeout_s=HANG_S)
    assert (standing.state, standing.hidden) == ("in_force", 1)
    return standing.takedown_id, image_id


def test_a_reviewer_sees_both_pictures_softened_and_clears_the_match(stack, client, notice):
    takedown_id, image_id = notice
    path = f"/v1/takedowns/{takedown_id}/review"
    with reviewer(stack, "review") as desk, reviewer(stack, "takedown") as other:
        assert other.post(path).status_code == 403
        assert desk.post(path).status_code == 202

        def ready():
            review = desk.get(path).json()
            rows = [review["picture"], *(match["picture"] for match in review["matches"])]
            return review if all(row is not None and row["state"] == "ready" for row in rows) else None

        review = eventually(ready)
        (match,) = review["matches"]
        assert match["image_id"] == image_id
        for row in (review["picture"], match["picture"]):
            answer = desk.get(row["path"])
            assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
            assert Image.open(io.BytesIO(answer.content)).size == (240, 240)
            assert other.get(row["path"]).status_code == 403
        client.clear_takedown(takedown_id, image_id)
        eventually(lambda: client.image(image_id).state == "ready" or None)
        client.delete_image(image_id)
        assert desk.get(match["picture"]["path"]).status_code == 404


def test_an_undone_notice_has_no_pictures_left(stack, client, notice):
    takedown_id, _ = notice
    assert client.undo_takedown(takedown_id, why="another picture").reason == "another picture"
    eventually(lambda: client.takedown_status(takedown_id).state == "undone" or None)
    with reviewer(stack, "review") as desk:
        review = desk.get(f"/v1/takedowns/{takedown_id}/review").json()
        assert review["picture"] is None
        assert desk.post(f"/v1/takedowns/{takedown_id}/review").status_code == 409
    with pytest.raises(Problem):
        client.undo_takedown(takedown_id, why="twice")
