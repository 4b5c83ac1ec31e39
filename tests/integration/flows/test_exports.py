"""A person's own data: all of theirs, nothing of anybody else's, for a day; over real catalogues and folders."""

import base64
import io
import json
import zipfile
from datetime import timedelta
from html.parser import HTMLParser

import jsonschema
import pyrage
import pytest
from sqlalchemy import select

from nightlight.catalogue import exports, images
from nightlight.catalogue.profiles import Declaration
from nightlight.catalogue.retention_schema import exports as exports_table
from nightlight.catalogue.schema import images as images_table
from nightlight.flows.decisions.blocks import BlockViewers
from nightlight.flows.exports import document
from nightlight.flows.exports.make_export import MakeExport
from nightlight.flows.exports.requests import RequestExport
from nightlight.flows.pictures.deactivate import DeactivateProfile
from nightlight.flows.retention.legal_holds import PlaceHolds
from nightlight.flows.retention.receipt_issuer import ReceiptIssuer
from nightlight.policy.signing import SigningKey
from nightlight.settings.storage import ExportSettings
from nightlight.store.interface import unsealed
from nightlight.store.local import LocalStore
from nightlight_core.errors import InvalidInput, NotFound, StoreUnavailable, TooManyRequests
from tests.support import pictures
from tests.support.flow_container import HASHER, Switch

pytestmark = pytest.mark.integration
CANARY = "canary-4d1f"


@pytest.fixture
def exporting(services, tmp_path):
    """The services, with what asks for exports and what makes them."""
    store = Switch(LocalStore(tmp_path / "exports"))
    store.ready()
    runner, limits = services.render.runner, ExportSettings()
    services.exports_store = store
    services.export = RequestExport(
        services.catalogue,
        lambda key, **more: store.get(key, **more),  # noqa: PLW0108 - a test may turn it off
        limits,
        services.clock,
    )
    services.make = MakeExport(
        runner,
        services.originals,
        store,
        limits,
        lambda: services.table,
        30,
        20_000_000,
        HASHER,
        unsealed,
        service_may_read=True,
    )
    services.holds = PlaceHolds(services.catalogue, services.clock)
    with services.catalogue.transaction() as tx:
        tx.connection.execute(exports_table.delete())
    return services


def deliver(services):
    """Run every job that waits, until none does; return how the exports' jobs ended."""
    ended = []
    run = {
        "nightlight.render": services.render.run, "nightlight.erase": services.erase.run,
        "nightlight.export": services.make.run, "nightlight.delete_export": services.make.delete,
    }  # fmt: skip
    while True:
        services.relay.run_once()
        sent, services.sent[:] = list(services.sent), []
        if not sent:
            return ended
        for task, job_id in sent:
            if task in run:
                ending = run[task](job_id, redelivered=False)
                ended += [ending] if "export" in task else []


@pytest.fixture
def owner(exporting, profile_id):
    """A profile with a picture that was replaced and one that is shown."""
    for seed in (1, 2):
        exporting.upload(profile_id, picture(seed))
        deliver(exporting)
        exporting.clock.forward(minutes=1)
    return profile_id


def picture(seed):
    return pictures.jpeg(200, 200, seed=seed)


def exported(services, profile_id, **asked):
    """The files of an export that is made now."""
    services.export.ask(profile_id, seal_to=None, actor="desk", **asked)
    assert deliver(services)[-1] == "ready"
    given = services.export.give(profile_id, actor="desk")
    assert not given.sealed
    return files_of(given.data)


