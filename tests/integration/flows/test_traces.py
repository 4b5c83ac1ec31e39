"""Traces over a real catalogue and store: what becomes of a copy, whatever happens in between."""

import tempfile
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import insert, select, update

from nightlight.catalogue import trace_jobs
from nightlight.catalogue.matching_schema import trace_jobs as traces_table
from nightlight.catalogue.schema import audit, images, jobs, profiles, rendition_hashes, renditions
from nightlight.delivery.purge import EdgePurge
from nightlight.flows.pictures.delete import DeletePictures
from nightlight.flows.retention.erase import EraseObjects
from nightlight.flows.retention.expiry import Expiry
from nightlight.flows.retention.remove_rows import RemoveErasedRows
from nightlight.flows.traces.requests import RequestTrace, RunTrace
from nightlight.flows.traces.search import TraceSearch
from nightlight.imaging.match_squares import square_luma
from nightlight.imaging.renderer import FoundCopy
from nightlight.jobs.relay import Reconciler, Relay
from nightlight.jobs.runner import JobRunner
from nightlight.matching.pdq import CANONICAL
from nightlight.settings.pictures import MatchingSettings, UploadSettings
from nightlight.settings.process import WorkerSettings
from nightlight.store.local import LocalStore
from nightlight.watermark.detect import Detector
from nightlight.watermark.embed import embed
from nightlight.watermark.layout import build_layout
from nightlight.watermark.payload import Payload
from nightlight_core.errors import CorruptImage, DecoderDied, IndexBehind, NotFound, StoreUnavailable, TooManyRequests
from tests.support import pictures
from tests.support.flow_container import HASHER

pytestmark = pytest.mark.integration
OWN_WATERMARKS = True

KEY = bytes(range(32))


@dataclass
class FlowContainer:
    catalogue: object
    store: LocalStore
    folder: object
    now: datetime
    look: object = None
    sent: list = field(default_factory=list)

    def __post_init__(self):
        limits = WorkerSettings()
        work = JobRunner(self.catalogue, limits, self.clock)
        trace_search = TraceSearch(
            self.catalogue,
            self.folder,
            lambda data: self.look(data),  # noqa: PLW0108 - a test may change it
            Detector({"m1": KEY}, ()).detect,
            self.clock,
        )
        self.ask = RequestTrace(
            self.catalogue, self.store, UploadSettings(), MatchingSettings(traces_per_hour=3), self.clock
        )
        self.run = RunTrace(work, self.store, trace_search, UploadSettings())
        self.erase = EraseObjects(
            work, self.store, self.store, EdgePurge(None, token=None, timeout_s=1),
            RemoveErasedRows(work, HASHER, None, 400, lambda: 100),
        )  # fmt: skip
        self.delete = DeletePictures(self.catalogue, self.clock)
        self.reconciler = Reconciler(self.catalogue, limits, self.clock)
        self.expiry = Expiry(self.catalogue, 24, 30, self.clock, HASHER)
        self.relay = Relay(self.catalogue, lambda task, job_id, _lane: self.sent.append((task, job_id)), self.clock)

    def clock(self):
        return self.now

    def accept(self, image, *, keep=False, actor="investigator"):
        with tempfile.TemporaryFile() as file:
            file.write(image if isinstance(image, bytes) else pictures.encoded(image, "PNG"))
            return self.ask.accept(file, keep=keep, actor=actor).trace_id

    def deliver(self):
        """Publish what waits and run it, as the broker and a worker would."""
        self.relay.run_once()
        sent, self.sent[:] = list(self.sent), []
        run = {
            "nightlight.trace_search": self.run.run,
            "nightlight.delete_copy": self.run.delete_copy,
            "nightlight.erase": self.erase.run,
        }
        return [run[task](job_id, redelivered=False) for task, job_id in sent]

    def row(self, trace_id):
        with self.catalogue.reading() as tx:
            return tx.trace_jobs.get(trace_id)

    def copies(self):
        return list(self.store.keys("found/"))

    def events(self, trace_id):
        with self.catalogue.reading() as tx:
            rows = tx.connection.execute(select(audit).order_by(audit.c.entry_id)).all()
        return [(row.event, row.actor) for row in rows if row.detail.get("trace_id") == trace_id]


