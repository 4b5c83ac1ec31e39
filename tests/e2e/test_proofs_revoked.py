"""Relation proofs that were issued before a revocation, over HTTP and in a process that decides by itself."""

import time

import pytest

from nightlight.cli import key_commands
from nightlight.policy.bundle_writer import build_bundle
from nightlight.policy.compile import compile_folder
from nightlight.policy.signing import SigningKey
from nightlight_client.local_client import LocalClient, Terms
from nightlight_core.decisions.relation_proofs import issue_proof
from nightlight_core.policy.public_keys import PublicKeys
from tests.support import pictures
from tests.support.stacks import ROOT
from tests.support.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

LEEWAY_S = 1  # what the stack has
REVOKED = "the proof was issued before it was revoked"


@pytest.fixture(scope="module")
def stack(embedded_stack):
    return embedded_stack


@pytest.fixture(scope="module")
def client(stack):
    with stack.client() as connected:
        publisher = SigningKey.read(stack.folder / "keys/publisher.private.jwk.json")
        connected.activate(build_bundle(compile_folder(ROOT / "policies"), 1, publisher))
        yield connected


@pytest.fixture(scope="module")
def local(stack, client):
    publisher = PublicKeys.read(stack.folder / "keys/publisher.jwks.json")
    terms = Terms(relation_keys=key_commands.relation_keys(stack.folder), poll_s=0.1, leeway_s=LEEWAY_S)
    with LocalClient(client, publisher, terms) as local_client:
        yield local_client


@pytest.fixture
def profile(client, request):
    name = f"p-{abs(hash(request.node.name)) % 10**10}"
    client.declare(name, band="age_16_17", assurance="verified", region="eu")
    assert client.wait(client.upload(name, pictures.jpeg(400, 400)).image_id).state == "ready"
    return name


def proof(stack, viewer, profile, *, at=0, relation="connection", life_s=600):
    return issue_proof(
        key_commands.relation_keys(stack.folder), viewer, profile, relation, now=int(time.time()) + at, life_s=life_s
    )


def why(client, viewer, profile, relation_proof, relation="connection"):
    (explanation,) = client.explain("peer", "profile", [(profile, relation, relation_proof)], viewer_id=viewer)["items"]
    return explanation["inputs"]["relation"], explanation["relation_because"]


def url(client, viewer, profile, relation_proof, relation="connection"):
    (decision,) = client.decide("peer", "profile", [(profile, relation, relation_proof)], viewer_id=viewer)
    return decision.url.split("?")[0]


CHANGES = {
    "a revocation": lambda client, profile, _viewer: client.revoke(profile),
    "a block and its end": lambda client, profile, viewer: (
        client.block(profile, viewer),
        client.unblock(profile, viewer),
    ),
}


@pytest.mark.parametrize("relation", ["connection", "guardian", "self", "mutual"])
@pytest.mark.parametrize("change", CHANGES)
def test_what_was_proved_before_counts_for_nothing(stack, client, local, profile, change, relation):
    """Also what says that it was issued in the same second, or a little later than the clock says."""
    proofs = [proof(stack, "v", profile, at=at, relation=relation) for at in (-300, -1, 0, LEEWAY_S)]
    assert why(client, "v", profile, proofs[1], relation) == (relation, "proof")
    CHANGES[change](client, profile, "v")
    for relation_proof in proofs:
        assert why(client, "v", profile, relation_proof, relation)[0] == "stranger"
    for asked in (client, local):  # everybody's is the placeholder until the picture has its new names
        eventually(
            lambda asked=asked: (
                {url(asked, "v", profile, relation_proof, relation) for relation_proof in proofs}
                == {url(client, "v", profile, None, "stranger")}
                or None
            )
        )
    # A new one counts as soon as no clock could have made it before.
    eventually(
        lambda: (
            why(client, "v", profile, proof(stack, "v", profile, relation=relation), relation) == (relation, "proof")
            or None
        )
    )
    for relation_proof in proofs:
        assert why(client, "v", profile, relation_proof, relation) == ("stranger", REVOKED)


def test_a_block_of_one_viewer_takes_nothing_from_another(stack, client, local, profile):
    friend, other = (proof(stack, who, profile, at=-5) for who in ("friend", "other"))
    client.block(profile, "other")
    assert why(client, "friend", profile, friend) == ("connection", "proof")
    assert why(client, "other", profile, other) == ("blocked", "block")
    client.unblock(profile, "other")
    assert why(client, "other", profile, other)[1] in {REVOKED, "no proof"}
    assert why(client, "friend", profile, friend) == ("connection", "proof")


def test_a_proof_that_is_issued_ahead_of_its_time_is_none(stack, client, profile):
    for at in (LEEWAY_S + 2, 60, 3000):
        assert why(client, "v", profile, proof(stack, "v", profile, at=at, life_s=3600))[0] == "stranger"


def test_a_profile_that_comes_back_after_its_deletion_starts_again(stack, client, profile):
    relation_proof = proof(stack, "v", profile)
    client.delete_profile(profile)
    client.declare(profile, band="age_16_17", assurance="verified", region="eu")
    assert why(client, "v", profile, relation_proof) == ("stranger", REVOKED)
