"""A hold outlives the erasure of the rest: on the real S3 server, with object lock, by three identities."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO

import pytest
from botocore.exceptions import ClientError

from nightlight.catalogue import images
from nightlight.catalogue.holds import ENDED, PLACED, PLACING
from nightlight.catalogue.profiles import Declaration
from nightlight.cli import key_commands
from nightlight.delivery.object_names import ObjectNames
from nightlight.delivery.purge import EdgePurge
from nightlight.flows.pictures.revoke import RotateNames
from nightlight.flows.retention.legal_holds import CopyToVault, EndHolds, PlaceHolds
from nightlight.flows.retention.receipt_issuer import ReceiptIssuer
from nightlight.jobs.runner import JobRunner
from nightlight.policy.signing import SigningKey
from nightlight.retention.erasure_receipt import chain_faults, open_receipt
from nightlight.store.interface import unsealed
from nightlight.store.s3 import S3Access, S3Store
from nightlight.store.sealing import Opener, Sealer, generate_seal_keys
from nightlight.store.vault import S3Vault
from nightlight_core.errors import ApproverRefused, Conflict, InvalidInput, NotFound, SealKeyMissing, StoreUnavailable
from nightlight_core.policy.public_keys import PublicKeys
from tests.integration.flows.conftest import services as flow_services  # noqa: F401 - a fixture
from tests.support import pictures
from tests.support.buckets import bucket_pair, infra_buckets
from tests.support.flow_container import Switch
from tests.support.services import S3_KEEPER, S3_SERVICE, S3_WORKER, identity, token

pytestmark = pytest.mark.integration
# Who may approve of a hold's end; the officer places them here.
APPROVERS = frozenset({"officer", "judge", "counsel"})


@pytest.fixture(scope="module")
def pair():
    with bucket_pair() as opened:
        yield opened


@pytest.fixture
def services(flow_services, pair, tmp_path):  # noqa: F811
    """The services over real buckets: the service puts originals, the workers put into the vault, the keeper ends holds."""
    key_commands.init(tmp_path)

    def access(who):
        return S3Access(pair.endpoint, "us-east-1", *identity(who), 2, 10)

    worker, service = access(S3_WORKER), access(S3_SERVICE)
    flow_services.originals = Switch(S3Store(pair.originals, worker))
    flow_services.renditions = Switch(S3Store(pair.renditions, worker))
    flow_services.receipts = ReceiptIssuer(SigningKey.read(tmp_path / "keys" / "receipts.private.jwk.json"), ())
    flow_services.public = PublicKeys.read(tmp_path / "keys" / "receipts.jwks.json")
    flow_services.__post_init__()
    object.__setattr__(flow_services.upload_flow, "originals", S3Store(pair.originals, service))
    flow_services.vault_store = S3Vault(pair.vault, worker, lock=True)
    work = JobRunner(flow_services.catalogue, flow_services.limits, flow_services.clock)
    flow_services.holds = PlaceHolds(flow_services.catalogue, flow_services.clock, APPROVERS)
    flow_services.vault = CopyToVault(work, flow_services.erase, flow_services.vault_store, unsealed, 10_000_000)
    flow_services.rename = RotateNames(
        work, flow_services.renditions, ObjectNames(bytes(32)), EdgePurge(None, token=None, timeout_s=1)
    )
    flow_services.keep = EndHolds(
        flow_services.catalogue, S3Store(pair.originals, access(S3_KEEPER)), S3Vault(pair.vault, access(S3_KEEPER), lock=True),
        flow_services.receipts, None, 10_000_000, flow_services.clock, approvers=APPROVERS,
    )  # fmt: skip
    return flow_services


def deliver(services):
    """Run every job that waits, whatever it is."""
    services.relay.run_once()
    sent, services.sent[:] = list(services.sent), []
    run = {
        "nightlight.render": services.render.run, "nightlight.erase": services.erase.run, "nightlight.copy_to_vault": services.vault.run,
        "nightlight.verify_erasure": services.erase.verify, "nightlight.rotate_names": services.rename.run, "nightlight.retention_tags": services.retention_tags.run,
    }  # fmt: skip
    return sorted(run[task](job_id, redelivered=False) for task, job_id in sent)


def keys_of(pair, bucket):
    client = pair.owner if bucket != pair.vault else infra_buckets.client(pair.endpoint, *identity(S3_KEEPER))
    return sorted(entry["Key"] for entry in client.list_objects_v2(Bucket=bucket).get("Contents", []))


def place(services, **asked):
    given = {"kind": "legal", "reference": "case-1", "until": None, "actor": "officer", **asked}
    return services.holds.place(**given)


@pytest.fixture
def who(services):
    name = f"h-{token()}"
    services.declare.declare(
        name, Declaration("age_13_15", "verified", "eu", "connections"), follow_band=False, actor="t"
    )
    return name


@pytest.fixture
def two(services, who, pair):
    """A picture that was replaced and one that is shown, and what the buckets hold of them."""
    image_ids = []
    for seed in (1, 2):
        image_ids.append(services.upload(who, pictures.jpeg(200, 200, seed=seed)).image_id)
        assert "ready" in deliver(services)
    return image_ids


def receipts(services, image_id):
    with services.catalogue.reading() as tx:
        return [open_receipt(envelope, services.public) for envelope in tx.receipts.of_image(image_id)]


def test_what_is_held_goes_into_the_vault_is_shown_to_nobody_and_survives_the_erasure_of_the_rest(
    services, who, two, pair
):
    with services.catalogue.reading() as tx:
        originals = [tx.images.get(image_id).original_key for image_id in two]
    before, others = len(keys_of(pair, pair.renditions)), keys_of(pair, pair.vault)
    hold = place(services, image_id=two[1])
    assert hold.state == PLACING
    with services.catalogue.reading() as tx:
        assert tx.profiles.get(who).current_image_id is None  # at once: the placeholder
    assert deliver(services) == ["vaulted"]
    assert services.holds.get(hold.hold_id).state == PLACED
    assert services.state(two[1]) == images.HELD
    assert originals[1] not in keys_of(pair, pair.originals)
    moved = before - len(keys_of(pair, pair.renditions))
    assert moved >= 3
    kept = [key for key in keys_of(pair, pair.vault) if key not in others]
    assert len(kept) == moved + 1
    assert not any(who in key or two[1] in key for key in kept)

    services.delete.profile(who, actor="t")
    assert deliver(services) == ["erased", "erased"]
    assert [key for key in originals if key in keys_of(pair, pair.originals)] == []
    assert set(kept) <= set(keys_of(pair, pair.vault))
    (free,), (held,) = receipts(services, two[0]), receipts(services, two[1])
    assert [left["what"] for left in free.residuals] == ["rows of the catalogue"]
    assert held.residuals == [
        {"what": "rows of the catalogue", "until": "the hold is ended"}, {"what": "hold", "until": "it is ended"},
    ]  # fmt: skip
    for key in kept:  # nobody can delete it while the lock is on
        versions = infra_buckets.client(pair.endpoint, *identity(S3_KEEPER)).list_object_versions(
            Bucket=pair.vault, Prefix=key
        )["Versions"]
        for version in versions:
            with pytest.raises(ClientError, match="AccessDenied"):
                pair.owner.delete_object(Bucket=pair.vault, Key=key, VersionId=version["VersionId"])

    assert services.keep.end_due() == []
    for nobody in ("officer", "stranger", "Judge", "judge ", ""):  # who placed it, and who was not named
        with pytest.raises(ApproverRefused):
            services.holds.approve(hold.hold_id, actor=nobody)
    services.holds.approve(hold.hold_id, actor="counsel")
    assert services.keep.end_due() == []
    with pytest.raises(InvalidInput, match="another person"):
        services.holds.approve(hold.hold_id, actor="counsel")
    services.holds.approve(hold.hold_id, actor="judge")
    assert replace(services.keep, approvers=frozenset({"judge"})).end_due() == []  # counsel is none any more
    (done,) = services.keep.end_due()
    assert (done.hold_id, done.state, done.ended_at) == (hold.hold_id, ENDED, services.clock())
    assert done == services.holds.get(hold.hold_id)
    assert [key for key in kept if key in keys_of(pair, pair.vault)] == []
    _, ended = receipts(services, two[1])
    assert (ended.kind, ended.objects, ended.versions, ended.residuals) == ("hold ended", moved + 1, moved + 1, [])
    with services.catalogue.reading() as tx:
        chain = [open_receipt(envelope, services.public) for _, envelope in tx.receipts.after(0, limit=100)]
    assert not [fault for fault in chain_faults(chain) if "left" in fault and "left out" not in fault]
    with pytest.raises(NotFound):
        services.holds.approve(hold.hold_id, actor="judge")
    assert services.keep.end_due() == []


def test_a_hold_that_ends_by_its_date_puts_the_picture_back(services, who, two, pair):
    hold = place(services, profile_id=who, until=services.clock() + timedelta(days=30))
    assert deliver(services) == ["vaulted", "vaulted"]
    assert {services.state(image_id) for image_id in two} == {images.HELD}
    services.clock.forward(days=29)
    assert services.keep.end_due() == []
    services.clock.forward(days=1)
    assert [ended.hold_id for ended in services.keep.end_due()] == [hold.hold_id]
    for _ in range(4):
        deliver(services)
    assert sorted(services.state(image_id) for image_id in two) == [images.READY, images.SUPERSEDED]
    with services.catalogue.reading() as tx:
        assert tx.profiles.get(who).current_image_id == two[1]
        names = {name for name, _ in tx.images.rendition_names(two[1])}
        assert not names & tx.revocations.names()
    assert receipts(services, two[1]) == []
    services.delete.profile(who, actor="t")
    assert deliver(services) == ["erased", "erased"]


def test_two_holds_on_one_picture_and_the_second_keeps_it(services, who, two, pair):
    first = place(services, image_id=two[1], until=services.clock() + timedelta(days=1))
    assert deliver(services) == ["vaulted"]
    second = place(services, image_id=two[1], kind="safeguarding", until=services.clock() + timedelta(days=2))
    assert second.state == PLACING
    assert services.holds.get(second.hold_id).state == PLACED  # it is there already
    kept = keys_of(pair, pair.vault)
    services.clock.forward(days=1)
    assert [ended.hold_id for ended in services.keep.end_due()] == [first.hold_id]
    assert services.state(two[1]) == images.HELD
    assert keys_of(pair, pair.vault) == kept
    services.clock.forward(days=1)
    services.keep.end_due()
    assert services.state(two[1]) == images.PENDING
    assert services.holds.get(second.hold_id).state == ENDED
    assert {listed.hold_id for listed in services.holds.listed(ended=True)} >= {first.hold_id, second.hold_id}
    assert not {listed.hold_id for listed in services.holds.listed()} & {first.hold_id, second.hold_id}


def erasures_that_waited(services, who):
    """Erasures of two pictures that a hold was placed on before: they wait, and the vault has its copies by now."""
    place(services, profile_id=who)
    services.delete.profile(who, actor="t")
    services.relay.run_once()
    sent, services.sent[:] = list(services.sent), []
    erasing = [job_id for task, job_id in sent if task == "nightlight.erase"]
    assert [services.erase.run(job_id, redelivered=False) for job_id in erasing] == ["later", "later"]
    for task, job_id in sent:
        if task == "nightlight.copy_to_vault":
            assert services.vault.run(job_id, redelivered=False) == "vaulted"
    return erasing


def test_an_erasure_waits_until_the_hold_has_what_it_covers(services, who, two, pair):
    erasing = erasures_that_waited(services, who)
    services.clock.forward(hours=1)
    assert [services.erase.run(job_id, redelivered=True) for job_id in erasing] == ["erased", "erased"]
    with services.catalogue.reading() as tx:
        assert all(len(tx.legal_holds.vault(image_id)) >= 4 for image_id in two)


def test_an_erasure_that_waits_for_a_hold_gives_the_first_receipt_however_early_somebody_looks_again(
    services, who, two, pair
):
    """What a hold copied is looked at again after a while: not before the erasure itself, which counts its own."""
    erasing = erasures_that_waited(services, who)
    services.clock.forward(hours=2)
    with services.catalogue.transaction() as tx:
        looking = [job_id for job_id, kind, _ in due(tx, services.clock()) if kind == "verify_erasure"]
    assert [services.erase.verify(job_id, redelivered=False) for job_id in looking] == ["nothing", "nothing"]
    assert [services.erase.run(job_id, redelivered=True) for job_id in erasing] == ["erased", "erased"]
    with services.catalogue.reading() as tx:
        for image_id in two:
            (receipt,) = [open_receipt(envelope, services.public) for envelope in tx.receipts.of_image(image_id)]
            assert receipt.kind == "erased"
            assert tx.jobs.is_open(image_id, "verify_erasure")  # somebody looks again


def due(tx, now):
    return tx.jobs.claim_due(now, limit=100, again_after_s=60)


def test_what_is_being_rendered_is_held_too_and_nothing_of_it_stays_behind(services, who, pair):
    image = services.upload(who, pictures.jpeg(200, 200))
    services.relay.run_once()
    ((_, render),) = services.sent
    services.sent.clear()
    real = services.render.pipeline

    def meanwhile(*asked):
        place(services, image_id=image.image_id)
        return real(*asked)

    object.__setattr__(services.render, "pipeline", meanwhile)
    assert services.render.run(render, redelivered=False) == "deleted"
    assert services.state(image.image_id) == images.HELD
    assert deliver(services) == ["vaulted"]
    with services.catalogue.reading() as tx:
        (kept,) = tx.legal_holds.vault(image.image_id)
        planned = tx.jobs.planned_keys(image.image_id)
    assert kept.bucket == "originals"
    assert planned
    assert not set(planned) & set(keys_of(pair, pair.renditions))


def test_a_worker_killed_at_any_step_of_the_move_loses_nothing(services, who, two, pair):
    """Whatever call it was that it did not come back from."""
    from nightlight_core.errors import LeaseLost

    hold = place(services, image_id=two[1])
    services.relay.run_once()
    ((_, job_id),) = [message for message in services.sent if message[0] == "nightlight.copy_to_vault"]
    services.sent.clear()
    stores = (services.erase.originals, services.erase.renditions, services.vault_store)
    step, ending = 0, "lost"
    while ending == "lost":
        step += 1
        calls = iter(range(1000))

        def stepped(store, calls=calls, step=step):
            class Stepped:
                def __getattr__(self, name):
                    def call(*arguments, **named):
                        if next(calls) == step:
                            raise LeaseLost("killed")
                        return getattr(store, name)(*arguments, **named)

                    return call

            return Stepped()

        object.__setattr__(services.erase, "originals", stepped(stores[0]))
        object.__setattr__(services.erase, "renditions", stepped(stores[1]))
        object.__setattr__(services.vault, "vault", stepped(stores[2]))
        ending = services.vault.run(job_id, redelivered=True) if step < 100 else "never"
        services.limits.__dict__["max_attempts"] = 1000
    object.__setattr__(services.erase, "originals", stores[0])
    object.__setattr__(services.erase, "renditions", stores[1])
    assert ending == "vaulted"
    assert step > 8
    assert services.holds.get(hold.hold_id).state == PLACED
    with services.catalogue.reading() as tx:
        kept = tx.legal_holds.vault(two[1])
        names = tx.images.rendition_names(two[1])
        assert tx.images.get(two[1]).original_key not in keys_of(pair, pair.originals)
    assert len(kept) == 2 * len(names) + 1  # and their manifests
    keeper = infra_buckets.client(pair.endpoint, *identity(S3_KEEPER))
    for entry in kept:
        assert len(keeper.get_object(Bucket=pair.vault, Key=entry.vault_key)["Body"].read()) == entry.bytes
    keeper.close()


def test_a_sealed_original_is_readable_in_the_vault_and_sealed_again_when_it_comes_back(services, who, pair):
    private, public = generate_seal_keys()
    seal, open_ = Sealer.parse(f"s1:{public}", "x").seal, Opener.parse(f"s1:{private}", "x").open
    object.__setattr__(services.upload_flow, "seal", seal)
    object.__setattr__(services.render, "open_", open_)
    object.__setattr__(services.vault, "open_", open_)
    object.__setattr__(services.keep, "seal", seal)
    data = pictures.jpeg(200, 200)
    image = services.upload(who, data)
    deliver(services)
    place(services, image_id=image.image_id, until=services.clock() + timedelta(days=1))
    deliver(services)
    with services.catalogue.reading() as tx:
        original = next(entry for entry in tx.legal_holds.vault(image.image_id) if entry.bucket == "originals")
    assert services.keep.vault.get(original.vault_key, max_bytes=1_000_000).data == data
    services.clock.forward(days=2)
    services.keep.end_due()
    for _ in range(3):
        deliver(services)
    assert services.state(image.image_id) == images.READY
    with services.catalogue.reading() as tx:
        again = tx.images.get(image.image_id)
    assert again.sealed_key not in {None, image.sealed_key}
    assert open_(services.originals.store.get(again.original_key, max_bytes=1_000_000).data, again.sealed_key) == data


def test_a_keeper_killed_while_a_sealed_original_goes_back_leaves_one_that_opens(services, who, pair):
    """It is sealed anew at each attempt: the row and the object are of one key in the end."""
    private, public = generate_seal_keys()
    seal, open_ = Sealer.parse(f"s1:{public}", "x").seal, Opener.parse(f"s1:{private}", "x").open
    for part, name, value in (
        (services.upload_flow, "seal", seal),
        (services.keep, "seal", seal),
        (services.render, "open_", open_),
        (services.vault, "open_", open_),
    ):
        object.__setattr__(part, name, value)
    data = pictures.jpeg(200, 200)
    image = services.upload(who, data)
    deliver(services)
    place(services, image_id=image.image_id, until=services.clock() + timedelta(days=1))
    deliver(services)
    services.clock.forward(days=2)
    real = services.keep.originals

    class Dies:
        def replace(self, *arguments, **named):
            real.replace(*arguments, **named)
            raise StoreUnavailable("killed")

    object.__setattr__(services.keep, "originals", Dies())
    with pytest.raises(StoreUnavailable):
        services.keep.end_due()
    assert services.state(image.image_id) == images.HELD
    object.__setattr__(services.keep, "originals", real)
    assert len(services.keep.end_due()) == 1
    for _ in range(3):
        deliver(services)
    assert services.state(image.image_id) == images.READY
    with services.catalogue.reading() as tx:
        again = tx.images.get(image.image_id)
    assert open_(services.originals.store.get(again.original_key, max_bytes=1_000_000).data, again.sealed_key) == data


def test_a_hold_that_is_placed_while_another_ends_keeps_what_it_covers(services, who, two, pair):
    place(services, image_id=two[1], until=services.clock() + timedelta(days=1))
    deliver(services)
    services.clock.forward(days=2)
    real = services.keep.originals

    class Meanwhile:
        def replace(self, *arguments, **named):
            place(services, image_id=two[1])
            real.replace(*arguments, **named)

    object.__setattr__(services.keep, "originals", Meanwhile())
    assert len(services.keep.end_due()) == 1
    assert services.state(two[1]) == images.HELD
    with services.catalogue.reading() as tx:
        kept = tx.legal_holds.vault(two[1])
    assert {entry.vault_key for entry in kept} <= set(keys_of(pair, pair.vault))

    class Later:
        def erase(self, key):
            with pytest.raises(Conflict):
                place(services, image_id=two[0])
            return vault.erase(key)

        def __getattr__(self, name):
            return getattr(vault, name)

    place(services, image_id=two[0], until=services.clock() + timedelta(days=1))
    deliver(services)
    services.clock.forward(days=2)
    vault = services.keep.vault
    object.__setattr__(services.keep, "originals", real)
    object.__setattr__(services.keep, "vault", Later())
    assert len(services.keep.end_due()) == 1


@pytest.mark.parametrize(
    "asked",
    [
        {"kind": "whim"},
        {"until": datetime(2020, 1, 1, tzinfo=UTC)},
        {"image_id": "0" * 32, "profile_id": "x"},
        {"profile_id": None},
    ],
)
def test_what_is_no_hold_is_refused(services, who, asked):
    with pytest.raises(InvalidInput):
        place(services, **{"profile_id": who, **asked})


def test_a_hold_on_nothing_is_not_found(services, who):
    for asked in ({"profile_id": who}, {"profile_id": "nobody"}, {"image_id": "0" * 32}):
        with pytest.raises(NotFound):
            place(services, **asked)
    with pytest.raises(NotFound):
        services.holds.get("0" * 32)
    with pytest.raises(NotFound):
        services.holds.approve("0" * 32, actor="t")


def test_what_is_sealed_into_the_vault_is_noise_to_whoever_put_it_and_comes_back(services, who, pair):
    """On a server that lets whoever put an object copy it out, by a way that no policy closes."""
    data = pictures.jpeg(200, 200, seed=7)
    image = services.upload(who, data).image_id
    assert "ready" in deliver(services)
    kept_by = generate_seal_keys()
    object.__setattr__(services.vault, "seal", Sealer.parse(f"v1:{kept_by[1]}", "PUBLIC").seal_same)
    held = place(services, image_id=image)
    assert "vaulted" in deliver(services)
    with services.catalogue.reading() as tx:
        kept = tx.legal_holds.vault(image)
    for entry in kept:
        stored = services.keep.vault.get(entry.vault_key, max_bytes=1_000_000).data
        assert len(stored) == entry.bytes
        assert data[:64] not in stored
        assert b"RIFF" not in stored[:16]
    for officer in ("judge", "counsel"):
        services.holds.approve(held.hold_id, actor=officer)
    with pytest.raises(SealKeyMissing):  # no key: it stays where it is
        object.__setattr__(services.keep, "open_", Opener({}).open)
        services.keep.end_due()
    object.__setattr__(services.keep, "open_", Opener.parse(f"v1:{kept_by[0]}", "PRIVATE").open)
    assert [ended.hold_id for ended in services.keep.end_due()] == [held.hold_id]
    assert "ready" in deliver(services)
    with services.catalogue.reading() as tx:
        key = tx.images.get(image).original_key
    assert services.originals.store.get(key, max_bytes=1_000_000).data == data


def test_what_somebody_put_over_a_held_original_is_not_put_back(services, who, pair):
    image = services.upload(who, pictures.jpeg(200, 200, seed=8)).image_id
    assert "ready" in deliver(services)
    held = place(services, image_id=image)
    assert "vaulted" in deliver(services)
    with services.catalogue.reading() as tx:
        (original,) = [entry for entry in tx.legal_holds.vault(image) if entry.bucket == "originals"]
    forged = pictures.jpeg(200, 200, seed=9)
    services.vault_store.replace(original.vault_key, BytesIO(forged), sha256=hashlib.sha256(forged).hexdigest(),
                              content_type="x/y")  # fmt: skip
    for officer in ("judge", "counsel"):
        services.holds.approve(held.hold_id, actor=officer)
    with pytest.raises(StoreUnavailable, match="is not what was put there"):
        services.keep.end_due()
