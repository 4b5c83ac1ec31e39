"""Who reads the feed also reads what has changed: a decision about it finds everything in memory, as any other does."""

import pytest

from nightlight_client import ServiceUnreachable
from nightlight_client.local_client import LocalClient, Terms
from nightlight_core.decisions.relation_proofs import issue_proof
from tests.support import golden
from tests.support.waiting import HANG_S

pytestmark = pytest.mark.integration
# Each test changes a profile of its own, and a profile that nobody has asked for yet.
OTHER, NEW = "hidden", "californian"


@pytest.fixture(scope="module")
def over_http():
    with pytest.MonkeyPatch.context() as patch, golden.served(patch, "report") as (client, publisher, services):
        patch.setattr(client, "_budget_s", HANG_S)
        yield client, publisher, services


@pytest.fixture
def local(over_http):
    client, publisher, _ = over_http
    terms = Terms(relation_keys=golden.RELATION_KEYS, poll_s=HANG_S, stale_s=2 * HANG_S)
    with LocalClient(client, publisher.public_keys, terms, clock=lambda: golden.NOW) as local_client:
        yield local_client


def asked(decides, profile_id):
    """The URL that a connection is given."""
    proof = issue_proof(golden.RELATION_KEYS, golden.VIEWER, profile_id, "connection", now=golden.NOW, life_s=600)
    (decision,) = decides.decide("peer", "profile", [(profile_id, "connection", proof)], viewer_id=golden.VIEWER)
    return decision.url


def answers(view):
    """The URLs that are kept with a view, by what was asked."""
    return {key: [decision.url for decision in answer.decisions] for key, answer in view.answers[1].items()}


def test_a_service_has_what_has_changed_in_memory_and_answered(over_http):
    client, _, services = over_http
    picture, _ = asked(client, "teen"), asked(client, OTHER)
    before, other = services.change_feed.views.find(["teen", OTHER])
    key = "peer", "profile", "connection", ()
    assert answers(before)[key] == [picture]
    client.block("teen", golden.VIEWER)
    client.set_report_flag("teen", "reported")
    client.block(NEW, golden.VIEWER)
    services.change_feed.poll()
    after, same, new = services.change_feed.views.find(["teen", OTHER, NEW])
    assert (after.report_flag, after.blocked, after.read_at) == ("reported", {golden.VIEWER}, before.read_at)
    assert answers(after).keys() == answers(before).keys()
    (given,) = answers(after)[key]
    assert given != picture  # the placeholder, while there is a report
    assert same is other
    assert new is None  # nobody has asked for it: nobody waits for less than before


def test_so_has_a_process_that_decides_by_itself(over_http, local):
    client, _, _ = over_http
    picture = asked(local, "child")
    client.block("child", golden.VIEWER)
    client.set_report_flag("child", "reported")
    assert local.poll()
    (view,) = local._state.views.find(["child"])
    assert (view.report_flag, view.blocked) == ("reported", {golden.VIEWER})
    (given,) = answers(view)["peer", "profile", "connection", ()]
    assert given != picture
    assert asked(local, "child") == given


def test_a_process_that_cannot_read_again_forgets(over_http, local, monkeypatch):
    client, _, _ = over_http
    assert asked(local, "older-teen")
    client.block("older-teen", golden.VIEWER)

    def late(_profile_ids):
        raise ServiceUnreachable("timeout", "no answer within the budget")

    with monkeypatch.context() as patch:
        patch.setattr(client, "views", late)
        assert local.poll()
        assert local.problem is not None
    assert local._state.views.find(["older-teen"]) == [None]


def test_what_is_read_for_others_decisions_is_not_kept_for_those_made_here(over_http):
    client, _, services = over_http
    client.views(["grown-public"])
    assert services.change_feed.views.find(["grown-public"]) == [None]
