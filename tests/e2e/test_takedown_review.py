"""A notice, its review with softened pictures, and its undoing, on both deployments: the service reads no original."""

import io

import pytest
from PIL import Image, ImageOps

from nightlight_client import Problem
from tests.support import pictures
from tests.support.waiting import HANG_S, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

PROFILE = "noticed"


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
    with stack.client("review") as desk, stack.client("takedown") as other:
        with pytest.raises(Problem, match="403"):
            other.ask_takedown_review(takedown_id)
        assert desk.ask_takedown_review(takedown_id).state == "in_force"

        def ready():
            review = desk.takedown_review(takedown_id)
            rows = [review.picture, *(match["picture"] for match in review.matches)]
            return review if all(row is not None and row["state"] == "ready" for row in rows) else None

        review = eventually(ready)
        (match,) = review.matches
        assert match["image_id"] == image_id
        for row in (review.picture, match["picture"]):
            softened = desk.review_picture(takedown_id, row["review_id"])
            assert Image.open(io.BytesIO(softened)).size == (240, 240)
            with pytest.raises(Problem, match="403"):
                other.review_picture(takedown_id, row["review_id"])
        client.clear_takedown(takedown_id, image_id)
        eventually(lambda: client.image(image_id).state == "ready" or None)
        client.delete_image(image_id)
        with pytest.raises(Problem, match="404"):
            desk.review_picture(takedown_id, match["picture"]["review_id"])


def test_an_undone_notice_has_no_pictures_left(stack, client, notice):
    takedown_id, _ = notice
    assert client.undo_takedown(takedown_id, why="another picture").reason == "another picture"
    eventually(lambda: client.takedown_status(takedown_id).state == "undone" or None)
    with stack.client("review") as desk:
        assert desk.takedown_review(takedown_id).picture is None
        with pytest.raises(Problem, match="409"):
            desk.ask_takedown_review(takedown_id)
    with pytest.raises(Problem):
        client.undo_takedown(takedown_id, why="twice")