def files_of(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def content_of(files):
    """What the document says, which its own schema allows."""
    content = json.loads(files[document.DOCUMENT])
    jsonschema.validate(content, json.loads(files[document.SCHEMA]))
    return content


def row(services, export_id):
    with services.catalogue.reading() as tx:
        return tx.exports.get(export_id)


def events(services):
    with services.catalogue.reading() as tx:
        rows = tx.connection.exec_driver_sql("SELECT event, detail FROM audit ORDER BY entry_id").all()
    return [(event, str(detail)) for event, detail in rows if event.startswith("export.")]


def test_it_has_the_originals_and_what_is_kept_of_the_person(exporting, owner):
    files = exported(exporting, owner)
    content = content_of(files)
    first, second = content["pictures"]
    assert (first["state"], second["state"]) == ("current", "replaced")
    assert files[first["original"]["file"]] == picture(2)
    assert files[second["original"]["file"]] == picture(1)
    assert {entry["what"] for entry in second["events"]} == {"accepted", "ready", "replaced"}
    assert {entry["tier"] for entry in first["renditions"]} == set(exporting.table.tiers)
    declared = content["account"]["declared"]
    assert (declared["band"], declared["counts_as"], declared["choice"]) == ("age_13_15", "age_13_15", "connections")
    shown = {(entry["relation"], entry["viewer"], entry["context"]): entry["tier"] for entry in content["shown"]}
    assert shown["stranger", "peer", "list"] == "tiny"
    assert shown["connection", "peer", "profile"] not in {"none", "tiny"}
    assert {entry["tier"] for entry in content["tiers"]} == set(exporting.table.tiers)
    text = files[document.DOCUMENT].decode()
    with exporting.catalogue.reading() as tx:  # a rendition's name is what its URL is made of
        assert not [name for name, _ in tx.images.rendition_names(first["image_id"]) if name in text]


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.text, self.scopes = [], [], "", []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in {"href", "src"}]
        self.scopes += [given.get("scope")] if tag == "th" else []
        assert not [name for name in given if name.startswith("on")]
        if tag == "html":
            assert given["lang"] == "en"

    def handle_data(self, data):
        self.text += data


def test_its_page_needs_no_script_and_names_its_tables_headers(exporting, owner):
    files = exported(exporting, owner)
    page = Page(files[document.PAGE].decode())
    assert not {"script", "iframe", "object", "form", "img"} & set(page.tags)
    assert page.tags.count("h1") == page.tags.count("main") == page.tags.count("title") == 1
    assert None not in page.scopes
    assert page.tags.count("caption") == 3
    assert set(page.links) <= set(files)
    assert "a picture with at most 96 pixels" in page.text


def test_nothing_of_anybody_else_is_in_it(exporting, owner):
    other, viewer = f"{CANARY}-profile", f"{CANARY}-viewer"
    exporting.declare.declare(
        other, Declaration("adult", "verified", "eu", "everyone"), follow_band=False, actor=CANARY
    )
    exporting.upload(other, pictures.jpeg(300, 300, seed=77))
    deliver(exporting)
    block = BlockViewers(exporting.catalogue, exporting.clock)
    block.block(owner, viewer, actor=CANARY)
    block.block(other, owner, actor=CANARY)
    exporting.declare.set_report_flag(owner, "reported", actor=CANARY)
    exporting.holds.place(profile_id=other, kind="legal", reference=CANARY, until=None, actor=CANARY)
    files = exported(exporting, owner)
    assert content_of(files)["account"]["report_open"] is True
    assert not [name for name, data in files.items() if CANARY.encode() in data or CANARY in name]
    with exporting.catalogue.reading() as tx:
        others = {image.image_id for image in tx.images.of_profile(other)}
    assert others
    assert not [image_id for image_id in others if image_id in files[document.DOCUMENT].decode()]


def test_a_deactivated_account_has_one_too(exporting, owner):
    DeactivateProfile(exporting.catalogue, exporting.clock).deactivate(owner, actor="t")
    files = exported(exporting, owner)
    content = content_of(files)
    assert content["account"]["deactivated_at"] is not None
    assert content["shown"] == []
    assert files[content["pictures"][0]["original"]["file"]] == picture(2)
    assert "switched off" in files[document.PAGE].decode()


def test_a_band_that_was_not_said_again_counts_as_unknown(exporting, owner):
    exporting.clock.forward(days=31)
    content = content_of(exported(exporting, owner))
    assert (content["account"]["declared"]["band"], content["account"]["declared"]["counts_as"]) == (
        "age_13_15",
        "unknown",
    )


