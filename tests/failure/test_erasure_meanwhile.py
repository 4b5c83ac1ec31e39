"""Erasures of profiles on a whole Nightlight while something else goes on with their pictures: renders and holds.

Each time nothing is shown from that moment, no object stays that may go, no row stays, the receipts say what had to
stay and until when, and their chain is whole.
"""

import contextlib

import pytest

from nightlight.retention.erasure_receipt import chain_faults, open_receipt
from nightlight_core.policy.public_keys import PublicKeys
from tests.e2e.test_holds import call, command
from tests.support import paused, pictures
from tests.support.buckets import infra_buckets
from tests.support.command import run_command
from tests.support.objects import all_keys
from tests.support.services import S3_KEEPER, identity, token
from tests.support.stacks import STACKS
from tests.support.waiting import eventually

pytestmark = [pytest.mark.failure, pytest.mark.integration]
ROWS = "rows of the catalogue"


@pytest.fixture(scope="module", params=sorted(STACKS))
def stack(request, tmp_path_factory):
    settings = {"NIGHTLIGHT_RETENTION_PROVE_AGAIN_S": "1"}
    with STACKS[request.param](tmp_path_factory.mktemp(request.param), paused=True, **settings) as started:
        yield started


@pytest.fixture
def client(stack):
    with stack.client() as connected:
        yield connected


def declared(client):
    who = f"meanwhile-{token()}"
    client.declare(who, band="age_13_15", assurance="verified", region="eu")
    return who


def keys_of(stack, image_id):
    """Every key that any attempt at the image writes or has written."""
    with stack.catalogue.reading() as tx:
        return {tx.images.get(image_id).original_key, *tx.jobs.planned_keys(image_id)}


def shown(client, who):
    return client.decide("peer", "profile", [(who, "self")])[0].url.split("?")[0]


def receipts(stack, image_id):
    public = PublicKeys.read(stack.folder / "keys" / "receipts.jwks.json")
    with stack.catalogue.reading() as tx:
        assert chain_faults([open_receipt(envelope, public) for _, envelope in tx.receipts.after(0, limit=1000)]) == []
        return [open_receipt(envelope, public) for envelope in tx.receipts.of_image(image_id)]


def stays(receipt):
    return {entry["what"]: entry["until"] for entry in receipt.residuals}


def no_rows(stack, who, image_id):
    with stack.catalogue.reading() as tx:
        return tx.profiles.get(who) is None and tx.images.get(image_id) is None


def is_rendered(stack, image_id):
    """Say whether a render of an image is to end yet."""
    with stack.catalogue.reading() as tx:
        return tx.jobs.is_open(image_id, "render")


def in_vault(stack):
    if stack.name == "embedded":
        return {path.name for path in (stack.folder / "objects/vault").rglob("*") if path.is_file()}
    keeper = infra_buckets.client(stack.buckets.endpoint, *identity(S3_KEEPER))
    return {entry["Key"] for entry in keeper.list_objects_v2(Bucket=stack.buckets.vault).get("Contents", [])}


def assert_gone(stack, client, who, image_id, keys):
    """Nothing is left of an image and its profile, and the last receipt says so."""
    eventually(lambda: no_rows(stack, who, image_id))
    assert shown(client, who) == shown(client, "nobody-at-all")
    assert keys & set(all_keys(stack)) == set()
    issued = receipts(stack, image_id)
    assert (issued[0].kind, issued[-1].payload["rows_removed"]) == ("erased", True)
    assert not any(entry["left"] for receipt in issued for entry in receipt.payload["objects"])
    assert "hold" not in stays(issued[-1])
    return issued


def test_during_a_render_and_who_is_erased_cannot_be_held_any_more(stack, client):
    who = declared(client)
    image_id = paused.pause(stack, client, who).image_id
    keys = keys_of(stack, image_id)
    client.delete_profile(who)
    assert shown(client, who) == shown(client, "nobody-at-all")
    asked = {"profile_id": who, "kind": "legal", "reference": "too late"}
    assert call(stack, "POST", "", json=asked).status_code == 404
    eventually(lambda: receipts(stack, image_id))
    assert not no_rows(stack, who, image_id)  # a worker has the picture: what it writes yet must be found
    with paused.releasing(stack):  # what could not be written at once is rendered again, and pauses again
        issued = assert_gone(stack, client, who, image_id, keys)
    assert ROWS in stays(issued[0])
    assert ROWS not in stays(issued[-1])


def test_during_a_render_again_that_somebody_asked_for(stack, client):
    who = declared(client)
    image_id = client.upload(who, paused.picture()).image_id
    with paused.releasing(stack):
        assert client.wait(image_id).state == "ready"
    before = keys_of(stack, image_id)
    asked = run_command(["rerender", "--profile", who], stack.as_role("operator"))
    assert asked.returncode == 0, asked.stderr
    eventually(lambda: paused.decoders(stack))
    keys = keys_of(stack, image_id)
    assert keys > before  # the names that the new renditions get
    client.delete_profile(who)
    assert shown(client, who) == shown(client, "nobody-at-all")
    eventually(lambda: receipts(stack, image_id))
    with paused.releasing(stack):
        assert_gone(stack, client, who, image_id, keys)


@pytest.mark.parametrize("rendered", [True, False], ids=["of-a-picture", "of-one-that-is-being-rendered"])
def test_under_a_hold_that_stays_until_it_is_ended(stack, client, rendered):
    """The vault keeps what the hold covers, with its rows; all else goes. Two approvers end it, and then all is gone."""
    who, vault = declared(client), in_vault(stack)
    if rendered:
        image_id = client.upload(who, pictures.jpeg(seed=81)).image_id
        assert client.wait(image_id).state == "ready"
    else:
        image_id = paused.pause(stack, client, who).image_id
    keys = keys_of(stack, image_id)
    hold = call(stack, "POST", "", json={"profile_id": who, "kind": "legal", "reference": "case 12"}).json()["hold_id"]
    client.delete_profile(who)
    assert shown(client, who) == shown(client, "nobody-at-all")
    with paused.releasing(stack) if not rendered else contextlib.nullcontext():
        eventually(lambda: call(stack, "GET", f"/{hold}").json()["state"] == "placed")
        eventually(lambda: receipts(stack, image_id))
        eventually(lambda: keys & set(all_keys(stack)) == set())
        eventually(lambda: not is_rendered(stack, image_id))
    kept = in_vault(stack) - vault
    assert len(kept) >= (4 if rendered else 1)
    first = receipts(stack, image_id)[0]
    assert (first.payload["rows_removed"], stays(first)["hold"]) == (False, "it is ended")
    assert stays(first)[ROWS] == "the hold is ended"
    assert not no_rows(stack, who, image_id)
    for approver in ("judge", "counsel"):
        assert call(stack, "POST", f"/{hold}/approvals", who=approver).status_code == 201
    ended = command(stack, "end", "--json")
    assert ended.returncode == 0, ended.stderr
    issued = assert_gone(stack, client, who, image_id, keys)
    assert "hold ended" in {receipt.kind for receipt in issued}
    assert in_vault(stack) & kept == set()
