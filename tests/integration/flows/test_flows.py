"""The flows over a real database and store, where HTTP cannot show what happens in between."""

import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from nightlight.catalogue import images, jobs
from nightlight.catalogue.profiles import Declaration
from nightlight.catalogue.tables import images as images_table
from nightlight.catalogue.tables import jobs as jobs_table
from nightlight.delivery.names import Names
from nightlight.errors import ListsUnavailable, NotFound, ProfileNotDeclared, QueueUnavailable, StoreUnavailable
from nightlight.flows.declare import Declare
from nightlight.flows.erase import Delete, Erase
from nightlight.flows.intake import Intake
from nightlight.flows.publish import Reconcile, Relay
from nightlight.flows.render import Render
from nightlight.flows.screen import Verdicts
from nightlight.flows.work import Work
from nightlight.imaging.crop import Region
from nightlight.settings import IntakeSettings, WorkerSettings
from nightlight.store.local import LocalStore
from tests.support import pictures

pytestmark = pytest.mark.integration

START = datetime(2026, 11, 22, tzinfo=UTC)


@dataclass
class Clock:
    now: datetime = START

    def __call__(self):
        return self.now

    def forward(self, **by):
        self.now += timedelta(**by)


@dataclass
class Switch:
    """A store that can be turned off: everything raises as it does when the server is away."""

    store: LocalStore
    off: set = field(default_factory=set)

    def __getattr__(self, name):
        method = getattr(self.store, name)
        if name not in self.off:
            return method

        def away(*_args, **_kwargs):
            raise StoreUnavailable("away")

        return away


@dataclass
class House:
    catalogue: object
    originals: Switch
    renditions: Switch
    clock: Clock
    sent: list
    table: object
    recipes: tuple
    draw: object
    views: tuple = ()
    listed: object = lambda _: ()
    limits: WorkerSettings = field(default_factory=WorkerSettings)

    def __post_init__(self):
        settings = IntakeSettings()
        words = {**self.table.attributes, "assurance": ("none", "verified")}
        work = Work(self.catalogue, self.limits, self.clock)
        self.declare = Declare(self.catalogue, lambda: words, self.clock)
        self.intake = Intake(self.catalogue, self.originals, settings, 60, lambda: 1024, self.clock)
        self.delete = Delete(self.catalogue, self.clock)
        self.render = Render(
            work, self.originals, self.renditions, Names(bytes(32)), lambda: self.recipes,
            lambda *asked: (self.draw(*asked), {}, self.views), settings,
            lambda views: self.listed(views),  # noqa: PLW0108 - a test may change it
        )  # fmt: skip
        self.erase = Erase(work, self.originals, self.renditions)
        self.reconcile = Reconcile(self.catalogue, self.limits, 24, 30, self.clock)
        self.relay = Relay(self.catalogue, lambda task, job_id: self.sent.append((task, job_id)), self.clock)

    def upload(self, profile_id, data=None, key=None):
        with tempfile.TemporaryFile() as file:
            file.write(pictures.jpeg() if data is None else data)
            return self.intake.accept(profile_id, file, idempotency_key=key, actor="t")

    def deliver(self):
        """Publish what waits and run it, as the broker and a worker would."""
        self.relay.run_once()
        sent, self.sent[:] = list(self.sent), []
        run = {"nightlight.render": self.render.run, "nightlight.erase": self.erase.run}
        return [run[task](job_id, redelivered=False) for task, job_id in sent]

    def state(self, image_id):
        with self.catalogue.reading() as tx:
            return tx.images.get(image_id).state

    def objects(self):
        return [*self.originals.store.keys(), *self.renditions.store.keys()]