def test_hostile_ids_and_words_are_text_on_the_page(exporting, owner):
    with exporting.catalogue.transaction() as tx:
        values = {"reason_detail": "<script>alert(1)</script>", "state": images.REJECTED, "format": "../../x"}
        tx.connection.execute(images_table.update().where(images_table.c.profile_id == owner).values(**values))
    files = exported(exporting, owner)
    assert "script" not in Page(files[document.PAGE].decode()).tags
    assert {name for name in files if name.startswith("pictures/")} == {"pictures/1.bin", "pictures/2.bin"}


def test_an_original_that_is_lost_is_left_out_and_the_rest_is_there(exporting, owner):
    with exporting.catalogue.reading() as tx:
        newest, _ = tx.images.of_profile(owner)
    exporting.originals.store.delete(newest.original_key)
    content = content_of(exported(exporting, owner))
    assert [entry["original_left_out"] for entry in content["pictures"]] == ["not_available", None]


def test_what_does_not_fit_is_left_out_and_said(exporting, owner):
    object.__setattr__(
        exporting.make, "limits", ExportSettings.model_construct(max_bytes=5_000_000 + len(picture(2)) + 1)
    )
    content = content_of(exported(exporting, owner))
    assert [entry["original_left_out"] for entry in content["pictures"]] == [None, "too_large"]


@pytest.mark.parametrize("part", ["originals", "exports_store"])
def test_while_a_store_is_away_it_waits(exporting, owner, part):
    store = getattr(exporting, part)
    asked = exporting.export.ask(owner, seal_to=None, actor="t")
    store.off = {"get", "replace"}
    assert deliver(exporting) == ["later"]
    assert exporting.export.status(owner).state == "pending"
    with pytest.raises(NotFound):
        exporting.export.give(owner, actor="t")
    store.off = set()
    exporting.clock.forward(minutes=10)
    exporting.reconciler.run_once()
    assert deliver(exporting) == ["ready"]
    exporting.exports_store.off = {"get"}
    with pytest.raises(StoreUnavailable):
        exporting.export.give(owner, actor="t")
    assert row(exporting, asked.export_id).state == "ready"


def hidden(exporting, image_id, how):
    """Take a picture away from its owner in one of the ways of which they may not know."""
    with exporting.catalogue.transaction() as tx:
        rows = images_table.update().where(images_table.c.image_id == image_id)
        if how == "lists":
            tx.connection.execute(rows.values(state=images.QUARANTINED, reason="listed"))
        elif how == "pending":
            tx.connection.execute(rows.values(state=images.PENDING))
    if how == "hold":
        exporting.holds.place(image_id=image_id, kind="legal", reference="case", until=None, actor="officer")


def test_a_match_and_a_hold_look_like_a_picture_that_is_not_ready_yet(exporting, owner):
    with exporting.catalogue.reading() as tx:
        newest, _ = tx.images.of_profile(owner)
    seen = []
    for how in ("pending", "lists", "hold"):
        hidden(exporting, newest.image_id, how)
        files = exported(exporting, owner)
        seen.append((content_of(files)["pictures"], [name for name in files if name.startswith("pictures/")]))
        assert seen[-1][0][0]["holds"] == []
        page_text = files[document.PAGE].decode().lower()
        assert not [word for word in ("hold", "the order", " locked", "case") if word in page_text]
    assert seen[0] == seen[1] == seen[2]
    assert seen[0][0][0]["state"] == "not_available"


def test_a_hold_that_may_be_told_is_named_and_its_case_is_not(exporting, owner):
    exporting.holds.place(
        profile_id=owner, kind="safeguarding", reference="case-81", until=exporting.clock() + timedelta(days=9),
        actor="officer", may_be_told=True,
    )  # fmt: skip
    files = exported(exporting, owner)
    content = content_of(files)
    for entry in content["pictures"]:
        assert (entry["state"], entry["original"], entry["original_left_out"]) == ("held", None, "held")
        assert entry["holds"][0]["kind"] == "safeguarding"
    assert b"case-81" not in files[document.DOCUMENT] + files[document.PAGE]
    # One of two holds may not be told: then none is.
    exporting.holds.place(profile_id=owner, kind="legal", reference="case-82", until=None, actor="officer")
    assert {entry["state"] for entry in content_of(exported(exporting, owner))["pictures"]} == {"not_available"}