@pytest.fixture
def services(catalogue, tmp_path, request):
    def look(data):
        image = pictures.opened(data).convert("RGB")
        return FoundCopy(np.asarray(image), (square_luma(image, CANONICAL),))

    store = LocalStore(tmp_path / "originals")
    store.ready()
    # Each test at a time of its own: none sees what another asked for.
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=zlib.crc32(request.node.nodeid.encode()) % 3000)
    container = FlowContainer(catalogue, store, tmp_path / "index", now, look)
    with catalogue.transaction() as tx:  # what an earlier test left
        for message in tx.outbox.claim(now + timedelta(days=9000), limit=1000, claim_s=1):
            tx.outbox.mark_published([message.message_id])
        tx.connection.execute(update(jobs).values(state="done"))
        tx.connection.execute(update(traces_table).values(state="deleted", actor="an earlier test"))
    return container


@pytest.fixture
def published(services, request):
    """A rendition in the catalogue whose invisible watermark says a number, and the marked picture."""
    number = abs(hash(request.node.nodeid)) % 2**50
    name = f"{number:032x}"
    with services.catalogue.transaction() as tx:
        run = tx.connection.execute
        run(insert(profiles).values(
            profile_id=name, state="live", band="adult", assurance="verified", region="eu", choice="everyone",
            report_flag="clear", asserted_at=services.now, generation=1, uploads=1, asserted_band="adult",
            created_at=services.now))  # fmt: skip
        run(insert(images).values(
            image_id=name, profile_id=name, sequence=1, state="ready", original_key=name, original_bytes=1,
            format="jpeg", width=1, height=1, band="adult", ceiling_band="adult", created_at=services.now))  # fmt: skip
        run(insert(renditions).values(
            name=name, image_id=name, tier="full", generation=1, recipe="r", format="webp", bytes=1, width=1,
            height=1, sha256="", created_at=services.now, variant=0, watermark=number))  # fmt: skip
    return name, embed(pictures.portrait(160), Payload(number, 0), build_layout(KEY)).pixels


def image_of(pixels):
    return Image.fromarray(pixels)


def test_a_copy_is_searched_for_and_then_gone(services, published):
    image_id, pixels = published
    trace_id = services.accept(image_of(pixels))
    assert services.row(trace_id).state == trace_jobs.PENDING
    assert len(services.copies()) == 1
    assert services.deliver() == ["done"]
    row = services.ask.status(trace_id, actor="reader")
    assert (row.state, row.progress) == (trace_jobs.DONE, 100)
    assert [origin["image_id"] for origin in row.result["origins"]] == [image_id]
    assert services.deliver() == ["copy_deleted"]
    assert services.copies() == []
    assert services.row(trace_id).copy_key is None
    assert services.events(trace_id) == [
        ("trace.asked", "investigator"), ("trace.done", "worker"), ("trace.read", "reader"), ("trace.copy_deleted", "worker")
    ]  # fmt: skip


def test_a_copy_is_kept_if_that_was_asked_until_the_trace_is_deleted(services, published):
    trace_id = services.accept(image_of(published[1]), keep=True)
    assert services.deliver() == ["done"]
    assert services.deliver() == []
    assert len(services.copies()) == 1
    services.ask.delete(trace_id, actor="investigator")
    with pytest.raises(NotFound):
        services.ask.status(trace_id, actor="reader")
    with pytest.raises(NotFound):
        services.ask.delete(trace_id, actor="investigator")
    assert services.deliver() == ["copy_deleted"]
    row = services.row(trace_id)
    assert (services.copies(), row.result, row.sha256, row.copy_key) == ([], None, None, None)


def test_a_trace_that_is_deleted_while_a_worker_is_at_it_says_nothing(services, published):
    trace_id = services.accept(image_of(published[1]))
    looking = services.look

    def deleted_meanwhile(data):
        services.ask.delete(trace_id, actor="investigator")
        return looking(data)

    services.look = deleted_meanwhile
    assert services.deliver() == ["deleted"]
    assert services.deliver() == ["copy_deleted"]
    assert (services.row(trace_id).result, services.copies()) == (None, [])


def test_what_a_trace_led_back_to_goes_with_the_erasure_of_the_picture(services, published):
    image_id, pixels = published
    trace_id = services.accept(image_of(pixels))
    services.deliver()
    services.deliver()
    services.delete.image(image_id, actor="t")
    assert services.deliver() == ["erased"]
    result = services.ask.status(trace_id, actor="reader").result
    assert result["origins"] == []
    assert result["watermark"] is not None