@pytest.fixture
def house(catalogue, tmp_path, table, all_recipes, render):
    made = House(
        catalogue,
        Switch(LocalStore(tmp_path / "originals")),
        Switch(LocalStore(tmp_path / "renditions")),
        Clock(),
        [],
        table,
        all_recipes,
        lambda data, recipes, crop, numbers: render(
            data, recipes, region=Region.parse(crop, max_side=9999) if crop else None, numbers=numbers
        ),
    )
    made.originals.ready()
    made.renditions.ready()
    with catalogue.transaction() as tx:  # what an earlier test of this module left
        for message in tx.outbox.claim(START + timedelta(days=900), limit=1000, claim_s=1):
            tx.outbox.settle([message.message_id])
        tx.connection.execute(jobs_table.update().values(state="done"))
    return made


@pytest.fixture
def profile_id(house, request):
    name = f"f-{abs(hash(request.node.nodeid)) % 10**12}"
    house.declare.declare(name, Declaration("age_13_15", "verified", "eu", "connections"), follow_band=False, actor="t")
    return name


def test_upload_publish_render_leaves_one_original_and_a_rendition_for_each_tier(house, profile_id):
    image = house.upload(profile_id)
    assert house.state(image.image_id) == images.PENDING
    assert house.deliver() == ["ready"]
    assert len(house.objects()) == 1 + len(house.recipes)
    assert house.deliver() == []


def test_an_upload_whose_bytes_cannot_be_stored_is_not_acknowledged_and_is_erased_later(house, profile_id):
    house.originals.off = {"put"}
    with pytest.raises(StoreUnavailable):
        house.upload(profile_id, key="k")
    with house.catalogue.reading() as tx:
        query = select(images_table.c.image_id, images_table.c.state).where(images_table.c.profile_id == profile_id)
        ((image_id, state),) = tx.connection.execute(query).all()
    assert state == images.RECEIVING
    house.originals.off = set()
    assert house.upload(profile_id, key="k").image_id != image_id
    house.deliver()
    house.clock.forward(minutes=59)
    house.reconcile.run_once()
    assert house.state(image_id) == images.RECEIVING
    house.clock.forward(minutes=2)
    house.reconcile.run_once()
    assert "erased" in house.deliver()
    assert house.state(image_id) == images.DELETED


def test_a_profile_deleted_while_an_upload_is_being_stored_keeps_nothing_of_it(house, profile_id):
    put = house.originals.store.put

    def deleted_meanwhile(*arguments, **more):
        created = put(*arguments, **more)
        house.delete.profile(profile_id, actor="t")
        return created

    house.originals.store.put = deleted_meanwhile
    with pytest.raises(ProfileNotDeclared):
        house.upload(profile_id)
    assert house.deliver() == ["erased"]
    assert house.objects() == []


def test_a_store_that_is_away_puts_the_job_back_with_growing_pauses_and_no_limit(house, profile_id):
    image = house.upload(profile_id)
    house.renditions.off = {"put"}
    assert house.deliver() == ["later"]
    pauses = []
    for _ in range(9):
        with house.catalogue.reading() as tx:
            query = select(jobs_table.c.next_run_at).where(jobs_table.c.image_id == image.image_id)
            due = tx.connection.execute(query).scalar_one()
        pauses.append((due - house.clock.now).total_seconds())
        assert house.reconcile.run_once() == 0
        house.clock.now = due
        assert house.reconcile.run_once() == 1
        assert house.deliver() == ["later"]
    assert pauses == [2, 4, 8, 16, 32, 64, 128, 256, 300]
    house.renditions.off = set()
    house.clock.forward(seconds=300)
    house.reconcile.run_once()
    assert house.deliver() == ["ready"]


def test_a_retry_finds_what_its_predecessor_wrote_and_keeps_it(house, profile_id):
    image = house.upload(profile_id)
    house.renditions.off = {"head"}  # the first object is written, then the store goes away
    assert house.deliver() == ["later"]
    (written,) = house.renditions.store.keys()
    before = house.renditions.store.get(written, max_bytes=10**7).data
    house.renditions.off = set()
    house.clock.forward(seconds=10)
    house.reconcile.run_once()
    assert house.deliver() == ["ready"]
    assert house.renditions.store.get(written, max_bytes=10**7).data == before
    assert house.state(image.image_id) == images.READY


