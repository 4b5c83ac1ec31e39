"""What becomes of a key that somebody told of: it is looked at as it is then, in whatever order the words came."""

import json
import time

import pytest

from nightlight.catalogue import images
from nightlight.catalogue.decision_inputs import seen
from nightlight.catalogue.profiles import Declaration
from nightlight.flows.imports.import_picture import ImportPicture
from nightlight.flows.imports.notifications import ImportNotifications, refuse_own_bucket
from nightlight.flows.pictures.deactivate import DeactivateProfile
from nightlight.jobs.runner import JobRunner
from nightlight.store.event_notifications import read_events
from nightlight.store.key_template import KeyTemplate
from nightlight_core.errors import InvalidInput
from tests.integration.flows.conftest import services  # noqa: F401 - a fixture
from tests.support import pictures
from tests.support.services import token

pytestmark = pytest.mark.integration


class Platform:
    """A platform with a bucket of its own, whose server tells us of what happens there."""

    def __init__(self, services, avatars, foreign):  # noqa: F811
        self.services = services
        self.bucket, self.s3 = avatars
        # The real server says when an object was written, so the services' clock goes by the real time here.
        from datetime import UTC, datetime

        services.clock.now = datetime.now(UTC)
        self.notifications = ImportNotifications(
            services.catalogue, {self.bucket: KeyTemplate("{profile}/*.jpg")}, services.clock
        )
        self.importer = ImportPicture(
            JobRunner(services.catalogue, services.limits, services.clock), foreign, services.upload_flow, services.delete, 5_000_000,
            follow_removals=True,
        )  # fmt: skip
        self.number = 0

    def put(self, key, data):
        return self.s3.put_object(Bucket=self.bucket, Key=key, Body=data)["ETag"].strip('"')

    def event(self, key, kind="ObjectCreated:Put", etag=""):
        self.number += 1
        record = {
            "eventName": kind, "eventSource": "aws:s3",
            "s3": {"bucket": {"name": self.bucket}, "object": {"key": key, "eTag": etag, "sequencer": f"{self.number:016X}"}},
        }  # fmt: skip
        return json.dumps({"Records": [record]})

    def record(self, *events):
        return [tuple(self.notifications.record(read_events(event))) for event in events]

    def work(self):
        """Run every take that waits, the newest first, then renders and erasures."""
        services = self.services  # noqa: F811
        services.relay.run_once()
        sent, services.sent[:] = list(services.sent), []
        endings = []
        for task, job_id in reversed(sent):
            if task == "nightlight.import":
                endings.append(self.importer.run(job_id, redelivered=False))
            else:
                services.sent.append((task, job_id))
        while services.sent or services.relay.run_once():
            services.deliver()
        return endings

    def shown(self, profile_id):
        with self.services.catalogue.reading() as tx:
            profile = tx.profiles.get(profile_id)
            return profile.current_image_id if profile else None

    def image_states(self, profile_id):
        with self.services.catalogue.reading() as tx:
            return sorted(image.state for image in tx.images.of_profile(profile_id))


@pytest.fixture
def platform(services, avatars, foreign):  # noqa: F811
    return Platform(services, avatars, foreign)


@pytest.fixture
def who():
    return f"p-{token()}"


def jpeg(seed):
    return pictures.jpeg(120, 120, seed=seed)


def test_a_picture_that_is_told_of_is_taken_once_however_often_it_is_told(platform, who):
    key = f"{who}/a.jpg"
    event = platform.event(key, etag=platform.put(key, jpeg(1)))
    assert platform.record(event, event) == [(1, 0, 0), (0, 1, 0)]
    assert platform.record(platform.event(key)) == [(1, 0, 0)]  # another word of the same object
    assert sorted(platform.work()) == ["skipped", "taken"]
    assert platform.image_states(who) == [images.READY]
    with platform.services.catalogue.reading() as tx:
        profile = tx.profiles.get(who)
        assert (profile.band, profile.assurance) == ("unknown", "none")  # nobody has declared it
        assert tx.images.get(profile.current_image_id).band == "unknown"


def test_what_is_there_counts_and_not_the_order_of_words(platform, who):
    key = f"{who}/a.jpg"
    first = platform.event(key, etag=platform.put(key, jpeg(1)))
    gone = platform.event(key, "ObjectRemoved:Delete")
    second = platform.event(key, etag=platform.put(key, jpeg(2)))
    assert platform.record(second, gone, first) == [(1, 0, 0)] * 3
    assert sorted(platform.work()) == ["skipped", "skipped", "taken"]
    assert platform.image_states(who) == [images.READY]


