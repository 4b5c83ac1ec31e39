"""How a batch is decided: in memory, in one turn of the thread pool, in growing parts, and never for too long."""

import asyncio
from types import SimpleNamespace

import pytest

from nightlight_core.decisions.answers import SignedDecision
from nightlight_core.decisions.quotas import Requester
from nightlight_core.decisions.relation_resolver import Claim
from nightlight_core.errors import InvalidInput
from service.authzen_bodies import Fault
from service.authzen_words import Asked, Question
from service.routes import authzen

pytestmark = pytest.mark.integration


class Decisions:
    """Permits profiles whose id is even; notes what is asked, and knows in memory what it is told to."""

    def __init__(self, *, cached=True, seconds=0.0, clock=None):
        self.cached, self.seconds, self.clock = cached, seconds, clock
        self.decided, self.waited = [], 0

    def try_cached(self, request):
        return self._decisions(request) if self.cached else None

    def decide(self, request):
        self.waited += 1
        if self.clock is not None:
            self.clock[0] += self.seconds
        if request.viewer == "friend":
            raise InvalidInput("viewer must be one of peer", pointer="/viewer")
        return self._decisions(request)

    def _decisions(self, request):
        ids = [claim.profile_id for claim in request.claims]
        self.decided += ids
        return [SignedDecision(key, "/a/x", 1, "L", "forbid", shows_picture=int(key) % 2 == 0) for key in ids]


def questions(*profile_ids, viewers=("v",), word="peer"):
    return [
        Question(
            Asked(word, "list", Requester(viewers[number % len(viewers)], None, "t")),
            Claim(str(profile_id), "stranger"),
        )
        for number, profile_id in enumerate(profile_ids)
    ]


def run(decisions, asked, last=None):
    request = SimpleNamespace(app=SimpleNamespace(state=SimpleNamespace(services=SimpleNamespace(decisions=decisions))))
    return asyncio.run(authzen._decided_until(request, asked, last=last))


def ids(decided):
    return [int(item.profile_id) for item in decided]


def test_answers_come_in_the_order_of_the_questions_whoever_asks():
    asked = questions(*range(20), viewers=("a", "b", "c"))
    asked.insert(5, Fault(400, "no"))
    for cached in (True, False):
        decided = run(Decisions(cached=cached), asked)
        assert decided[5] == Fault(400, "no")
        assert ids(decided[:5] + decided[6:]) == list(range(20))


@pytest.mark.parametrize(
    ("last", "profile_ids", "answered", "decided"),
    [
        (False, [0, 2, 4, 1, 6, 8, 10], [0, 2, 4, 1], 7),
        (False, [1, 2], [1], 1),
        (False, [0, 2], [0, 2], 2),
        (True, [1, 3, 5, 2, 4, 6, 8, 10], [1, 3, 5, 2], 7),
        (True, [2] * 500, [2], 1),
        (None, [1, 2], [1, 2], 2),
    ],
)
def test_few_more_are_decided_than_are_answered(last, profile_ids, answered, decided):
    decisions = Decisions()
    assert ids(run(decisions, questions(*profile_ids), last)) == answered
    assert len(decisions.decided) == decided


def test_a_fault_ends_what_a_denial_ends():
    asked = [*questions(2), Fault(404, "no"), *questions(4)]
    assert len(run(Decisions(), asked, last=False)) == 2
    assert len(run(Decisions(), [Fault(404, "no"), *asked], last=True)) == 2


def test_many_viewers_are_decided_where_nobody_waits():
    decisions = Decisions()
    run(decisions, questions(*range(9), viewers=[f"v{number}" for number in range(9)]))
    assert decisions.waited == 9


def test_a_word_that_is_refused_denies_those_who_said_it_alone():
    decided = run(Decisions(cached=False), [*questions(2, word="friend"), *questions(4)])
    assert decided[0] == Fault(400, "viewer must be one of peer", "/subject/properties/viewer")
    assert decided[1].shows_picture


def test_what_is_left_after_ten_seconds_is_denied(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(authzen.time, "monotonic", lambda: clock[0])
    decisions = Decisions(cached=False, seconds=3.0, clock=clock)
    decided = authzen._waited_for(
        decisions, [SimpleNamespace(viewer="peer", claims=[Claim("2", "connection")] * 2) for _ in range(6)]
    )
    assert [isinstance(group[0], Fault) for group in decided] == [False] * 4 + [True] * 2
    assert [len(group) for group in decided] == [2] * 6
    assert {fault.status for group in decided[4:] for fault in group} == {503}
