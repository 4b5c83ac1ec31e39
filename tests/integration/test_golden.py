"""The service and a process that decides by itself answer the golden table alike, URL by URL."""

import json
from dataclasses import replace

import pytest

from nightlight_client import NightlightClient, Problem
from nightlight_client import local_client as local_module
from nightlight_client.local_client import LocalClient, Terms
from nightlight_client.requests import placeholder_url
from tests.support import golden

pytestmark = pytest.mark.integration

TABLE = json.loads(golden.PATH.read_text("utf-8"))
# Where in the first case a profile that is not there is asked for.
PLACEHOLDER = len(golden.CLAIMED) * len(golden.PEOPLE)


@pytest.fixture(scope="module")
def over_http():
    with pytest.MonkeyPatch.context() as patch, golden.served(patch) as (client, publisher, services):
        yield client, publisher, services


def local(over_http, **terms):
    client, publisher, _ = over_http
    agreed = Terms(**{"relation_keys": golden.RELATION_KEYS, "poll_s": 0.05, "stale_s": 60.0, **terms})
    return LocalClient(client, publisher.public_keys, agreed, clock=lambda: golden.NOW)


def asked(decides, case):
    items = [(item["profile_id"], item["relation"], item.get("proof"), item.get("at_most")) for item in case["items"]]
    return decides.decide(
        case["viewer"], case["context"], items, viewer_id=case["viewer_id"], at_most=case.get("at_most")
    )


def short(decisions):
    return [[decision.url.removeprefix(golden.ORIGIN), decision.expires_at, decision.capture] for decision in decisions]


def test_the_table_is_what_the_service_answers(over_http):
    client, _, _ = over_http
    assert golden.written(golden.decision_table(client)) == golden.PATH.read_text("utf-8")


def test_it_answers_the_same_with_nothing_in_memory():
    with (
        pytest.MonkeyPatch.context() as patch,
        golden.served(patch, NIGHTLIGHT_DELIVERY_VIEWS="0") as (client, _, services),
    ):
        assert golden.decision_table(client)["cases"] == TABLE["cases"]
        assert len(services.change_feed.views) == 0


def test_a_process_that_decides_by_itself_answers_the_same(over_http):
    with local(over_http) as decides:
        for _ in range(2):  # first fetched, then from memory
            assert [short(asked(decides, case)) for case in TABLE["cases"]] == [
                case["answers"] for case in TABLE["cases"]
            ]
        assert decides.problem is None


def test_a_process_that_keeps_the_graph_needs_no_proofs_and_is_believed_nothing_else(over_http):
    def bare(case):
        return [(item["profile_id"], item["relation"]) for item in case["items"]]

    (peers, *_) = TABLE["cases"]
    proved = len(golden.CLAIMED) * (len(golden.PEOPLE) + 1)  # what comes after is badly proved
    with local(over_http, vouches=True) as decides:
        decisions = decides.decide("peer", "profile", bare(peers), viewer_id=golden.VIEWER)
        # Its own graph says what is so now; what a proof of before said is not asked.
        unproved = [
            number for number in range(proved) if not peers["items"][number]["profile_id"].startswith("revoked")
        ]
        assert [short(decisions)[number] for number in unproved] == [peers["answers"][number] for number in unproved]
        assert len({decision.url for decision in decisions[proved:]}) == 1
        assert decisions[proved].url == decisions[golden.CLAIMED.index("connection")].url
        nobody = decides.decide("peer", "profile", bare(peers))
        assert nobody[1].url == nobody[0].url != decisions[1].url
        forged = [(item["profile_id"], item["relation"], item.get("proof")) for item in peers["items"][proved + 1 :]]
        assert {decision.url for decision in decides.decide("peer", "profile", forged, viewer_id=golden.VIEWER)} == {
            decisions[0].url
        }


def test_what_was_decided_is_told_in_parts_that_the_service_takes(over_http, monkeypatch):
    reports, report = [], NightlightClient.report

    def noted(client, counts, signals):
        reports.append(dict(counts))
        report(client, counts, signals)

    monkeypatch.setattr(local_module, "_MOST_CELLS", 3)
    monkeypatch.setattr(NightlightClient, "report", noted)
    with local(over_http) as decides:
        asked(decides, TABLE["cases"][0])
        counted = decides._tallies._counts.total()
    assert counted > 50
    assert sum(sum(part.values()) for part in reports) == counted
    assert len(reports) > 3
    assert max(map(len, reports)) == 3


def test_with_a_stale_feed_nobody_is_more_than_a_stranger(over_http):
    with local(over_http) as decides:
        for case in TABLE["cases"]:
            asked(decides, case)  # they are known, and then no look at the feed succeeds for long
        decides._terms = replace(decides._terms, stale_s=0.0)
        for case in (case for case in TABLE["cases"] if not any("at_most" in item for item in case["items"])):
            for_strangers = {
                item["profile_id"]: answer
                for item, answer in zip(case["items"], case["answers"], strict=True)
                if item["relation"] == "stranger"
            }
            answers = short(asked(decides, case))
            for item, answer, was in zip(case["items"], answers, case["answers"], strict=True):
                if item["relation"] == "blocked":
                    assert answer == was
                elif item["profile_id"] in for_strangers:
                    assert answer == for_strangers[item["profile_id"]]


def test_with_a_stale_feed_who_was_never_asked_for_is_not_asked_for_now(over_http, monkeypatch):
    with local(over_http, stale_s=0.0) as decides:
        monkeypatch.setattr(NightlightClient, "views", lambda *_args: pytest.fail("the service was asked"))
        for case in TABLE["cases"]:
            assert {url for url, *_ in short(asked(decides, case))} == {TABLE["cases"][0]["answers"][PLACEHOLDER][0]}


def test_with_a_feed_that_was_lost_everybody_sees_the_placeholder(over_http):
    with local(over_http, stale_s=0.0, outsider_s=0.0) as decides:
        for case in TABLE["cases"]:
            assert {(decision.url, decision.fallback) for decision in asked(decides, case)} == {
                (placeholder_url(), True)
            }


def test_the_table_tells_its_profiles_apart():
    """Every profile that should matter does: no two kinds of answers could be mixed up unnoticed."""
    (peers, *_) = TABLE["cases"]
    answers = {}
    for item, (url, *_) in zip(peers["items"], peers["answers"], strict=True):
        answers.setdefault(item["profile_id"], []).append(url.split("?")[0])
    placeholder = TABLE["keys"]["placeholder"]
    nothing = {profile_id for profile_id, urls in answers.items() if set(urls) == {placeholder}}
    assert nothing == {
        "no-picture", "being-renamed", "blocks-the-viewer", "larger-than-allowed", "word-since-gone",
        "deleted", "deactivated", "nobody-at-all",
    }  # fmt: skip
    connection = golden.CLAIMED.index("connection")
    tier = {profile_id: urls[connection][4] for profile_id, urls in answers.items() if profile_id not in nothing}
    assert tier["teen"] == tier["grown-since"] == "c"
    assert tier["grown-since-released"] == tier["grown"]
    assert answers["two-variants"][connection][5] in "ab"


@pytest.mark.parametrize(("viewer", "context"), [("nobody", "profile"), ("peer", "nowhere")])
def test_words_that_the_policy_does_not_know_are_refused(over_http, viewer, context):
    with local(over_http) as decides, pytest.raises(Problem):
        decides.decide(viewer, context, [("teen", "stranger")])
    with local(over_http) as decides, pytest.raises(Problem):
        decides.decide("peer", "profile", [("teen", "stranger")] * 501)
    with local(over_http) as decides:
        assert decides.decide("peer", "profile", []) == []
