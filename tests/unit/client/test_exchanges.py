"""How often a request is sent, and what comes of it: the steps of a call, without a network."""

import json

import pytest

from nightlight_client.errors import NotNightlight, Problem, ServiceUnreachable, StillPending
from nightlight_client.exchanges import Conduct, HttpAttempt, Pause
from nightlight_client.failures import Failures
from nightlight_client.requests import Request, Retry, decisions, images
from nightlight_client.responses import Response, read_json

BODY = {"viewer": "peer", "context": "list", "items": [{"profile_id": "p", "relation": "stranger"}]}
GOOD = Response(
    200, b'{"items": [{"profile_id": "p", "url": "u", "expires_at": 1, "blurhash": "b", "capture": "allow"}]}', {}
)
HTML = {"content-type": "text/html"}
LONG_S = 3600.0


@pytest.fixture
def failures():
    return Failures("https://nightlight.internal")


def take(steps, *answers):
    """Take steps as a client does, with these answers; returns what the call comes to, and its steps."""
    answers, taken = list(answers), []
    try:
        step = next(steps)
        while True:
            taken.append(step)
            answer = answers.pop(0) if isinstance(step, HttpAttempt) else None
            step = steps.throw(answer) if isinstance(answer, Exception) else steps.send(answer)
    except StopIteration as end:
        return end.value, taken


@pytest.mark.parametrize(
    "bad", [Response(503, b"", {}), Response(200, b"<html>", HTML), ServiceUnreachable("cut", "it broke")]
)
def test_decisions_are_asked_for_again_after_a_pause_with_what_is_left_of_the_budget(failures, bad):
    result, steps = take(Conduct(failures).exchange(decisions.decide(BODY), LONG_S), bad, bad, GOOD)
    assert [type(step) for step in steps] == [HttpAttempt, Pause, HttpAttempt, Pause, HttpAttempt]
    assert result[0].url == "u"
    assert LONG_S > steps[0].seconds > steps[-1].seconds > LONG_S - 60
    assert sum(failures.counts.values()) == 2


@pytest.mark.parametrize(
    ("more", "capture"), [({"capture": "allow"}, "allow"), ({"capture": "forbid"}, "forbid"), ({}, "forbid")]
)
def test_what_an_earlier_service_does_not_say_of_capture_is_forbidden(failures, more, capture):
    item = {"profile_id": "p", "url": "u", "expires_at": 1, "blurhash": "b", **more}
    answer = Response(200, json.dumps({"items": [item]}).encode(), {})
    result, _ = take(Conduct(failures).exchange(decisions.decide(BODY), LONG_S), answer)
    assert (result[0].url, result[0].capture) == ("u", capture)


def test_what_is_shown_without_an_answer_is_forbidden_as_the_services_placeholder_is(failures):
    result, _ = take(Conduct(failures).exchange(decisions.decide(BODY), 0.0), ServiceUnreachable("unreachable", "no"))
    assert (result[0].fallback, result[0].capture) == (True, "forbid")


def test_an_answer_that_is_too_long_is_counted_before_it_is_raised(failures):
    with pytest.raises(NotNightlight):
        take(Conduct(failures).exchange(decisions.decide(BODY), LONG_S), NotNightlight(200, "200 with too many bytes"))
    assert failures.counts == {"not_nightlight": 1}


def test_a_spent_budget_is_answered_with_the_fallback_or_with_an_error(failures):
    result, steps = take(
        Conduct(failures).exchange(decisions.decide(BODY), 0.0), ServiceUnreachable("unreachable", "no")
    )
    assert [type(step) for step in steps] == [HttpAttempt]
    assert (result[0].profile_id, result[0].fallback) == ("p", True)
    bare = Request(method="GET", path="/", read=read_json, retry=Retry.WITHIN_BUDGET)
    with pytest.raises(ServiceUnreachable):
        take(Conduct(failures).exchange(bare, 0.0), ServiceUnreachable("unreachable", "no"))


@pytest.mark.parametrize("retry", Retry)
def test_a_refusal_and_an_error_of_the_caller_are_raised_at_once(failures, retry):
    request = Request(method="GET", path="/", read=read_json, retry=retry)
    refused = Response(422, b'{"code": "invalid_input", "detail": "no"}', {})
    with pytest.raises(Problem):
        take(Conduct(failures).exchange(request, LONG_S), refused)
    with pytest.raises(KeyError):
        take(Conduct(failures).exchange(request, LONG_S), KeyError("the token's"))
    assert failures.counts == {}
    with pytest.raises(NotNightlight):
        take(Conduct(failures).exchange(request, LONG_S), Response(404, b"<html>", HTML))
    assert failures.counts == {"not_nightlight": 1}


@pytest.mark.parametrize(("retry", "seconds"), [(Retry.NEVER, None), (Retry.NEVER_WITHIN_BUDGET, 0.3)])
def test_what_is_sent_once_has_the_clients_timeouts_or_the_budget(failures, retry, seconds):
    request = Request(method="GET", path="/", read=read_json, retry=retry)
    result, steps = take(Conduct(failures).exchange(request, 0.3), Response(200, b"{}", {}))
    assert (result, [step.seconds for step in steps]) == ({}, [seconds])
    with pytest.raises(ServiceUnreachable):
        take(Conduct(failures).exchange(request, 0.3), ServiceUnreachable("cut", "it broke"))
    assert failures.counts == {"cut": 1}


def test_an_image_is_asked_for_until_it_is_pending_no_longer(failures):
    answers = [
        Response(
            200, json.dumps({"image_id": "0" * 32, "profile_id": "p", "state": state, "reason": None}).encode(), {}
        )
        for state in ("pending", "pending", "ready")
    ]
    request = images.image("0" * 32)
    result, steps = take(Conduct(failures).until_final(request, "image", LONG_S, "wait"), *answers)
    assert result.state == "ready"
    assert [type(step) for step in steps] == [HttpAttempt, Pause, HttpAttempt, Pause, HttpAttempt]
    with pytest.raises(StillPending):
        take(Conduct(failures).until_final(request, "image", -1.0, "wait"), *answers)


@pytest.mark.parametrize(
    "body",
    [[], None, "text", {}, {"image_id": 1, "profile_id": "p", "state": "ready", "reason": None},
     {"image_id": "i", "profile_id": "p", "state": None, "reason": None},
     {"image_id": "i", "profile_id": "p", "state": "ready"}],
)  # fmt: skip
def test_an_answer_of_another_shape_is_none_of_the_services(failures, body):
    answer = Response(200, json.dumps(body).encode(), {"content-type": "application/json"})
    with pytest.raises(NotNightlight):
        take(Conduct(failures).exchange(images.image("0" * 32), LONG_S), answer)
    assert failures.counts == {"not_nightlight": 1}


def test_what_a_newer_service_says_besides_is_left_out(failures):
    body = {"image_id": "i", "profile_id": "p", "state": "ready", "reason": "r", "more": 1}
    result, _ = take(
        Conduct(failures).exchange(images.image("0" * 32), LONG_S), Response(200, json.dumps(body).encode(), {})
    )
    assert (result.image_id, result.profile_id, result.state, result.reason) == ("i", "p", "ready", "r")