@pytest.fixture
def issuing(exporting, tmp_path):
    """The services, whose erasures make receipts."""
    from nightlight.delivery.access_tokens import generate_key

    (tmp_path / "key.json").write_text(json.dumps(generate_key()[0]))
    receipts = ReceiptIssuer(SigningKey.read(tmp_path / "key.json"), (("database backups", 35),))
    object.__setattr__(exporting.rows, "receipts", receipts)
    return exporting


def test_it_has_the_receipts_of_erased_pictures_but_those_that_tell_of_a_hold(issuing, owner):
    with issuing.catalogue.reading() as tx:
        newest, replaced = tx.images.of_profile(owner)
    issuing.delete.image(replaced.image_id, actor="t")
    deliver(issuing)
    (erased,) = content_of(exported(issuing, owner))["erased"]
    assert erased["image_id"] == replaced.image_id
    with issuing.catalogue.reading() as tx:
        assert erased["receipts"] == tx.receipts.of_image(replaced.image_id) != []
    issuing.holds.place(image_id=newest.image_id, kind="legal", reference="case", until=None, actor="officer")
    with issuing.catalogue.transaction() as tx:
        tx.legal_holds.put(newest.image_id, [], issuing.clock())  # as the worker that copied it into the vault does
        tx.legal_holds.placed(newest.image_id)
    issuing.delete.image(newest.image_id, actor="t")
    deliver(issuing)
    with issuing.catalogue.reading() as tx:
        (receipt,) = tx.receipts.of_image(newest.image_id)
    assert b'"what":"hold"' in base64.b64decode(receipt["payload"])
    parts = {part["image_id"]: part["receipts"] for part in content_of(exported(issuing, owner))["erased"]}
    assert parts == {replaced.image_id: erased["receipts"], newest.image_id: []}


def prove(services):
    """Let the time pass after which the workers look again, and remove the rows of what was erased."""
    services.clock.forward(hours=2)
    services.reconciler.run_once()
    services.relay.run_once()
    sent, services.sent[:] = list(services.sent), []
    run = {"nightlight.verify_erasure": services.erase.verify, "nightlight.remove_rows": services.rows.run}
    for task, job_id in sent:
        if task in run:
            run[task](job_id, redelivered=False)


def test_the_receipts_stay_in_it_once_the_rows_are_gone_and_are_nobody_elses(issuing, owner):
    with issuing.catalogue.reading() as tx:
        _, replaced = tx.images.of_profile(owner)
    issuing.delete.image(replaced.image_id, actor="t")
    deliver(issuing)
    prove(issuing)
    with issuing.catalogue.reading() as tx:
        assert tx.images.get(replaced.image_id) is None
    (erased,) = content_of(exported(issuing, owner))["erased"]
    assert (erased["image_id"], len(erased["receipts"])) == (replaced.image_id, 2)
    # Whoever has the id after them was never told of their pictures.
    issuing.delete.profile(owner, actor="t")
    deliver(issuing)
    prove(issuing)
    issuing.clock.forward(minutes=1)
    issuing.declare.declare(owner, Declaration("adult", "verified", "eu", "everyone"), follow_band=False, actor="t")
    assert content_of(exported(issuing, owner))["erased"] == []


def test_it_is_gone_after_a_day(exporting, owner):
    exported(exporting, owner)
    (key,) = exporting.exports_store.store.keys()
    kept = exporting.export.status(owner)
    assert kept.expires_at == exporting.clock() + timedelta(days=1)
    exporting.clock.forward(hours=23, minutes=59)
    exporting.export.give(owner, actor="t")
    exporting.clock.forward(minutes=1)
    for ask in (exporting.export.status, lambda who: exporting.export.give(who, actor="t")):
        with pytest.raises(NotFound):
            ask(owner)
    assert list(exporting.exports_store.store.keys()) == [key]  # nobody was there to delete it yet
    exporting.expiry.run_once()
    assert deliver(exporting) == ["removed"]
    assert list(exporting.exports_store.store.keys()) == []
    exporting.clock.forward(days=1)
    exporting.expiry.run_once()
    assert row(exporting, kept.export_id) is None


