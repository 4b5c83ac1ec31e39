"""Every shipped alert fires over the fault that it is for, and not before: by promtool, over pages of metrics.

Most faults are real: the part that tells the metric meets them here. Of the others the series is written down; what
tells those metrics is tested where it is.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest

from nightlight import metrics
from nightlight.catalogue.holds import PLACED
from nightlight.catalogue.retention_schema import holds
from nightlight.catalogue.takedowns import PENDING, Takedown
from nightlight.catalogue.tombstones import ErasureSubject
from nightlight.delivery.purge import EdgePurge
from nightlight.flows.decisions.edge_revocations import RevocationPublisher
from nightlight.flows.restore.position_marker import MARKER_KEY, PositionMarker, write_marker
from nightlight.flows.restore.position_watch import PositionWatch
from nightlight.flows.webhooks.dispatch import DeliverWebhooks, EndpointLimits
from nightlight.flows.webhooks.post import Endpoint
from nightlight.flows.webhooks.signing import EventSigner
from nightlight.jobs.relay import Relay
from nightlight.provenance.certificates import SigningAlgorithm, create_development_chain
from nightlight.provenance.manifest import ManifestClaims
from nightlight.provenance.signing import ManifestSigner, SigningCredential
from nightlight.retention.drift_metrics import write_drift_metrics
from nightlight.settings import Settings
from nightlight_core.errors import ListsUnavailable, QueueUnavailable
from nightlight_core.ids import ProfileId
from tests.support import pictures
from tests.support.flow_container import HASHER, START
from tests.support.lists import filler
from tests.support.promtool import firing, metrics_of, page, rules, samples
from tests.support.receiver import receiving
from tests.support.waiting import HANG_S
from workers.app import make_app, sender

pytestmark = pytest.mark.integration


@pytest.fixture
def fired(tmp_path, monkeypatch):
    """Whether an alert fires over what changes between two pages, by promtool; it must not have fired before."""
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)

    def fired(name, before, after):
        about = metrics_of(rules()[name])
        chosen = [{key: value for key, value in page_.items() if key[0] in about} for page_ in (before, after)]
        during, earlier = firing(tmp_path, name, *chosen)
        assert not earlier
        return during

    return fired


def waits(services, **how_long):
    before = reconciled(services)
    services.clock.forward(**how_long)
    return before, reconciled(services)


def reconciled(services):
    services.reconciler.run_once()
    return page()


def test_uploads_that_wait(services, profile_id, fired):
    services.upload(profile_id)
    assert fired("NightlightUploadsWait", *waits(services, minutes=3))


def test_erasures_that_wait(services, profile_id, fired):
    services.upload(profile_id)
    services.delete.profile(profile_id, actor="t")
    assert fired("NightlightUrgentWorkWaits", *waits(services, minutes=2))


def test_slow_pictures_that_wait(services, profile_id, fired):
    for seed in range(5):  # from the fourth of a profile on they are in the background
        services.upload(profile_id, pictures.jpeg(seed=seed))
    assert fired("NightlightBackgroundWaits", *waits(services, hours=7))


def test_a_schedule_that_is_gone(services, fired):
    assert fired("NightlightScheduleSilent", reconciled(services), {})


def test_erasures_that_are_overdue(services, profile_id, fired):
    services.upload(profile_id)
    services.delete.profile(profile_id, actor="t")
    services.expiry.run_once()
    before = page()
    services.clock.forward(days=2)
    services.expiry.run_once()
    assert fired("NightlightErasuresOverdue", before, page())


def test_takedown_notices_that_are_overdue(services, fired):
    moments = {"received_at": START, "due_at": START + timedelta(hours=48), "created_at": START}
    mark = hashlib.sha256(str(services.catalogue.engine.url).encode()).hexdigest()[:32]
    notice = Takedown(
        mark, PENDING, None, "other", "case", None, None, 0, [], "t", dark_at=None, undone_at=None, **moments
    )
    with services.catalogue.transaction() as tx:
        tx.takedowns.add(notice)
    services.expiry.run_once()
    before = page()
    services.clock.forward(hours=49)
    services.expiry.run_once()
    assert fired("NightlightTakedownsOverdue", before, page())


def test_a_key_of_erasures_that_is_lost(services, fired):
    services.expiry.run_once()
    before = page()
    with services.catalogue.transaction() as tx:
        tx.tombstones.add(ErasureSubject("zz", "0" * 64), services.clock())
    assert "zz" not in HASHER.key_ids
    services.expiry.run_once()
    after = page()
    with services.catalogue.transaction() as tx:
        tx.tombstones.forget_before(services.clock() + timedelta(days=1))
    assert fired("NightlightErasureKeysLost", before, after)


def test_a_catalogue_that_is_behind(services, fired):
    def looked():
        watch, once = PositionWatch(services.catalogue, services.renditions), Event()
        once.set()
        watch.run(once)
        return page()

    before = looked()
    behind = PositionMarker(number=10**9, at=1, audit=0, policy=0, candidate=0, receipt="")
    write_marker(services.renditions, behind)
    after = looked()
    services.renditions.delete(MARKER_KEY)
    looked()
    assert fired("NightlightCatalogueRestored", before, after)


def test_holds_that_nobody_ends(services, sweep, profile_id, fired):
    image = services.upload(profile_id)
    services.deliver()
    sweep.batch()
    before = page()
    with services.catalogue.transaction() as tx:
        until = services.clock() - timedelta(days=1)
        tx.legal_holds.place("legal", "case", until, [image.image_id], by="t", now=services.clock())
        tx.connection.execute(holds.update().values(state=PLACED))
    sweep.batch()
    assert fired("NightlightHoldsDue", before, page())


def test_a_broker_that_takes_nothing(services, profile_id, fired, monkeypatch):
    monkeypatch.setenv("NIGHTLIGHT_QUEUE_BROKER_URL", "amqp://nobody@127.0.0.1:1//")
    before = page()
    services.upload(profile_id)
    settings = Settings()
    with pytest.raises(QueueUnavailable):
        Relay(services.catalogue, sender(make_app(settings), settings), services.clock).run_once()
    assert fired("NightlightOutboxFails", before, page())


def test_an_edge_that_is_told_nothing(services, fired):
    with receiving() as server:
        edges = EdgePurge(f"{server.url}/purge", token=None, timeout_s=HANG_S).edges
        publisher = RevocationPublisher(services.catalogue, edges, every_s=0, clock=services.clock)
        assert publisher.run_once() == 1
        before = page()
    services.clock.forward(minutes=2)
    assert publisher.run_once() == 0
    assert fired("NightlightEdgeNotTold", before, page())


def test_a_hash_list_that_is_empty(screened, folder, fired):
    folder.write("a", filler(40))
    screened.screening.look()
    before = page()
    folder.write("a", [])
    with pytest.raises(ListsUnavailable):
        screened.screening.look()
    assert fired("NightlightListsUnconfirmed", before, page())


def test_a_receiver_of_webhooks_that_takes_nothing(services, fired):
    with receiving() as server:
        signer = EventSigner(lambda: [b"s" * 32])
        limits = EndpointLimits(failures=1, failing_s=7200)
        webhooks = DeliverWebhooks(
            services.catalogue, Endpoint(f"{server.url}/hook"), signer, HANG_S, services.clock, limits
        )
        webhooks.run_once()
        before = page()
        server.usual = 500

        def tried(**later):
            services.clock.forward(**later)
            with services.catalogue.transaction() as tx:
                tx.events.add(ProfileId("u-1"), services.clock())
            webhooks.run_once()
            return page()

        tried(seconds=1)
        assert fired("NightlightWebhooksFail", before, failing := tried(minutes=61))
        assert not fired("NightlightWebhooksDisabled", before, failing)
        assert fired("NightlightWebhooksDisabled", before, tried(hours=1))


@pytest.fixture(scope="module")
def credential(tmp_path_factory):
    folder = tmp_path_factory.mktemp("provenance")
    create_development_chain(folder, SigningAlgorithm.ED25519, datetime.now(UTC))
    return SigningCredential.read(folder / "chain.pem", folder / "leaf.key.pem", folder / "root.pem")


def test_a_certificate_that_ends_is_known_before_anything_is_signed(credential, fired):
    ManifestSigner(credential, lambda: datetime.now(UTC))
    before = page()
    ManifestSigner(credential, lambda: credential.chain.not_after - timedelta(days=10))
    assert fired("NightlightCertificateEnds", before, page())


def test_an_authority_that_stamps_nothing(credential, fired):
    before = page()
    signer = ManifestSigner(credential, lambda: datetime.now(UTC), tsa_url="http://127.0.0.1:1/")
    picture = pictures.encoded(pictures.opened(pictures.jpeg(64, 64)), "WEBP")
    signer.sign(picture, "image/webp", ManifestClaims(None, None, visible_watermark=False), embed=False)
    assert fired("NightlightStampsMissed", before, page())


def test_rules_of_a_bucket_that_somebody_changed_or_nobody_looks_at(fired, tmp_path):
    pages = []
    for count in (0, 2):
        write_drift_metrics(tmp_path / "drift.prom", {"originals": count}, datetime.now(UTC))
        pages.append(samples((tmp_path / "drift.prom").read_text("utf-8")))
    assert fired("NightlightLifecycleDrift", *pages)
    assert fired("NightlightLifecycleNotLookedAt", pages[0], pages[0])


def labels(**words):
    return tuple(sorted(words.items()))


# Alert: what its metrics are before, and a minute after the fault began.
WRITTEN = {
    "NightlightTakedownsFail": {("nightlight_takedown_failures_total", ()): (0.0, 1.0)},
    "NightlightImportsRefused": {
        ("nightlight_imports_total", labels(state="refused")): (0.0, 10.0),
        ("nightlight_imports_total", labels(state="taken")): (0.0, 50.0),
    },
    "NightlightDecodersDie": {("nightlight_decoders_died_total", ()): (0.0, 10.0)},
    "NightlightImagesNotScreened": {("nightlight_not_screened_total", ()): (0.0, 10.0)},
    "NightlightPicturesTooComplex": {
        ("nightlight_uploads_total", labels(outcome="image_too_complex")): (0.0, 10.0)
    },
}  # fmt: skip
REAL = {
    "NightlightUploadsWait", "NightlightUrgentWorkWaits", "NightlightBackgroundWaits", "NightlightScheduleSilent",
    "NightlightErasuresOverdue", "NightlightTakedownsOverdue", "NightlightErasureKeysLost", "NightlightHoldsDue",
    "NightlightOutboxFails", "NightlightEdgeNotTold", "NightlightListsUnconfirmed", "NightlightCertificateEnds",
    "NightlightStampsMissed", "NightlightLifecycleDrift", "NightlightLifecycleNotLookedAt", "NightlightCatalogueRestored",
    "NightlightWebhooksFail", "NightlightWebhooksDisabled",
}  # fmt: skip


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written_down_fires(name, fired):
    pages = [{key: values[number] for key, values in WRITTEN[name].items()} for number in (0, 1)]
    assert fired(name, *pages)
    declared = {family._name for family in vars(metrics).values() if hasattr(family, "_name")}
    assert {key[0].removesuffix("_total") for key in pages[0]} <= declared


def test_every_alert_is_tried():
    assert set(rules()) == REAL | set(WRITTEN)
    assert not REAL & set(WRITTEN)


def test_of_a_certificate_that_a_process_never_sees_it_says_nothing():
    """As the service: a gauge that nobody has set is not 0."""
    gauge = metrics.KnownGauge("nightlight_test_known", "Known to some processes alone.")
    assert not [key for key in page() if key[0] == "nightlight_test_known"]
    gauge.set(0)
    gauge.set(3)
    assert [value for key, value in page().items() if key[0] == "nightlight_test_known"] == [1.0]  # told as 0 or 1
    metrics.REGISTRY.unregister(gauge)
