"""Every flow that puts, over an S3 server that fails as real ones do: what is acknowledged is there, the rest is a 503."""

import hashlib
import tempfile
from dataclasses import replace
from datetime import timedelta

import pytest

from nightlight.catalogue import images
from nightlight.delivery.object_names import ObjectNames
from nightlight.delivery.purge import EdgePurge
from nightlight.flows.pictures.revoke import RevokeUrls, RotateNames
from nightlight.flows.retention.legal_holds import CopyToVault, PlaceHolds
from nightlight.flows.traces.requests import RequestTrace
from nightlight.jobs.runner import JobRunner
from nightlight.settings.pictures import MatchingSettings, UploadSettings
from nightlight.store.interface import PutOnly, unsealed
from nightlight.store.local import LocalStore
from nightlight.store.s3 import S3Store
from nightlight.store.sealing import Opener, Sealer, generate_seal_keys
from nightlight.store.vault import S3Vault
from nightlight_core.errors import StoreUnavailable
from tests.support import pictures
from tests.support.faulty_s3 import FAULTS, faulty_s3, without_pauses

# What a database does is the same whatever the store does: one is enough.
pytestmark = [pytest.mark.integration, pytest.mark.parametrize("catalogue", ["sqlite"], indirect=True)]


@pytest.fixture
def server(monkeypatch):
    without_pauses(monkeypatch)
    with faulty_s3() as started:
        yield started


def stored(server):
    return {path: body for path, (body, _) in server.objects.items()}


def swap(services, server, *names):
    """Let the services keep these of their stores on the faulty server."""
    for name in names:
        getattr(services, name).store = S3Store(name, server.access())


def upload(services, profile_id, _monkeypatch=None):
    return services.upload(profile_id, pictures.jpeg(64, 64))


def by_steps(services, profile_id):
    """Take the steps of an upload one by one, as an import does."""
    flow, now = services.upload_flow, services.clock()
    with tempfile.TemporaryFile() as file:
        file.write(pictures.jpeg(64, 64))
        file.flush()
        prepared = flow.prepare(file)
        with services.catalogue.transaction() as tx:
            image = flow.receive(tx, tx.profiles.get(profile_id, lock=True), prepared, now, actor="t")
        flow.store(image, prepared)
        with services.catalogue.transaction() as tx:
            assert flow.acknowledge(tx, image, prepared, now, actor="t", waits=True)
    return image


@pytest.mark.parametrize("way", [upload, by_steps], ids=["upload", "import"])
@pytest.mark.parametrize("fault", FAULTS)
def test_an_upload_that_is_acknowledged_is_stored(services, profile_id, server, way, fault):
    data = pictures.jpeg(64, 64)
    swap(services, server, "originals")
    server.faults, server.unreadable = [fault], True
    image = way(services, profile_id)
    assert stored(server) == {f"/originals/{image.original_key}": data}
    server.unreadable = False
    assert services.deliver() == ["ready"]


@pytest.mark.parametrize("way", [upload, by_steps], ids=["upload", "import"])
@pytest.mark.parametrize("fault", ["409", "503", "cut"])
def test_an_upload_that_cannot_be_stored_is_not_acknowledged(services, profile_id, server, way, fault):
    swap(services, server, "originals")
    server.always = fault
    with pytest.raises(StoreUnavailable) as problem:
        way(services, profile_id)
    assert problem.value.status == 503
    assert stored(server) == {}
    assert services.deliver() == []


def test_an_original_is_never_said_to_be_stored_where_anothers_is(services, profile_id, server, monkeypatch):
    monkeypatch.setattr("nightlight.flows.pictures.upload.new_original_key", lambda: "o/drawn-twice")
    swap(services, server, "originals")
    server.objects["/originals/o/drawn-twice"] = b"theirs", {}
    server.unreadable = True
    with pytest.raises(StoreUnavailable, match="another object was there"):
        upload(services, profile_id)
    assert stored(server) == {"/originals/o/drawn-twice": b"theirs"}


def copies(services, server):
    originals = PutOnly(S3Store("originals", server.access()))
    return RequestTrace(services.catalogue, originals, UploadSettings(), MatchingSettings(), services.clock)


def test_a_found_copy_is_sealed_as_originals_are(services, server):
    private, public = generate_seal_keys()
    flow = replace(copies(services, server), seal=Sealer.parse(f"s1:{public}", "PUBLIC").seal)
    row = ask(flow, "sealed")
    (stored_copy,) = stored(server).values()
    assert pictures.jpeg(64, 64)[:32] not in stored_copy
    assert Opener.parse(f"s1:{private}", "PRIVATE").open(stored_copy, row.sealed_key) == pictures.jpeg(64, 64)
    assert row.sha256 == hashlib.sha256(pictures.jpeg(64, 64)).hexdigest()  # of the picture, for whoever looks for it
    with services.catalogue.transaction() as tx:
        tx.trace_jobs.copy_gone(row.trace_id)
        assert tx.trace_jobs.get(row.trace_id).sealed_key is None