def test_one_that_cannot_be_made_within_a_day_is_given_up(exporting, owner):
    asked = exporting.export.ask(owner, seal_to=None, actor="t")
    exporting.originals.off = {"get"}
    assert deliver(exporting) == ["later"]
    exporting.clock.forward(days=1, seconds=1)
    exporting.originals.off = set()
    exporting.expiry.run_once()
    assert row(exporting, asked.export_id).state == exports.DELETED
    exporting.reconciler.run_once()
    deliver(exporting)
    assert list(exporting.exports_store.store.keys()) == []
    with pytest.raises(NotFound):
        exporting.export.status(owner)


def test_an_erasure_removes_it_and_whose_it_was(exporting, owner):
    exported(exporting, owner)
    export_id = exporting.export.status(owner).export_id
    exporting.delete.profile(owner, actor="t")
    with pytest.raises(NotFound):
        exporting.export.give(owner, actor="t")
    deliver(exporting)
    assert list(exporting.exports_store.store.keys()) == []
    assert row(exporting, export_id).profile_id == ""
    with exporting.catalogue.reading() as tx:
        assert not [line for line in tx.connection.execute(select(exports_table)).all() if owner in line]
    assert not [detail for _, detail in events(exporting) if owner in detail]


@pytest.mark.parametrize("how", ["image", "hold"])
def test_with_a_picture_that_may_be_given_to_nobody_it_goes_at_once(exporting, owner, how):
    exported(exporting, owner)
    with exporting.catalogue.reading() as tx:
        newest, _ = tx.images.of_profile(owner)
    if how == "image":
        exporting.delete.image(newest.image_id, actor="t")
    else:
        exporting.holds.place(image_id=newest.image_id, kind="legal", reference="case", until=None, actor="t")
    with pytest.raises(NotFound):
        exporting.export.give(owner, actor="t")
    assert deliver(exporting) == ["removed"]
    assert list(exporting.exports_store.store.keys()) == []


def between(exporting, owner, act):
    """Have something happen after an export's object is put and before it is said to be ready."""
    put = exporting.exports_store.store.replace

    def replaced(*given, **more):
        put(*given, **more)
        exporting.exports_store.store.__dict__.pop("replace")
        act()

    exporting.exports_store.store.replace = replaced
    exporting.export.ask(owner, seal_to=None, actor="t")


def test_one_of_a_profile_that_is_deleted_while_it_is_made_is_never_given(exporting, owner):
    between(exporting, owner, lambda: exporting.delete.profile(owner, actor="t"))
    deliver(exporting)
    assert list(exporting.exports_store.store.keys()) == []
    with pytest.raises(NotFound):
        exporting.export.give(owner, actor="t")


def test_one_with_a_picture_that_is_held_while_it_is_made_is_made_again_without(exporting, owner):
    with exporting.catalogue.reading() as tx:
        newest, _ = tx.images.of_profile(owner)
    hold = {"image_id": newest.image_id, "kind": "legal", "reference": "case", "until": None, "actor": "t"}
    between(exporting, owner, lambda: exporting.holds.place(**hold))
    assert deliver(exporting) == ["later"]
    with pytest.raises(NotFound):
        exporting.export.give(owner, actor="t")
    exporting.clock.forward(minutes=10)
    exporting.reconciler.run_once()
    assert deliver(exporting) == ["ready"]
    files = files_of(exporting.export.give(owner, actor="t").data)
    assert [entry["state"] for entry in content_of(files)["pictures"]] == ["not_available", "replaced"]


def test_a_worker_that_dies_after_the_put_leaves_nothing_behind(exporting, owner):
    class Died(BaseException):
        pass

    def die():
        raise Died

    between(exporting, owner, die)
    with pytest.raises(Died):
        deliver(exporting)
    assert len(list(exporting.exports_store.store.keys())) == 1
    exporting.export.remove(owner, actor="t")
    deliver(exporting)
    assert list(exporting.exports_store.store.keys()) == []
    exporting.clock.forward(hours=1)
    exporting.reconciler.run_once()  # the job of the worker that died
    deliver(exporting)
    assert list(exporting.exports_store.store.keys()) == []