def test_what_is_replaced_there_is_replaced_here(platform, who):
    key = f"{who}/a.jpg"
    platform.record(platform.event(key, etag=platform.put(key, jpeg(1))))
    assert platform.work() == ["taken"]
    time.sleep(1.1)  # the server counts seconds
    before = platform.shown(who)
    platform.record(platform.event(key, etag=platform.put(key, jpeg(2))))
    assert platform.work() == ["taken"]
    assert platform.shown(who) not in {None, before}
    assert platform.image_states(who) == [images.READY, images.SUPERSEDED]


def test_of_two_keys_of_a_profile_the_newer_object_is_shown(platform, who):
    old, new = f"{who}/old.jpg", f"{who}/new.jpg"
    platform.put(old, jpeg(1))
    time.sleep(1.1)
    platform.put(new, jpeg(2))
    platform.record(platform.event(old), platform.event(new))
    assert platform.work() == ["taken", "skipped"]  # the newer was looked at first
    assert platform.image_states(who) == [images.READY]


def test_what_was_uploaded_later_is_not_undone_by_an_old_object(platform, who):
    key = f"{who}/a.jpg"
    platform.put(key, jpeg(1))
    platform.services.clock.forward(minutes=5)
    platform.services.declare.declare(
        who, Declaration("adult", "verified", "eu", "connections"), follow_band=False, actor="t"
    )
    uploaded = platform.services.upload(who).image_id
    platform.services.deliver()
    platform.record(platform.event(key))
    assert platform.work() == ["skipped"]
    assert platform.shown(who) == uploaded


def test_what_is_deleted_there_is_deleted_here(platform, who):
    key = f"{who}/a.jpg"
    platform.record(platform.event(key, etag=platform.put(key, jpeg(1))))
    platform.work()
    image_id = platform.shown(who)
    platform.s3.delete_object(Bucket=platform.bucket, Key=key)
    platform.record(platform.event(key, "ObjectRemoved:Delete"))
    assert platform.work() == ["removed"]
    assert platform.shown(who) is None
    assert platform.services.state(image_id) == images.DELETED
    with platform.services.catalogue.reading() as tx:
        assert [entry.actor for entry in tx.audit.of_image(image_id) if entry.event == "image.deleted"] == ["import"]
    assert not [key for key in platform.services.objects() if key.startswith("o/")]


def test_removals_are_not_followed_where_it_is_told_so(platform, who):
    from dataclasses import replace

    key = f"{who}/a.jpg"
    platform.record(platform.event(key, etag=platform.put(key, jpeg(1))))
    platform.work()
    platform.importer = replace(platform.importer, follow_removals=False)
    platform.s3.delete_object(Bucket=platform.bucket, Key=key)
    platform.record(platform.event(key, "ObjectRemoved:Delete"))
    assert platform.work() == ["removed"]
    assert platform.shown(who) is not None


def test_a_deactivated_account_takes_what_is_there_and_shows_it_when_it_is_back(platform, who):
    services = platform.services  # noqa: F811
    key = f"{who}/a.jpg"
    platform.record(platform.event(key, etag=platform.put(key, jpeg(1))))
    platform.work()
    first = platform.shown(who)
    account = DeactivateProfile(services.catalogue, services.clock)
    account.deactivate(who, actor="t")
    services.sent.clear()
    platform.record(platform.event(key, etag=platform.put(key, jpeg(2))))
    with services.catalogue.transaction() as tx:  # what takes its pictures back is no part of this test
        for message in tx.outbox.claim(services.clock(), limit=1000, claim_s=1):
            if message.task != "nightlight.rotate_names":
                services.sent.append((message.task, message.job_id))
            tx.outbox.mark_published([message.message_id])
    assert platform.work() == ["taken"]
    assert platform.image_states(who) == [images.READY, images.SUPERSEDED]
    assert decided(services, who) == []
    account.reactivate(who, actor="t")
    (view,) = decided(services, who)
    assert view.image_id == platform.shown(who) != first


def decided(services, profile_id):  # noqa: F811
    """What decisions know of a profile: nothing, or its row."""
    with services.catalogue.reading() as tx:
        return seen(tx.connection, [profile_id], most_blocked=1)