def test_old_traces_are_forgotten_and_so_are_copies_that_were_never_acknowledged(services, published):
    old = services.accept(image_of(published[1]), keep=True)
    services.deliver()
    services.now += timedelta(days=29)
    services.expiry.run_once()
    assert services.row(old).state == trace_jobs.DONE

    putting = services.store.put

    def cut_off(*arguments, **named):
        putting(*arguments, **named)
        message = "the answer was lost"
        raise StoreUnavailable(message)

    services.store.put = cut_off
    with pytest.raises(StoreUnavailable):
        services.accept(image_of(published[1]))
    assert len(services.copies()) == 2
    services.now += timedelta(days=2)
    services.expiry.run_once()
    assert sorted(services.deliver()) == ["copy_deleted", "copy_deleted"]
    assert services.copies() == []
    assert services.row(old).state == trace_jobs.DELETED


def test_a_caller_has_a_share_of_the_hour(services, published):
    copy = pictures.encoded(image_of(published[1]), "PNG")
    for _ in range(3):
        services.accept(copy, actor="greedy")
        services.now += timedelta(minutes=1)
    with pytest.raises(TooManyRequests) as refused:
        services.accept(copy, actor="greedy")
    assert refused.value.after_s == 57 * 60 + 1
    services.accept(copy, actor="another")
    services.now += timedelta(minutes=57, seconds=1)
    services.accept(copy, actor="greedy")


def test_a_copy_that_cannot_be_decoded_is_rejected_and_gone(services):
    def broken(_data):
        message = "cut short"
        raise CorruptImage(message)

    services.look = broken
    trace_id = services.accept(pictures.jpeg())
    assert services.deliver() == ["rejected"]
    assert (services.row(trace_id).state, services.row(trace_id).reason) == ("rejected", "corrupt_image")
    assert services.deliver() == ["copy_deleted"]
    assert services.copies() == []


def test_a_copy_over_which_decoders_die_is_given_up_and_gone(services):
    def dies(_data):
        raise DecoderDied(how="SIGSYS")

    services.look = dies
    trace_id = services.accept(pictures.jpeg())
    assert services.deliver() == ["later"]
    for ending in ("later", "failed"):
        services.now += timedelta(minutes=5)
        services.reconciler.run_once()
        assert services.deliver() == [ending]
    assert (services.row(trace_id).state, services.row(trace_id).reason) == ("failed", "decoder_sigsys")
    assert services.deliver() == ["copy_deleted"]
    assert services.copies() == []


def test_while_the_index_is_brought_up_to_date_a_trace_waits(services, published):
    behind = True
    looking = services.look

    def look(data):
        if behind:
            raise IndexBehind
        return looking(data)

    services.look = look
    trace_id = services.accept(image_of(published[1]))
    assert services.deliver() == ["later"]
    assert services.row(trace_id).state == trace_jobs.PENDING
    behind = False
    services.now += timedelta(minutes=5)
    services.reconciler.run_once()
    assert services.deliver() == ["done"]


def test_an_index_that_has_too_much_to_take_in_says_so_and_goes_on_from_there(services, published, monkeypatch):
    image_id, pixels = published
    with services.catalogue.transaction() as tx:
        for variant in range(1, 5):
            name = f"{image_id}-{variant}"
            tx.connection.execute(insert(renditions).values(
                name=name, image_id=image_id, tier="full", generation=1, recipe="r", format="webp", bytes=1, width=1,
                height=1, sha256="", created_at=services.now, variant=variant))  # fmt: skip
            hash_ = np.random.default_rng([variant, int(image_id, 16)]).bytes(32)
            tx.connection.execute(insert(rendition_hashes).values(name=name, hash=hash_, quality=100))
    monkeypatch.setattr("nightlight.flows.traces.search._BATCH", 2)
    data = pictures.encoded(image_of(pixels), "PNG")
    with pytest.raises(IndexBehind, match="2 hashes are in the index"):
        services.run.trace.find(data, within_s=1e-9)
    assert services.run.trace.find(data).searched >= 4


def test_a_copy_whose_deletion_keeps_crashing_is_told_of(services, published):
    trace_id = services.accept(image_of(published[1]))
    assert services.deliver() == ["done"]
    with services.catalogue.transaction() as tx:
        conditions = (jobs.c.trace_id == trace_id) & (jobs.c.kind == "delete_copy")
        tx.connection.execute(update(jobs).where(conditions).values(crashes=99))
    assert services.deliver() == ["failed"]
    assert len(services.copies()) == 1
    assert services.events(trace_id)[-1] == ("trace.copy_not_deleted", "worker")
