"""Images that are published are held against a hash list that changes, by whatever there still is of them."""

import hashlib
from datetime import timedelta
from io import BytesIO

import pytest
from structlog.testing import capture_logs

from nightlight import metrics
from nightlight.catalogue import images
from nightlight.catalogue.profiles import Declaration
from nightlight.flows.pictures import image_hashes
from nightlight.flows.pictures.hash_list_matches import ReviewMatches
from nightlight.jobs import kinds
from nightlight.jobs.enqueue import enqueue
from nightlight.matching.pdq import pdq
from nightlight_core.errors import DecoderDied
from tests.support.lists import LISTED, OTHER, PLAIN, deliver, filler, hex_of, later, upload, view

pytestmark = pytest.mark.integration


def test_what_is_published_is_held_against_a_list_that_grows_and_taken_back(screened, folder, profile_id):
    folder.write("a", filler(3))
    listed_id = upload(screened, profile_id, LISTED)
    assert images.READY in deliver(screened)
    other = f"{profile_id}-other"
    screened.declare.declare(other, Declaration("adult", "verified", "eu", "everyone"), follow_band=False, actor="t")
    other_id = upload(screened, other, OTHER)
    deliver(screened)
    shown = screened.shown()
    with screened.catalogue.reading() as tx:
        names = {name for name, _ in tx.images.rendition_names(listed_id)}
    folder.write("a", [*filler(3), hex_of(LISTED)])
    screened.screening.look()
    with screened.catalogue.reading() as tx:
        assert tx.jobs.open(kinds.RESCREEN.name) == 1
    screened.relay.run_once()
    sent, screened.sent[:] = list(screened.sent), []
    (job_id,) = [job_id for task, job_id in sent if task == "nightlight.rescreen"]
    assert screened.rescreen.run(job_id, redelivered=False) == "rescreened"
    with screened.catalogue.reading() as tx:  # at once, before any other job is done: names are refused everywhere
        assert tx.profiles.get(profile_id).current_image_id is None
        assert names <= tx.revocations.names()
        image = tx.images.get(listed_id)
    assert (image.state, image.reason) == (images.QUARANTINED, "listed")
    assert screened.state(other_id) == images.READY
    deliver(screened)
    left = set(screened.shown())
    assert len(shown) - len(left) == len(names)
    assert not [key for key in left if any(name in key for name in names)]
    with screened.catalogue.reading() as tx:
        assert tx.images.renditions(listed_id) == []
    assert [entry.list for entry in ReviewMatches(screened.catalogue, screened.clock).report(verdict="open")
            if entry.image_id == listed_id] == ["a"]  # fmt: skip
    ReviewMatches(screened.catalogue, screened.clock).clear(listed_id, actor="cli:ann")
    assert images.READY in deliver(screened)
    folder.write("a", [*filler(4), hex_of(LISTED)])  # what was cleared is not found again
    screened.screening.look()
    deliver(screened)
    assert screened.state(listed_id) == images.READY


def test_images_from_before_there_were_lists_are_decoded_for_it_once(screened, folder, profile_id):
    object.__setattr__(screened.render, "screening", None)
    image_id = upload(screened, profile_id, LISTED)
    assert images.READY in deliver(screened)
    object.__setattr__(screened.render, "screening", screened.screening)
    folder.write("a", [hex_of(LISTED)])
    screened.screening.look()
    deliver(screened)
    assert screened.state(image_id) == images.QUARANTINED
    with screened.catalogue.reading() as tx:
        assert tx.screenings.unhashed((images.READY, images.SUPERSEDED), limit=10) == []


# What an original may have become.


def refused(services, image, monkeypatch):
    """Other bytes than there were, which no decoder takes."""
    data = b"no picture at all"
    digest = hashlib.sha256(data).hexdigest()
    services.originals.replace(image.original_key, BytesIO(data), sha256=digest, content_type="image/png")


def missing(services, image, monkeypatch):
    services.originals.delete(image.original_key)


