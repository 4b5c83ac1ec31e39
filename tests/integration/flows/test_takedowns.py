"""A takedown notice hides every copy of a picture, keeps new ones from being published, and is undone completely."""

import base64
import hashlib
import json
from types import SimpleNamespace

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from PIL import Image, ImageOps
from sqlalchemy import select

from nightlight.catalogue import images, takedowns
from nightlight.catalogue.events import RESTORED, SET_ASIDE
from nightlight.catalogue.schema import images as images_table
from nightlight.catalogue.takedown_schema import view_hashes
from nightlight.flows.pictures.hash_list_matches import ReviewMatches
from nightlight.flows.retention.receipt_issuer import ReceiptIssuer
from nightlight.flows.takedowns.search import unlike_pictures
from nightlight.flows.webhooks.dispatch import DeliverWebhooks
from nightlight.flows.webhooks.post import Endpoint
from nightlight.flows.webhooks.signing import EventSigner
from nightlight.imaging import notice_views
from nightlight.matching.index import HashIndex
from nightlight.policy.signing import SigningKey
from nightlight.retention.erasure_receipt import open_receipt
from nightlight_core.errors import Conflict, CorruptImage, InvalidInput, NotFound, TooManyRequests
from nightlight_core.ids import SOFTENED
from tests.support import pictures
from tests.support.lists import LISTED, OTHER
from tests.support.receiver import receiving
from tests.support.takedown_world import NOTICE, TakedownWorld, begin_afresh, jpeg

pytestmark = pytest.mark.integration


@pytest.fixture
def key():
    return SigningKey("test", Ed25519PrivateKey.generate())


@pytest.fixture
def world(services, tmp_path, pipeline, monkeypatch, key):
    begin_afresh(services)
    services.recipes = services.recipes[:1]
    monkeypatch.setattr(notice_views, "STEP", 0.1)  # windows take most of the time; one test has all of them
    return TakedownWorld(services, tmp_path, pipeline, monkeypatch, receipts=ReceiptIssuer(key, ()))


@pytest.fixture
def picture():
    return pictures.opened(pictures.photograph(LISTED)).convert("RGB")