def ask(flow, fault):
    with tempfile.TemporaryFile() as file:
        file.write(pictures.jpeg(64, 64))
        return flow.accept(file, keep=False, actor=f"investigator-{fault}")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_trace_that_is_acknowledged_has_its_copy(services, server, fault):
    server.faults, server.unreadable = [fault], True
    row = ask(copies(services, server), fault)
    assert stored(server) == {f"/originals/{row.copy_key}": pictures.jpeg(64, 64)}


@pytest.mark.parametrize("fault", ["409", "503", "cut"])
def test_a_trace_that_cannot_be_stored_is_not_acknowledged(services, server, fault):
    server.always = fault
    with pytest.raises(StoreUnavailable):
        ask(copies(services, server), fault)
    assert stored(server) == {}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_rendition_and_manifest_of_a_picture_that_is_ready_is_there(services, profile_id, server, fault):
    image = upload(services, profile_id)
    swap(services, server, "renditions")
    server.faults = [fault]
    assert services.deliver() == ["ready"]
    with services.catalogue.reading() as tx:
        rows = tx.images.renditions(image.image_id)
    kept = stored(server)
    for row in rows:
        (body,) = [body for path, body in kept.items() if row.name in path]
        assert (len(body), hashlib.sha256(body).hexdigest()) == (row.bytes, row.sha256)
        assert row.manifest is None or any(row.manifest in path for path in kept)


@pytest.mark.parametrize("fault", ["409", "503", "cut"])
def test_a_picture_whose_renditions_cannot_be_stored_is_not_ready(services, profile_id, server, fault):
    image = upload(services, profile_id)
    swap(services, server, "renditions")
    server.always = fault
    assert services.deliver() == ["later"]
    assert services.state(image.image_id) == images.PENDING


@pytest.fixture
def revoked(services, profile_id, server):
    """A picture whose renditions are on the server, and a rename of them that waits; what runs it."""
    swap(services, server, "renditions")
    image = upload(services, profile_id)
    assert services.deliver() == ["ready"]
    rename = RotateNames(JobRunner(services.catalogue, services.limits, services.clock), services.renditions, ObjectNames(bytes(32)),
                    EdgePurge(None, token=None, timeout_s=1))  # fmt: skip
    RevokeUrls(services.catalogue, services.clock).profile(profile_id, actor="t")
    services.relay.run_once()
    ((_, job_id),) = services.sent
    return image, lambda: rename.run(job_id, redelivered=False)


def answers_and_objects(services, server, image):
    with services.catalogue.reading() as tx:
        rows = tx.images.renditions(image.image_id)
    for row in rows:
        (body,) = [body for path, body in stored(server).items() if row.name in path]
        assert hashlib.sha256(body).hexdigest() == row.sha256
    return rows


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_renamed_is_there_under_its_new_name(services, server, revoked, fault):
    image, rename = revoked
    server.faults = [fault]
    assert rename() == "rotated"
    assert answers_and_objects(services, server, image)


def test_a_new_name_under_which_something_else_is_gets_the_bytes_that_its_row_tells_of(services, server, revoked):
    image, rename = revoked
    server.faults = ["500 stored"]
    server.always = "409"
    assert rename() == "later"
    new = [path for path in server.objects if path not in {f"/renditions/{key}" for key in ()}]
    before = {row.name for row in answers_and_objects(services, server, image)}
    (path,) = [path for path in new if path.startswith("/renditions/a/") and not any(name in path for name in before)]
    server.objects[path] = b"other", {"x-amz-meta-sha256": hashlib.sha256(b"other").hexdigest()}
    server.always = None
    services.clock.forward(hours=1)
    assert rename() == "rotated"
    answers_and_objects(services, server, image)


@pytest.mark.parametrize("fault", [*FAULTS, "for good"])
def test_what_is_held_is_in_the_vault_before_it_goes_anywhere_else(services, profile_id, server, tmp_path, fault):
    data = pictures.jpeg(64, 64)
    image = upload(services, profile_id)
    assert services.deliver() == ["ready"]
    vault = CopyToVault(JobRunner(services.catalogue, services.limits, services.clock), services.erase,
                  S3Vault("vault", server.access(), lock=True), unsealed, 10_000_000)  # fmt: skip
    PlaceHolds(services.catalogue, services.clock).place(
        image_id=image.image_id, kind="legal", reference="case", until=None, actor="officer"
    )
    services.relay.run_once()
    ((_, job_id),) = services.sent
    server.unreadable = True
    server.faults, server.always = ([fault], None) if fault in FAULTS else ([], "409")
    ending = vault.run(job_id, redelivered=False)
    if fault == "for good":
        assert (ending, stored(server)) == ("later", {})
        assert LocalStore(tmp_path / "originals").get(image.original_key, max_bytes=10**6).data == data
        server.always, services.clock.now = None, services.clock.now + timedelta(hours=1)
        assert vault.run(job_id, redelivered=False) == "vaulted"
    with services.catalogue.reading() as tx:
        kept = tx.legal_holds.vault(image.image_id)
    objects = stored(server)
    assert len(objects) == len(kept) > 1
    for entry in kept:
        assert hashlib.sha256(objects[f"/vault/{entry.vault_key}"]).hexdigest() == entry.sha256
    assert data in objects.values()
    assert list(services.originals.store.keys()) == []