def deadly(services, image, monkeypatch):
    """Bytes over which every decoder dies."""
    original, real = (
        services.originals.get(image.original_key, max_bytes=20_000_000).data,
        services.rescreen.hasher.views,
    )

    def dies(data, crop):
        if data == original:
            raise DecoderDied("SIGSEGV")
        return real(data, crop)

    object.__setattr__(services.rescreen.hasher, "views", dies)


def without_hashes(services, image, monkeypatch):
    """What an image has whose renditions were made before their hashes were kept."""
    missing(services, image, monkeypatch)
    with services.catalogue.transaction() as tx:
        tx.rendition_hashes.drop(image.image_id)


def published(services, profile_id, name=LISTED):
    """Publish an image while there are no lists, so that no hashes of its original are kept."""
    object.__setattr__(services.render, "screening", None)
    image_id = upload(services, profile_id, name)
    assert images.READY in deliver(services)
    object.__setattr__(services.render, "screening", services.screening)
    with services.catalogue.reading() as tx:
        return tx.images.get(image_id)


def rescreened(services):
    """Let a worker see the lists and do all batches; return the log's lines about images that lack an original."""
    with capture_logs() as lines:
        services.screening.look()
        deliver(services)
    events = {"image.not_screened", "image.screened_without_original"}
    return [
        (line["event"], line["log_level"], line["state"], line["code"]) for line in lines if line["event"] in events
    ]


def kept(services, image):
    with services.catalogue.reading() as tx:
        return dict(tx.screenings.behind(10**6, (images.READY,), limit=100)).get(image.image_id)