def copies_of(picture):
    width, height = picture.size
    window = (round(width * 0.1), round(height * 0.2), round(width * 0.88), round(height * 0.98))
    return {
        "encoded": jpeg(picture, 50),
        "half": jpeg(picture.resize((width // 2, height // 2))),
        "cropped": jpeg(picture.crop(window)),
        "mirrored": jpeg(ImageOps.mirror(picture)),
    }


def test_every_copy_of_an_image_is_hidden_at_once_and_nothing_else(world, picture, profile_id, monkeypatch):
    monkeypatch.setattr(notice_views, "STEP", 0.02)
    named = world.upload(f"{profile_id}-a", jpeg(picture))
    copies = {name: world.upload(f"{profile_id}-{name}", data) for name, data in copies_of(picture).items()}
    other = world.upload(f"{profile_id}-o", pictures.photograph(OTHER))
    with world.catalogue.reading() as tx:
        given_out = {name for image in copies.values() for name, _ in tx.images.rendition_names(image)}
    takedown_id = world.place.of_image(named, NOTICE, actor="safety").takedown_id
    world.services.relay.run_once()
    sent, world.services.sent[:] = list(world.services.sent), []
    (job_id,) = [job_id for task, job_id in sent if task == "nightlight.takedown"]
    assert world.run.run(job_id, redelivered=False) == takedowns.IN_FORCE
    with world.catalogue.reading() as tx:  # before any other job is done
        for name, image_id in copies.items():
            assert tx.profiles.get(f"{profile_id}-{name}").current_image_id is None
            image = tx.images.get(image_id)
            assert (image.state, image.reason) == (images.QUARANTINED, "takedown"), name
        assert given_out <= tx.revocations.names()
        assert tx.images.get(other).state == images.READY
    assert world.events() == {
        (f"{profile_id}-a", named), *((f"{profile_id}-{name}", image_id) for name, image_id in copies.items())
    }  # fmt: skip
    status = world.review.status(takedown_id)
    assert (status.takedown.hidden, set(world.verdicts(takedown_id))) == (5, {named, *copies.values()})
    assert status.waits


def test_a_copy_is_not_published_while_the_notice_stands_and_is_once_it_is_undone(world, picture, profile_id):
    named = world.upload(f"{profile_id}-a", jpeg(picture))
    takedown_id = world.place.of_image(named, NOTICE, actor="safety").takedown_id
    world.work()
    copies = {name: data for name, data in copies_of(picture).items() if name != "cropped"}
    later = {name: world.upload(f"{profile_id}-{name}", data) for name, data in copies.items()}
    assert {world.services.state(image_id) for image_id in later.values()} == {images.QUARANTINED}
    other = world.upload(f"{profile_id}-o", pictures.photograph(OTHER))
    assert world.services.state(other) == images.READY
    world.review.undo(takedown_id, why="another picture", actor="safety")
    world.work()
    for name, image_id in {"a": named, **later}.items():
        assert world.shown(f"{profile_id}-{name}") == image_id
        assert world.services.state(image_id) == images.READY
    assert len(world.events(RESTORED)) == 4
    assert not world.review.status(takedown_id).waits
    again = world.upload(f"{profile_id}-z", jpeg(picture))
    assert world.services.state(again) == images.READY
    with pytest.raises(Conflict):
        world.review.undo(takedown_id, why="twice", actor="safety")


def test_a_notice_with_a_picture_finds_copies_and_of_its_picture_a_softened_one_is_left(world, picture, profile_id):
    image_id = world.upload(f"{profile_id}-a", jpeg(picture))
    before = sorted(world.services.originals.store.keys())
    takedown_id = world.notice_on_picture(jpeg(ImageOps.mirror(picture), 60))
    assert len(list(world.services.originals.store.keys())) == len(before) + 1
    assert takedowns.IN_FORCE in world.work()
    assert world.services.state(image_id) == images.QUARANTINED
    kept = world.review.status(takedown_id).takedown.copy_key
    assert kept.startswith(SOFTENED)
    assert sorted(world.services.originals.store.keys()) == sorted([*before, kept])
    world.review.undo(takedown_id, why="another picture", actor="safety")
    world.work()
    assert sorted(world.services.originals.store.keys()) == before
    assert world.review.status(takedown_id).takedown.copy_key is None


def test_a_cleared_match_is_shown_again_and_no_retry_or_new_render_hides_it(world, picture, profile_id):
    named = world.upload(f"{profile_id}-a", jpeg(picture))
    copy = world.upload(f"{profile_id}-b", jpeg(picture, 50))
    takedown_id = world.place.of_image(named, NOTICE, actor="safety").takedown_id
    world.work()
    world.review.confirm(takedown_id, named, actor="ann")
    world.review.clear(takedown_id, copy, actor="ann")
    world.work()
    assert world.shown(f"{profile_id}-b") == copy
    assert world.verdicts(takedown_id) == {named: "confirmed", copy: "cleared"}
    assert not world.review.status(takedown_id).waits
    with pytest.raises(NotFound):
        ReviewMatches(world.catalogue, world.clock).clear(named, actor="ann")
    assert world.services.state(named) == images.QUARANTINED


def test_two_notices_keep_an_image_hidden_until_both_are_undone(world, picture, profile_id):
    named = world.upload(f"{profile_id}-a", jpeg(picture))
    first = world.place.of_image(named, NOTICE, actor="safety").takedown_id
    second = world.place.of_image(named, NOTICE, actor="safety").takedown_id
    world.work()
    world.review.undo(first, why="wrong", actor="safety")
    world.work()
    assert world.services.state(named) == images.QUARANTINED
    world.review.undo(second, why="wrong", actor="safety")
    world.work()
    assert world.shown(f"{profile_id}-a") == named


def test_what_another_had_taken_the_place_of_is_not_shown_by_an_undoing(world, picture, profile_id):
    old = world.upload(f"{profile_id}-a", jpeg(picture))
    new = world.upload(f"{profile_id}-a", pictures.photograph(OTHER))
    takedown_id = world.place.of_image(old, NOTICE, actor="safety").takedown_id
    world.work()
    assert world.services.state(old) == images.QUARANTINED
    world.services.delete.image(new, actor="t")
    world.review.undo(takedown_id, why="wrong", actor="safety")
    world.work()
    assert world.services.state(old) == images.SUPERSEDED
    assert world.shown(f"{profile_id}-a") is None


def test_an_undoing_before_the_notice_was_carried_out_hides_nothing(world, picture, profile_id):
    named = world.upload(f"{profile_id}-a", jpeg(picture))
    takedown_id = world.place.of_image(named, NOTICE, actor="safety").takedown_id
    world.review.undo(takedown_id, why="wrong", actor="safety")
    world.work()
    assert world.shown(f"{profile_id}-a") == named
    assert world.review.status(takedown_id).takedown.state == takedowns.UNDONE


def test_a_notice_whose_worker_died_after_it_joined_the_list_is_carried_out(world, picture, profile_id, monkeypatch):
    named = world.upload(f"{profile_id}-a", jpeg(picture))
    takedown_id = world.place.of_image(named, NOTICE, actor="safety").takedown_id
    with monkeypatch.context() as patched:
        patched.setattr(type(world.find), "find", _dies)
        with pytest.raises(MemoryError):
            world.work()
    world.clock.forward(hours=1)
    world.services.reconciler.run_once()
    world.work()
    assert world.services.state(named) == images.QUARANTINED
    assert world.review.status(takedown_id).takedown.hidden == 1


def _dies(*_args, **_kwargs):
    raise MemoryError


def test_receipts_tell_what_was_hidden_and_restored_and_their_signatures_hold(world, picture, profile_id, key):
    named = world.upload(f"{profile_id}-a", jpeg(picture))
    takedown_id = world.place.of_image(named, NOTICE, actor="safety").takedown_id
    world.work()
    world.review.undo(takedown_id, why="wrong", actor="safety")
    world.work()
    opened = [open_receipt(envelope, key.public_keys) for envelope in world.review.receipts(takedown_id)]
    assert [(receipt.kind, receipt.payload["images"]) for receipt in opened] == [
        ("taken down", 1), ("takedown undone", 1)
    ]  # fmt: skip
    statement = json.loads(base64.b64decode(world.review.receipts(takedown_id)[0]["payload"]))
    assert profile_id not in json.dumps(statement)
    assert named not in json.dumps(statement)


def test_the_clock_begins_when_the_notice_was_received_and_says_what_is_overdue(world, picture, profile_id):
    named = world.upload(f"{profile_id}-a", jpeg(picture))
    received = world.clock()
    world.clock.forward(hours=47)
    world.place.of_image(named, NOTICE._replace(received_at=received), actor="safety")
    with world.catalogue.reading() as tx:
        assert tx.takedowns.overdue(world.clock()) == 0
    world.clock.forward(hours=1)
    with world.catalogue.reading() as tx:
        assert tx.takedowns.overdue(world.clock()) == 1
    world.work()
    with world.catalogue.reading() as tx:
        assert tx.takedowns.overdue(world.clock()) == 0


def test_notices_that_say_nothing_are_refused(world, profile_id):
    with pytest.raises(NotFound):
        world.place.of_image("0" * 32, NOTICE, actor="safety")
    for notice in (
        NOTICE._replace(kind="other words"), NOTICE._replace(reference=""), NOTICE._replace(reference="a\nb"),
        NOTICE._replace(received_at=world.clock().replace(year=2090)),
    ):  # fmt: skip
        with pytest.raises(InvalidInput):
            world.place.of_image("0" * 32, notice, actor="safety")
    with pytest.raises(CorruptImage):
        world.notice_on_picture(b"")


def test_an_entry_that_matches_many_unlike_pictures_is_set_aside_until_people_have_looked(world, picture, profile_id):
    """Images whose one view is the notice's and whose wholes are unlike each other, as of a common background."""
    object.__setattr__(world.find, "unlike", 3)
    named = world.upload(f"{profile_id}-a", jpeg(picture))
    with world.catalogue.reading() as tx:
        view = tx.view_hashes.of_image(named)[:32]
    dice = np.random.default_rng(1)
    others = []
    for number in range(5):
        image_id = world.upload(f"{profile_id}-{number}", pictures.jpeg(seed=number))
        with world.catalogue.transaction() as tx:
            tx.view_hashes.set(image_id, dice.bytes(32) + view)
        others.append(image_id)
    takedown_id = world.place.of_image(named, NOTICE, actor="safety").takedown_id
    world.work()
    verdicts = world.verdicts(takedown_id)
    assert verdicts.pop(named) == "open"
    assert world.services.state(named) == images.QUARANTINED
    assert set(verdicts) == set(others)
    assert set(verdicts.values()) == {"aside"}
    assert {world.services.state(image_id) for image_id in others} == {images.READY}
    world.review.confirm(takedown_id, others[0], actor="ann")
    world.work()
    assert world.services.state(others[0]) == images.QUARANTINED
    assert {world.services.state(image_id) for image_id in others[1:]} == {images.READY}


def test_images_whose_erasure_is_on_its_way_set_no_entry_aside(world, picture, profile_id):
    object.__setattr__(world.find, "unlike", 3)
    named = world.upload(f"{profile_id}-a", jpeg(picture))
    with world.catalogue.reading() as tx:
        view = tx.view_hashes.of_image(named)[:32]
    dice = np.random.default_rng(1)
    others = [world.upload(f"{profile_id}-{number}", pictures.jpeg(seed=number)) for number in range(5)]
    with world.catalogue.transaction() as tx:
        for image_id in others:
            tx.view_hashes.set(image_id, dice.bytes(32) + view)
        gone = images_table.c.image_id.in_(others[:3])
        tx.connection.execute(images_table.update().where(gone).values(state=images.DELETED))
    takedown_id = world.place.of_image(named, NOTICE, actor="safety").takedown_id
    world.work()
    assert world.verdicts(takedown_id) == dict.fromkeys([named, *others[3:]], "open")


def test_an_index_of_another_catalogue_hides_nothing_of_this_one(world, picture, profile_id):
    """Its numbers are other images' here: as where a folder was left over, or a catalogue was restored."""
    plain = world.upload(f"{profile_id}-plain", pictures.jpeg(seed=1))
    named = world.upload(f"{profile_id}-a", jpeg(picture))
    with world.catalogue.transaction() as tx:
        rows = {row.image_id: row.number for row in tx.connection.execute(select(view_hashes))}
        views = {image_id: tx.view_hashes.of_image(image_id) for image_id in (plain, named)}
    other = {
        number: views[named if image_id == plain else plain] for image_id, number in rows.items() if image_id in views
    }
    with HashIndex(world.find.folder, write=True) as index:
        index.extend([entry for number, hashes in sorted(other.items()) for entry in entries(number, hashes)])
    takedown_id = world.place.of_image(named, NOTICE, actor="safety").takedown_id
    world.work()
    assert world.verdicts(takedown_id) == {named: "open"}
    assert world.services.state(plain) == images.READY


@pytest.mark.parametrize("number", [10**6, 1])
def test_an_index_that_is_ahead_of_the_catalogue_hides_no_copy_from_a_notice(world, picture, profile_id, number):
    """The catalogue was restored: its new rows have numbers that the index has had already, or has passed by far."""
    named = world.upload(f"{profile_id}-a", jpeg(picture))
    dice = np.random.default_rng(1)
    for folder in (world.find.folder, world.notices.folder):
        with HashIndex(folder, write=True) as index:
            index.extend(entries(number, dice.bytes(320)))
    takedown_id = world.place.of_image(named, NOTICE, actor="safety").takedown_id
    world.work()
    assert world.verdicts(takedown_id) == {named: "open"}
    later = world.upload(f"{profile_id}-later", copies_of(picture)["half"])
    assert world.services.state(later) == images.QUARANTINED


def entries(number, hashes):
    return [
        (number.to_bytes(8, "big") + place.to_bytes(8, "big"), hashes[32 * place : 32 * place + 32])
        for place in range(len(hashes) // 32)
    ]


def luma_of(data):
    """A luma of a picture's own, unlike every other's: uint8 (512, 512)."""
    dice = np.random.default_rng(list(hashlib.sha256(data).digest()))
    coarse = Image.fromarray(dice.integers(0, 256, (12, 12), np.uint8))
    return np.asarray(coarse.resize((512, 512), Image.Resampling.BICUBIC))


def test_a_notice_that_keeps_many_unlike_uploads_dark_is_set_aside_and_people_are_asked(world, picture, profile_id):
    """Uploads whose one view is the notice's and whose wholes are unlike each other, as of an app's own frame."""
    object.__setattr__(world.find, "unlike", 3)
    object.__setattr__(world.notices, "unlike", 3)
    named = world.upload(f"{profile_id}-a", jpeg(picture))
    takedown_id = world.place.of_image(named, NOTICE, actor="safety").takedown_id
    world.work()
    frame = world.rendering.match_lumas(jpeg(picture), None)[0]
    world.rendering = SimpleNamespace(match_lumas=lambda data, _: [luma_of(data), frame])
    kept = [world.upload(f"{profile_id}-{number}", pictures.jpeg(seed=number)) for number in range(2)]
    assert world.events_about_notices() == set()  # with the named one these are three, as many as there may be
    kept.append(world.upload(f"{profile_id}-2", pictures.jpeg(seed=2)))
    assert {world.services.state(image_id) for image_id in kept} == {images.QUARANTINED}
    assert world.events_about_notices() == {(SET_ASIDE, takedown_id)}
    assert world.review.status(takedown_id).takedown.aside
    with receiving() as hooks:
        webhooks = DeliverWebhooks(
            world.catalogue, Endpoint(f"{hooks.url}/hook"), EventSigner(lambda: [b"s" * 32]), 5, world.clock
        )
        while webhooks.run_once():
            pass
        bodies = hooks.bodies("/hook")
    asked = [body["data"] for body in bodies if body["type"] == SET_ASIDE]
    assert asked == [{"takedown_id": takedown_id}]
    later = world.upload(f"{profile_id}-8", pictures.jpeg(seed=8))
    assert world.services.state(later) == images.READY
    assert {world.services.state(image_id) for image_id in [named, *kept]} == {images.QUARANTINED}
    world.review.clear(takedown_id, kept[0], actor="ann")
    world.work()
    assert world.services.state(kept[0]) == images.READY


def test_copies_of_one_picture_are_no_flood_however_many_are_uploaded(world, picture, profile_id):
    object.__setattr__(world.find, "unlike", 2)
    object.__setattr__(world.notices, "unlike", 2)
    named = world.upload(f"{profile_id}-a", jpeg(picture))
    takedown_id = world.place.of_image(named, NOTICE, actor="safety").takedown_id
    world.work()
    kept = [world.upload(f"{profile_id}-{quality}", jpeg(picture, quality)) for quality in range(40, 95, 7)]
    assert {world.services.state(image_id) for image_id in kept} == {images.QUARANTINED}
    assert (world.review.status(takedown_id).takedown.aside, world.events_about_notices()) == ([], set())


def test_copies_of_one_picture_are_alike_however_many_they_are():
    dice = np.random.default_rng(2)
    whole = dice.integers(0, 256, 32, np.uint8)
    near = []
    for _ in range(200):
        bits = np.unpackbits(whole)
        bits[dice.choice(256, 20, replace=False)] ^= 1
        near.append(np.packbits(bits).tobytes())
    assert unlike_pictures(near, most=20) == 1
    assert unlike_pictures([dice.bytes(32) for _ in range(50)], most=20) == 21


def test_an_erased_image_leaves_a_notice_its_counts_and_no_name(world, picture, profile_id):
    named = world.upload(f"{profile_id}-a", jpeg(picture))
    takedown_id = world.place.of_image(named, NOTICE, actor="safety").takedown_id
    world.work()
    world.services.delete.image(named, actor="t")
    world.work()
    takedown = world.review.status(takedown_id).takedown
    assert (takedown.image_id, takedown.hidden, takedown.state) == (None, 1, takedowns.IN_FORCE)
    with world.catalogue.reading() as tx:
        assert tx.view_hashes.of_image(named) == b""
    again = world.upload(f"{profile_id}-b", jpeg(picture))
    assert world.services.state(again) == images.QUARANTINED


def test_a_caller_may_place_so_many_notices_in_an_hour_and_another_caller_their_own(world, picture, profile_id):
    named = world.upload(f"{profile_id}-a", jpeg(picture))
    object.__setattr__(world.place, "per_hour", 2)
    world.place.of_image(named, NOTICE, actor="safety")
    world.clock.forward(minutes=10)
    world.notice_on_picture(jpeg(picture))
    world.clock.forward(minutes=10)
    with pytest.raises(TooManyRequests) as refused:
        world.notice_on_picture(jpeg(picture))
    assert refused.value.after_s == 40 * 60 + 1
    with pytest.raises(TooManyRequests):
        world.place.of_image(named, NOTICE, actor="safety")
    assert world.place.of_image(named, NOTICE, actor="another").state == takedowns.PENDING
    world.clock.forward(minutes=41)
    assert world.place.of_image(named, NOTICE, actor="safety").state == takedowns.PENDING