def test_a_deleted_profile_is_not_brought_back_and_its_key_is_forgotten(platform, who):
    from sqlalchemy import select

    from nightlight.catalogue.retention_schema import import_items

    key = f"{who}/a.jpg"
    event = platform.event(key, etag=platform.put(key, jpeg(1)))
    platform.record(event)
    platform.work()
    platform.services.delete.profile(who, actor="t")
    platform.work()
    assert platform.record(event) == [(0, 1, 0)]
    platform.record(platform.event(key))  # the old bucket still has it
    assert platform.work() == ["skipped"]
    assert platform.shown(who) is None
    with platform.services.catalogue.reading() as tx:
        rows = tx.connection.execute(select(import_items).where(import_items.c.bucket == platform.bucket)).all()
        assert sorted((row.state, row.reason, bool(row.key)) for row in rows) == [
            ("skipped", "profile_deleted", False), ("taken", None, False),
        ]  # fmt: skip
        assert not any(row.profile_id for row in rows)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "corrupt_image"),
        (b"no picture", "unsupported_format"),
        (b"\xff\xd8\xff\xe0" + bytes(6_000_000), "payload_too_large"),
    ],
)
def test_what_is_no_picture_is_refused_and_said_why(platform, who, data, code):
    key = f"{who}/a.jpg"
    platform.put(key, data)
    platform.record(platform.event(key))
    assert platform.work() == ["refused"]
    with platform.services.catalogue.reading() as tx:
        from sqlalchemy import select

        from nightlight.catalogue.retention_schema import import_items

        reason = tx.connection.execute(
            select(import_items.c.reason).where(import_items.c.profile_id == who)
        ).scalar_one()
    assert reason == code
    assert platform.shown(who) is None


def test_keys_of_another_form_and_other_buckets_are_nobodys(platform, who):
    other = json.dumps(
        {
            "Records": [
                {
                    "eventName": "s3:ObjectCreated:Put",
                    "s3": {"bucket": {"name": "other"}, "object": {"key": f"{who}/a.jpg"}},
                }
            ]
        }
    )
    assert platform.record(platform.event("a/b/c.jpg"), platform.event(f"{who}/a.png"), other) == [(0, 0, 1)] * 3


def test_a_server_that_is_away_is_asked_again(platform, who, access):
    from dataclasses import replace

    from nightlight.store.source_buckets import SourceBuckets

    key = f"{who}/a.jpg"
    platform.record(platform.event(key, etag=platform.put(key, jpeg(1))))
    real, platform.importer = platform.importer, replace(
        platform.importer, sources=SourceBuckets(replace(access, endpoint_url="http://127.0.0.1:9", connect_timeout_s=0.2))
    )  # fmt: skip
    assert platform.work() == ["later"]
    platform.importer = real
    platform.services.clock.forward(hours=1)
    platform.services.reconciler.run_once()
    assert platform.work() == ["taken"]


def test_a_worker_that_dies_after_storing_the_original_leaves_one_picture(platform, who):
    """Its successor makes another; the first was never acknowledged and is erased."""
    from nightlight_core.errors import LeaseLost

    key = f"{who}/a.jpg"
    platform.record(platform.event(key, etag=platform.put(key, jpeg(1))))
    platform.services.relay.run_once()
    ((_, job_id),) = [message for message in platform.services.sent if message[0] == "nightlight.import"]
    platform.services.sent.clear()
    real = platform.services.upload_flow.originals.put

    def put(*arguments, **named):
        real(*arguments, **named)
        raise LeaseLost("killed")

    object.__setattr__(platform.importer, "upload", type(platform.services.upload_flow)(
        platform.services.catalogue, type("Dies", (), {"put": staticmethod(put)})(), platform.services.upload_flow.limits, 60,
        platform.services.upload_flow.edge, platform.services.clock))  # fmt: skip
    assert platform.importer.run(job_id, redelivered=False) == "lost"
    object.__setattr__(platform.importer, "upload", platform.services.upload_flow)
    assert platform.importer.run(job_id, redelivered=True) == "taken"
    platform.work()
    assert platform.image_states(who) == [images.READY]
    platform.services.clock.forward(hours=2)
    platform.services.expiry.run_once()
    platform.work()
    assert len([key for key in platform.services.objects() if key.startswith("o/")]) == 1


def test_own_buckets_are_refused():
    with pytest.raises(InvalidInput, match="own bucket"):
        refuse_own_bucket("nightlight-originals", ("nightlight-originals", "nightlight-renditions"))
