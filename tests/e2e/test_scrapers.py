"""Scrapers over HTTP: answers that look like all others and hold nothing, and a report for the operator."""

import csv
import json
from dataclasses import asdict

import pytest

from nightlight.cli import key_commands
from nightlight_client import Problem
from tests.support import pictures
from tests.support.command import run_command
from tests.support.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

BANDS = ("under_13", "age_13_15", "age_16_17", "adult")


@pytest.fixture(scope="module")
def stack(quick_stack):
    return quick_stack


@pytest.fixture(scope="module")
def client(stack):
    with stack.client() as connected:
        yield connected


@pytest.fixture(scope="module")
def people(client):
    """More people than an unverified viewer may be shown at once, all with one picture each."""
    ids = [f"crowd-{number}" for number in range(26)]
    small = pictures.encoded(pictures.opened(pictures.photograph()).resize((120, 120)), "PNG")
    images = []
    for number, profile_id in enumerate(ids):
        client.declare(profile_id, band=BANDS[number % 4], assurance="verified", region="eu")
        images.append(client.upload(profile_id, small))
    assert {client.wait(image.image_id).state for image in images} == {"ready"}
    return ids


def nightlight(stack, *arguments, **variables):
    environment = {**stack.as_role("operator"), **variables, "COLUMNS": "200"}
    return run_command(["abuse-signals", *arguments], environment)


def reasons(stack):
    signals = json.loads(nightlight(stack, "report", "--json").stdout)
    return {(signal["kind"], signal["who"], signal["reason"]) for signal in signals}


def shown(client, ids, viewer_id, viewer="unverified"):
    """How many of these are given more than the placeholder, and the keys of every answer."""
    decisions = client.decide(viewer, "profile", [(profile_id, "stranger") for profile_id in ids], viewer_id=viewer_id)
    (nobody,) = client.decide(viewer, "profile", [("no-such-profile", "stranger")], viewer_id="nobody")
    named = [decision.url.split("?")[0] != nobody.url.split("?")[0] for decision in decisions]
    return named, {frozenset(asdict(decision)) for decision in decisions}


def test_over_its_quota_a_viewer_is_given_placeholders_in_answers_like_all_others(stack, client, people):
    named, shapes = shown(client, people, "scraper")
    assert named == [True] * 22 + [False] * 4  # of 30 an hour, three quarters at once
    assert len(shapes) == 1
    assert shown(client, people[:22], "scraper")[0] == [True] * 22  # given before: costs nothing
    assert shown(client, people[22:], "scraper")[0] == [False] * 4
    assert shown(client, people[:5], "somebody-else")[0] == [True] * 5
    eventually(lambda: ("viewer", "scraper", "over-quota") in reasons(stack))  # it is written behind the answer
    assert not any(who == "somebody-else" for _, who, _ in reasons(stack))


def test_who_asks_for_more_profiles_than_people_do_is_given_none(stack, client, people):
    for begin in range(0, 100, 50):
        shown(client, [f"guess-{number}" for number in range(begin, begin + 50)], "guesser")
    assert shown(client, people[:3], "guesser")[0] == [False] * 3
    eventually(lambda: ("viewer", "guesser", "many-profiles") in reasons(stack))


def test_who_asks_for_a_canary_is_reported_and_answered_as_ever(stack, client, tmp_path):
    token = key_commands.token(stack.folder, scopes=["ingest", "relate"], subject="safety", hours=1)
    ids = ["u-7731840", "u-7731999"]
    planted = nightlight(stack, "plant", *ids, "--url", stack.url, NIGHTLIGHT_TOKEN=token)
    assert planted.returncode == 0, planted.stderr
    named, _ = shown(client, ids, "walker", viewer="peer")
    assert named == [True, True]
    eventually(lambda: shown(client, ids, "walker", viewer="peer") and ("viewer", "walker", "canary") in reasons(stack))
    path = tmp_path / "suspects.csv"
    assert "walker" in nightlight(stack, "report", "--csv", path).stdout
    with path.open(newline="") as file:
        assert any(row["who"] == "walker" and row["reason"] == "canary" for row in csv.DictReader(file))
    assert "canary.seen" in stack.logs("service")


def test_a_network_is_reported_with_its_viewers(stack, client, people):
    import httpx

    token = key_commands.token(stack.folder, scopes=["decide"], subject="platform", hours=1)
    body = {
        "viewer": "unverified", "viewer_id": "bot", "network": "net-203-0-113",
        "items": [{"profile_id": profile_id} for profile_id in people],
    }  # fmt: skip
    answer = httpx.post(f"{stack.url}/v1/decisions", json=body, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200
    both = {("viewer", "bot", "over-quota"), ("network", "net-203-0-113", "over-quota")}
    eventually(lambda: both <= reasons(stack))


def test_planting_needs_its_scope_and_a_profile(stack, client):
    with pytest.raises(Problem) as nobody:
        client.plant("nobody-at-all")
    assert nobody.value.status == 404
    with stack.client("ingest", "decide") as other, pytest.raises(Problem) as refused:
        other.plant("nobody-at-all")
    assert refused.value.status == 403
    assert nightlight(stack, "report", "--hours", "0").returncode == 1