def test_a_lost_message_is_published_again_once_it_is_overdue(house, profile_id):
    image = house.upload(profile_id)
    house.relay.run_once()
    house.sent.clear()  # the broker loses it
    house.clock.forward(seconds=59)
    assert house.reconcile.run_once() == 0
    house.clock.forward(seconds=2)
    assert house.reconcile.run_once() == 1
    assert house.deliver() == ["ready"]
    assert house.state(image.image_id) == images.READY


def test_a_message_that_comes_twice_renders_once(house, profile_id):
    house.upload(profile_id)
    house.relay.run_once()
    (message,) = house.sent
    assert house.render.run(message[1], redelivered=False) == "ready"
    assert house.render.run(message[1], redelivered=False) == "nothing"
    assert house.render.run(message[1], redelivered=True) == "nothing"


def test_a_message_for_a_job_of_another_kind_or_of_none_does_nothing(house, profile_id):
    house.upload(profile_id)
    house.relay.run_once()
    (message,) = house.sent
    assert house.erase.run("0" * 32, redelivered=False) == "nothing"
    assert house.erase.run(message[1], redelivered=False) == "nothing"


def test_a_relay_whose_broker_is_away_keeps_every_message_in_order(house, profile_id):
    for seed in range(3):
        house.upload(profile_id, pictures.jpeg(seed=seed))
    tried = []

    def away(task, job_id):
        tried.append(job_id)
        if len(tried) > 1:
            raise QueueUnavailable("away")

    with pytest.raises(QueueUnavailable):
        Relay(house.catalogue, away, house.clock).run_once()
    assert len(tried) == 2
    assert house.relay.run_once() == 2
    assert house.sent[0][1] == tried[1]


def test_an_attempt_that_crashed_between_writing_and_publishing_leaves_nothing_after_an_erasure(house, profile_id):
    image = house.upload(profile_id)
    house.relay.run_once()
    (message,) = house.sent
    house.sent.clear()

    class Killed(BaseException):
        pass

    def dies(*_args):
        raise Killed

    publish = Render._publish
    try:
        Render._publish = dies
        with pytest.raises(Killed):
            house.render.run(message[1], redelivered=False)
    finally:
        Render._publish = publish
    assert len(list(house.renditions.store.keys())) == len(house.recipes)
    house.delete.image(image.image_id, actor="t")
    assert house.deliver() == ["erased"]
    assert house.objects() == []
    # The dead attempt's job is found later, sees that the image is gone, and ends.
    house.clock.forward(seconds=200)
    assert house.reconcile.run_once() == 1
    assert house.deliver() == ["deleted"]
    assert house.objects() == []


def test_three_attempts_that_vanish_quarantine_the_picture(house, profile_id):
    image = house.upload(profile_id)
    house.relay.run_once()
    ((_, job_id),) = house.sent
    for _ in range(3):
        with house.catalogue.transaction() as tx:
            assert tx.jobs.lease(job_id, jobs.RENDER, house.clock.now, 60, take_over=True)
    house.clock.forward(seconds=10)
    assert house.render.run(job_id, redelivered=True) == "quarantined"
    with house.catalogue.reading() as tx:
        done = tx.images.get(image.image_id)
    assert (done.state, done.reason) == (images.FAILED, "quarantined")


def test_an_original_that_is_gone_fails_its_image_with_a_reason(house, profile_id):
    image = house.upload(profile_id)
    for key in list(house.originals.store.keys()):
        house.originals.store.delete(key)
    assert house.deliver() == ["failed"]
    with house.catalogue.reading() as tx:
        assert tx.images.get(image.image_id).reason == "original_missing"


def test_a_band_lapses_to_unknown_when_it_is_not_asserted_again(house, profile_id):
    from nightlight.flows.declare import band_now

    with house.catalogue.reading() as tx:
        profile = tx.profiles.get(profile_id)
    assert band_now(profile, START + timedelta(days=30), assertion_days=30) == "age_13_15"
    assert band_now(profile, START + timedelta(days=30, seconds=1), assertion_days=30) == "unknown"


