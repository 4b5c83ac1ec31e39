"""A policy that closes on a date, over a running service and in a platform's own process: both by the clock alone."""

from datetime import datetime

import pytest

from nightlight.policy.bundle_writer import build_bundle
from nightlight_client import Problem, ServiceUnreachable
from nightlight_client.local_client import LocalClient, Terms
from tests.support import golden
from tests.support.waiting import HANG_S
from tests.unit.policy.conftest import Edited
from tests.unit.policy.test_dates import STRANGER, rule

pytestmark = pytest.mark.integration

DAY = "2027-01-16"
MIDNIGHT = int(datetime.fromisoformat(f"{DAY}T00:00:00+00:00").timestamp())


@pytest.fixture
def closing(tmp_path):
    return Edited(tmp_path / "p").add("rules.yaml", rule(from_=DAY)).compiled()


@pytest.fixture
def served(monkeypatch):
    assert 0 < MIDNIGHT - golden.NOW < 86_400
    with golden.served(monkeypatch) as (client, publisher, services):
        monkeypatch.setattr(client, "_budget_s", HANG_S)
        yield client, publisher, services


def asked(decides, context="list"):
    """The URLs that a stranger is given of two profiles: a minor's, and a public adult's."""
    items = [("teen", "stranger"), ("grown-public", "stranger")]
    return [decision.url for decision in decides.decide("peer", context, items, viewer_id=golden.VIEWER)]


def test_a_service_and_a_process_of_its_own_close_at_midnight(served, closing, monkeypatch):
    client, publisher, services = served
    client.activate(build_bundle(closing, 2, publisher))
    monkeypatch.setattr(golden, "NOW", MIDNIGHT - 1)
    terms = Terms(relation_keys=golden.RELATION_KEYS, poll_s=HANG_S, stale_s=2 * HANG_S)
    with LocalClient(client, publisher.public_keys, terms, clock=lambda: golden.NOW) as local:
        placeholder = asked(client, "search")[0]
        for decides in (client, local):
            teen, public = asked(decides)
            assert teen not in {placeholder, public}
        with monkeypatch.context() as patch:
            patch.setattr(golden, "NOW", MIDNIGHT)
            patch.setattr(client, "feed", away)
            assert not local.poll()
            for decides in (client, local):
                teen, public = asked(decides)
                assert (teen, public == teen) == (asked(decides, "search")[0], False)
            assert local._state.policy.table.decide(STRANGER).rule == "quiet-lists"
            (item,) = client.explain("peer", "list", [("teen", "stranger")])["items"]
            assert (item["tier"], item["rule"]) == ("none", "quiet-lists")
        assert services.policy.current().digest == closing.digest


def away(_cursor):
    raise ServiceUnreachable("timeout", "no answer within the budget")


def test_an_answer_that_is_kept_does_not_outlive_the_date(served, closing, monkeypatch):
    client, publisher, services = served
    client.activate(build_bundle(closing, 2, publisher))
    monkeypatch.setattr(golden, "NOW", MIDNIGHT - 1)
    before = asked(client)
    assert asked(client) == before
    (view,) = services.change_feed.views.find(["teen"])
    policy, kept = view.answers
    assert kept["peer", "list", "stranger", ()].until > MIDNIGHT
    monkeypatch.setattr(golden, "NOW", MIDNIGHT)
    assert asked(client)[0] != before[0]
    assert view.answers[0] is not policy


def test_the_service_explains_a_day(served, closing):
    client, publisher, _ = served
    client.activate(build_bundle(closing, 2, publisher))
    assert client.explain_policy(STRANGER)["most"]["tier"] == "tiny"
    assert client.explain_policy(STRANGER, DAY)["most"] == {
        "tier": "none",
        "cache_s": 0,
        "per_hour": 0,
        "capture": "forbid",
        "rule": "quiet-lists",
    }
    for wrong in ("2027-1-16", "2027-02-30", "x", "2027-01-16T00:00:00Z"):
        with pytest.raises(Problem) as refused:
            client.explain_policy(STRANGER, wrong)
        assert refused.value.status == 422
    assert client.policy_status()["active"]["dates"] == [DAY]