def test_it_is_sealed_to_a_key_and_nobody_else_opens_it(exporting, owner):
    identity, other = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    exporting.export.ask(owner, seal_to=str(identity.to_public()), actor="t")
    assert deliver(exporting) == ["ready"]
    given = exporting.export.give(owner, actor="t")
    data, sealed = given.data, given.sealed
    assert sealed
    assert data.startswith(b"age-encryption.org/v1")
    assert picture(2)[:64] not in data
    assert content_of(files_of(pyrage.decrypt(data, [identity])))["format"] == document.FORMAT
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(data, [other])
    for wrong in ("age1", "", str(identity), str(identity.to_public())[:-1] + "q"):
        with pytest.raises(InvalidInput):
            exporting.export.ask(owner, seal_to=wrong, actor="t")


def test_where_workers_seal_the_request_chooses_no_other_key(exporting, owner):
    desk, other = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    object.__setattr__(exporting.make, "limits", ExportSettings.model_construct(seal_to=str(desk.to_public())))
    exporting.export.ask(owner, seal_to=str(other.to_public()), actor="t")
    assert deliver(exporting) == ["failed"]
    assert exporting.export.status(owner).reason == "seal_key_not_allowed"
    exporting.export.ask(owner, seal_to=None, actor="t")
    assert deliver(exporting)[-1] == "ready"
    given = exporting.export.give(owner, actor="t")
    data, sealed = given.data, given.sealed
    assert sealed
    assert pyrage.decrypt(data, [desk])


def test_where_the_service_may_not_read_and_there_is_no_key_of_the_workers_it_fails(exporting, owner):
    object.__setattr__(exporting.make, "service_may_read", False)
    identity = pyrage.x25519.Identity.generate()
    for seal_to in (None, str(identity.to_public())):  # a service that somebody has taken over names a key of theirs
        exporting.export.ask(owner, seal_to=seal_to, actor="t")
        assert deliver(exporting)[-1] == "failed"
        assert exporting.export.status(owner).reason == "seal_keys_not_set"
    assert list(exporting.exports_store.store.keys()) == []


def test_a_profile_has_so_many_in_a_day_and_all_together_so_many_in_an_hour(exporting, owner):
    first = exporting.export.ask(owner, seal_to=None, actor="t")
    assert exporting.export.ask(owner, seal_to=None, actor="t") == first  # asked for twice, made once
    for _ in range(2):
        assert deliver(exporting)[-1] == "ready"
        exporting.export.ask(owner, seal_to=None, actor="t")
    assert deliver(exporting)[-1] == "ready"
    assert len(list(exporting.exports_store.store.keys())) == 1
    with pytest.raises(TooManyRequests) as refused:
        exporting.export.ask(owner, seal_to=None, actor="t")
    assert 0 < refused.value.after_s <= 86_401
    exporting.clock.forward(days=1)
    object.__setattr__(exporting.make, "limits", ExportSettings.model_construct(per_hour=1))
    exporting.export.ask(owner, seal_to=None, actor="t")
    assert deliver(exporting)[-1] == "ready"
    exporting.export.ask(owner, seal_to=None, actor="t")
    assert deliver(exporting)[-1] == "later"
    exporting.clock.forward(hours=1)
    exporting.reconciler.run_once()
    assert deliver(exporting)[-1] == "ready"


def test_no_such_profile_and_no_such_export_are_alike(exporting, owner):
    for who in ("nobody", owner):
        for ask in (exporting.export.status, lambda name: exporting.export.give(name, actor="t"),
                    lambda name: exporting.export.remove(name, actor="t")):  # fmt: skip
            with pytest.raises(NotFound):
                ask(who)
    with pytest.raises(NotFound):
        exporting.export.ask("nobody", seal_to=None, actor="t")


def test_who_asked_and_who_was_given_it_is_in_the_audit_log_without_whose_it_was(exporting, owner):
    before = len(events(exporting))
    exported(exporting, owner)
    lines = events(exporting)[before:]
    assert [event for event, _ in lines] == ["export.asked", "export.made", "export.read"]
    assert not [detail for _, detail in lines if owner in detail]