@pytest.mark.parametrize(
    ("loss", "code", "source"),
    [
        (refused, "unsupported_format", image_hashes.RENDITION_HASHES),
        (missing, "object_missing", image_hashes.RENDITION_HASHES),
        (deadly, "decoder_died", image_hashes.RENDITION_HASHES),
        (without_hashes, "object_missing", image_hashes.RENDITIONS),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_an_image_whose_original_cannot_be_decoded_any_more_is_found_by_its_renditions(
    screened, folder, profile_id, monkeypatch, loss, code, source
):  # fmt: skip
    image = published(screened, profile_id)
    loss(screened, image, monkeypatch)
    folder.write("a", [hex_of(LISTED)])
    assert rescreened(screened) == [("image.screened_without_original", "warning", source, code)]
    assert screened.state(image.image_id) == images.QUARANTINED


@pytest.mark.parametrize("turn", range(8))
def test_a_listed_picture_that_is_turned_or_mirrored_is_found_by_the_hashes_of_renditions(
    screened, folder, profile_id, monkeypatch, turn
):  # fmt: skip
    image = published(screened, profile_id)
    missing(screened, image, monkeypatch)
    folder.write("a", [bytes(pdq(view(LISTED)).hashes[turn]).hex()])
    rescreened(screened)
    assert screened.state(image.image_id) == images.QUARANTINED


def test_what_was_hashed_by_its_renditions_is_held_by_the_same_hashes_against_the_next_list(
    screened, folder, profile_id, monkeypatch
):  # fmt: skip
    image = published(screened, profile_id)
    missing(screened, image, monkeypatch)
    folder.write("a", filler(3))
    assert len(rescreened(screened)) == 1
    assert screened.state(image.image_id) == images.READY
    assert kept(screened, image)
    folder.write("a", [*filler(3), hex_of(LISTED)])
    assert rescreened(screened) == []
    assert screened.state(image.image_id) == images.QUARANTINED


def test_an_image_of_which_nothing_is_left_to_be_hashed_is_told_of_as_an_error_and_counted(
    screened, folder, profile_id, monkeypatch
):  # fmt: skip
    image = published(screened, profile_id)
    without_hashes(screened, image, monkeypatch)
    for key in list(screened.renditions.store.keys()):
        screened.renditions.delete(key)
    folder.write("a", [hex_of(LISTED)])
    before = metrics.NOT_SCREENED._value.get()
    assert rescreened(screened) == [("image.not_screened", "error", image_hashes.NOTHING, "object_missing")]
    assert metrics.NOT_SCREENED._value.get() == before + 1
    assert (screened.state(image.image_id), kept(screened, image)) == (images.READY, b"")


def test_an_image_that_is_erased_while_it_is_hashed_is_not_told_of(screened, folder, profile_id, monkeypatch):
    image = published(screened, profile_id)
    without_hashes(screened, image, monkeypatch)
    real = screened.rescreen.hasher.originals.get

    def erased(key, *, max_bytes):
        screened.delete.image(image.image_id, actor="t")
        for name in list(screened.renditions.store.keys()):
            screened.renditions.delete(name)
        return real(key, max_bytes=max_bytes)

    monkeypatch.setattr(screened.originals.store, "get", erased)
    folder.write("a", [hex_of(LISTED)])
    before = metrics.NOT_SCREENED._value.get()
    assert rescreened(screened) == []
    assert metrics.NOT_SCREENED._value.get() == before


def test_renditions_that_are_renamed_while_they_are_read_are_read_again(screened, folder, profile_id, monkeypatch):
    image = published(screened, profile_id)
    without_hashes(screened, image, monkeypatch)
    real, waiting = screened.renditions.store.get, [True]

    def renamed(key, *, max_bytes):
        if waiting:
            waiting.clear()
            with screened.catalogue.transaction() as tx:
                tx.revocations.add(profile_id, screened.clock())
                tx.profiles.raise_generation(profile_id)
                job_id = enqueue(tx, kinds.ROTATE_NAMES, image.image_id, screened.clock(), delay=timedelta())
            assert screened.rename.run(job_id, redelivered=False) == "rotated"
        return real(key, max_bytes=max_bytes)

    monkeypatch.setattr(screened.renditions.store, "get", renamed)
    folder.write("a", [hex_of(LISTED)])
    rescreened(screened)
    assert screened.state(image.image_id) == images.READY
    later(screened)
    assert screened.state(image.image_id) == images.QUARANTINED


def test_an_original_over_which_workers_died_is_left_alone_the_last_time(screened, folder, profile_id, monkeypatch):
    image = published(screened, profile_id)
    folder.write("a", [hex_of(LISTED)])
    screened.screening.look()
    screened.relay.run_once()
    sent, screened.sent[:] = list(screened.sent), []
    (job_id,) = [job_id for task, job_id in sent if task == "nightlight.rescreen"]
    opened = []

    class Killed(BaseException):
        """The worker is gone: nothing of its own runs any more."""

    def dies(data, crop):
        opened.append(data)
        raise Killed

    object.__setattr__(screened.rescreen.hasher, "views", dies)
    attempts = screened.limits.max_attempts
    for attempt in range(attempts - 1):
        with pytest.raises(Killed):
            screened.rescreen.run(job_id, redelivered=attempt > 0)
    assert screened.rescreen.run(job_id, redelivered=True) == "rescreened"
    assert len(opened) == attempts - 1
    assert screened.state(image.image_id) == images.QUARANTINED


@pytest.mark.parametrize(("seconds", "batches"), [(0.0, 1), (0.4, 2), (5.0, 5)])
def test_a_batch_decodes_originals_until_its_time_is_over_and_one_at_least(
    screened, folder, profile_id, seconds, batches
):  # fmt: skip
    for number in range(5):
        name = f"{profile_id}-{number}"
        screened.declare.declare(name, Declaration("adult", "verified", "eu", "everyone"), follow_band=False, actor="t")
        published(screened, name, PLAIN)
    folder.write("a", filler(3))
    screened.screening.look()
    passed, real = [0.0], screened.rescreen.hasher.views

    def slow_views(data, crop):
        passed[0] += seconds
        return real(data, crop)

    object.__setattr__(screened.rescreen, "monotonic", lambda: passed[0])
    object.__setattr__(screened.rescreen.hasher, "views", slow_views)
    assert deliver(screened).count("rescreened") == batches
    with screened.catalogue.reading() as tx:
        assert tx.screenings.unhashed((images.READY,), limit=10) == []