def test_an_idempotency_key_is_forgotten_after_its_hours_and_with_its_image(house, profile_id):
    data = pictures.jpeg(seed=3)
    first = house.upload(profile_id, data, key="k")
    assert house.upload(profile_id, data, key="k").image_id == first.image_id
    house.clock.forward(hours=25)
    house.reconcile.run_once()
    second = house.upload(profile_id, data, key="k")
    assert second.image_id != first.image_id
    house.delete.image(second.image_id, actor="t")
    assert house.upload(profile_id, data, key="k").image_id not in {first.image_id, second.image_id}


def test_the_audit_tells_the_life_of_an_image_without_naming_anybody(house, profile_id):
    image = house.upload(profile_id)
    house.deliver()
    house.delete.image(image.image_id, actor="t")
    house.deliver()
    with house.catalogue.reading() as tx:
        entries = tx.audit.of_image(image.image_id)
    events = [entry.event for entry in entries]
    assert events == ["image.receiving", "image.accepted", "image.ready", "image.deleted", "image.erased"]
    assert profile_id not in str(entries)


def test_jobs_are_all_done_at_the_end(house, profile_id):
    house.upload(profile_id)
    house.deliver()
    with house.catalogue.reading() as tx:
        open_jobs = select(jobs_table.c.job_id).where(jobs_table.c.state.in_((jobs.QUEUED, jobs.LEASED)))
        assert tx.connection.execute(open_jobs).all() == []


@dataclass(frozen=True)
class Entry:
    list: str = "members"
    reference: str = "17"
    distance: int = 3


def test_what_is_on_a_list_is_quarantined_with_nothing_written_until_it_is_cleared(house, profile_id):
    verdicts = Verdicts(house.catalogue, house.clock)
    house.views, house.listed = ("a view",), lambda _: [Entry(), Entry(distance=9), Entry("others", "x", 31)]
    image = house.upload(profile_id)
    assert house.deliver() == ["quarantined"]
    assert house.state(image.image_id) == images.QUARANTINED
    assert list(house.renditions.store.keys()) == []
    rows = [row for row in verdicts.report(verdict="open") if row.image_id == image.image_id]
    assert [(row.list, row.reference, row.distance) for row in rows] == [("members", "17", 3), ("others", "x", 31)]
    verdicts.clear(image.image_id, actor="somebody")
    assert house.deliver() == ["ready"]
    assert {row.verdict for row in verdicts.report() if row.image_id == image.image_id} == {"cleared"}
    with pytest.raises(NotFound):
        verdicts.confirm(image.image_id, actor="somebody")
    with house.catalogue.reading() as tx:
        events = [entry.event for entry in tx.audit.of_image(image.image_id)]
    assert events[2:] == ["image.listed", "image.listed", "image.cleared", "image.ready"]


def test_what_was_cleared_of_one_list_is_quarantined_again_by_another(house, profile_id):
    verdicts = Verdicts(house.catalogue, house.clock)
    house.views, house.listed = ("a view",), lambda _: [Entry()]
    image = house.upload(profile_id)
    assert house.deliver() == ["quarantined"]
    verdicts.clear(image.image_id, actor="somebody")
    house.listed = lambda _: [Entry(), Entry("others")]
    assert house.deliver() == ["quarantined"]
    assert [row.list for row in verdicts.report(verdict="open") if row.image_id == image.image_id] == ["others"]
    verdicts.confirm(image.image_id, actor="somebody")
    house.delete.image(image.image_id, actor="t")
    assert house.deliver() == ["erased"]


def test_while_lists_cannot_be_read_a_picture_waits(house, profile_id):
    def unreadable(_views):
        raise ListsUnavailable

    house.views, house.listed = ("a view",), unreadable
    image = house.upload(profile_id)
    assert house.deliver() == ["later"]
    assert (house.state(image.image_id), list(house.renditions.store.keys())) == (images.PENDING, [])
