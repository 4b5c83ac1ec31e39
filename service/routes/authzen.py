"""``/access/v1/evaluation(s)``: the same decisions, for platforms that speak AuthZEN (OpenID Authorization API 1.0).

The subject is the viewer, the resource a profile, the action to view its picture. ``decision`` says whether there is a
picture to show; its context is what ``/v1/decisions`` answers, so that a placeholder comes with a refusal too.

::

    read        one body, in which each evaluation of a batch is checked by itself   (service.authzen_bodies)
    translate   each into a question for one profile, or into what is wrong with it
    decide      all questions of one viewer in one place at once                     (the decision engine)
    answer      in the order of the evaluations; what is wrong with one denies that one
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import wraps
from typing import TypeVar

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from nightlight.delivery.access_tokens import TokenScope
from nightlight.flows.decisions.decision_service import DecisionService
from nightlight_core.decisions.answers import SignedDecision
from nightlight_core.decisions.engine import DecisionRequest
from nightlight_core.decisions.relation_resolver import Claim
from nightlight_core.errors import InvalidInput
from service import problems
from service.answers import json_response, services
from service.auth import Handler, ScopedRoute, caller, requires
from service.authzen_bodies import (
    BAD_REQUEST,
    EVALUATION,
    LENIENT_BATCH,
    UNAVAILABLE,
    AuthZenEvaluation,
    Fault,
    read_batch,
)
from service.authzen_words import Asked, ForeignVocabulary, Question, Questions
from service.json_body import JSON, read_json
from service.openapi import body_schema, request_body
from service.routes.decisions import DecisionAnswer, representation

router = APIRouter(prefix="/access/v1", tags=["authzen"], route_class=ScopedRoute)

_Read = TypeVar("_Read")
# The places of the words that the engine refuses, in an evaluation.
_PLACES = {"/viewer": "/subject/properties/viewer", "/context": "/context/context"}
# After the first of these, an evaluation ends a batch.
_LAST = {"deny_on_first_deny": False, "permit_on_first_permit": True}
# Groups that are decided while others wait: one of 500 items takes 2 ms, and 8 of few no more.
_AT_ONCE = 8
# A relation provider is asked once for each viewer, and each time it may take as long as its timeout.
MOST_S = 10.0
_TOO_LATE = Fault(UNAVAILABLE, "the batch takes too long; ask for fewer subjects")
_YES, _NO = b'{"decision":true,"context":', b'{"decision":false,"context":'


class EvaluationError(BaseModel):
    """Why one evaluation could not be made."""

    status: int = Field(description="400, 404 or 503, as HTTP means them.")
    message: str
    pointer: str = Field(description="RFC 6901, into the body.")


class EvaluationContext(DecisionAnswer):
    """What to show."""


class EvaluationFault(BaseModel):
    """What is there instead if an evaluation could not be made."""

    error: EvaluationError


class EvaluationAnswer(BaseModel):
    """Whether there is a picture, and what to show."""

    decision: bool
    context: EvaluationContext | EvaluationFault


class EvaluationsAnswer(BaseModel):
    """One answer for each evaluation, in order."""

    evaluations: list[EvaluationAnswer]


def as_specified(endpoint: Handler) -> Handler:
    """Return an endpoint that answers 400 where others answer 422: the standard knows no other status for it."""

    @wraps(endpoint)
    async def answered(request: Request) -> Response:
        try:
            return await endpoint(request)
        except (RequestValidationError, InvalidInput) as error:
            return problems.bad_request(error)

    return answered


async def authzen_body(request: Request, read: Callable[[bytes | str], _Read]) -> _Read:
    """Return what ``read`` makes of the request's body; raises as ``json_body`` does, for other kinds of JSON too."""
    return await read_json(request, read, _is_plain_json)


def _is_plain_json(content_type: str) -> bool:
    return content_type == JSON or content_type.partition(";")[0].strip().lower() == JSON


@router.post(
    "/evaluation",
    response_model=EvaluationAnswer,
    openapi_extra=request_body(JSON, body_schema(EVALUATION, required=("subject", "action", "resource"))),
)
@requires(TokenScope.DECIDE)
@as_specified
async def evaluation(request: Request) -> Response:
    """Say whether a viewer may see a profile's picture, and which."""
    return await _single(request, await authzen_body(request, EVALUATION.validate_json))


@router.post(
    "/evaluations",
    response_model=EvaluationsAnswer | EvaluationAnswer,
    openapi_extra=request_body(JSON, body_schema(LENIENT_BATCH)),
)
@requires(TokenScope.DECIDE)
@as_specified
async def evaluations(request: Request) -> Response:
    """Say it for up to 500 profiles at once; without `evaluations` it is one evaluation, answered as one.

    An evaluation that does not fit, or that names an unknown type or action, is denied; its context has an `error`.
    """
    defaults, batch, semantic = await authzen_body(request, read_batch)
    if not batch:
        return await _single(request, defaults)
    questions = Questions(vocabulary(request), defaults, caller(request).subject)
    asked = [questions.question(evaluation_) for evaluation_ in batch]
    decided = await _decided_until(request, asked, last=_LAST.get(semantic))
    return json_response(b'{"evaluations":[' + b",".join(map(_encoded, decided, range(len(decided)))) + b"]}")


def vocabulary(request: Request) -> ForeignVocabulary:
    """Return the words that the settings give."""
    return ForeignVocabulary.from_settings(services(request).settings.authzen)


async def _single(request: Request, body: AuthZenEvaluation) -> Response:
    questions = Questions(vocabulary(request), body, caller(request).subject)
    (decided,) = await _decided(request, [questions.question({})])
    if isinstance(decided, Fault) and decided.status == BAD_REQUEST:
        raise InvalidInput(decided.message, pointer=decided.pointer)
    return json_response(_encoded(decided))


async def _decided_until(
    request: Request, questions: Sequence[Question | Fault], *, last: bool | None
) -> Sequence[SignedDecision | Fault]:
    """Return what is decided up to the first that says ``last``; everything where that is None.

    It is decided in parts of 1, 2, 4 ...: few more than are answered, since each takes of quotas.
    """
    if last is None:
        return await _decided(request, questions)
    answers: list[SignedDecision | Fault] = []
    count = 1
    while len(answers) < len(questions):
        part = questions[len(answers) : len(answers) + count]
        for decided in await _decided(request, part):
            answers.append(decided)
            if _permits(decided) is last:
                return answers
        count *= 2
    return answers


async def _decided(request: Request, questions: Sequence[Question | Fault]) -> Sequence[SignedDecision | Fault]:
    """Decide once for all questions of one viewer in one place; return in the questions' order.

    What is in memory is decided at once, unless it is of many viewers: others wait meanwhile. The rest is decided in
    the thread pool, all in one turn.
    """
    answers: dict[int, SignedDecision | Fault] = {}
    groups: dict[Asked, tuple[list[int], list[Claim]]] = {}
    before: Asked | None = None
    for number, question in enumerate(questions):
        if isinstance(question, Fault):
            answers[number] = question
            continue
        if question.asked is not before:
            before = question.asked
            numbers, claims = groups.setdefault(before, ([], []))
        numbers.append(number)
        claims.append(question.claim)
    asked = [
        DecisionRequest(viewer, context, claims, requester)
        for (viewer, context, requester), (_, claims) in groups.items()
    ]
    service = services(request).decisions
    cached = [service.try_cached(group) if len(asked) <= _AT_ONCE else None for group in asked]
    left = [group for group, decisions in zip(asked, cached, strict=True) if decisions is None]
    waited = iter(await run_in_threadpool(_waited_for, service, left) if left else ())
    for (numbers, _), decisions in zip(groups.values(), cached, strict=True):
        answers.update(zip(numbers, next(waited) if decisions is None else decisions, strict=True))
    return [answers[number] for number in range(len(questions))]


def _waited_for(service: DecisionService, asked: Sequence[DecisionRequest]) -> list[Sequence[SignedDecision | Fault]]:
    """Decide group by group, for ``MOST_S``; what is left then is denied."""
    decided: list[Sequence[SignedDecision | Fault]] = []
    until = time.monotonic() + MOST_S
    for group in asked:
        if time.monotonic() > until:
            decided.append([_TOO_LATE] * len(group.claims))
            continue
        try:
            decided.append(service.decide(group))
        except InvalidInput as error:  # a word that the policy does not know
            fault = Fault(BAD_REQUEST, error.detail, _PLACES.get(error.pointer or "", ""))
            decided.append([fault] * len(group.claims))
    return decided


def _permits(decided: SignedDecision | Fault) -> bool:
    return not isinstance(decided, Fault) and decided.shows_picture


def _encoded(decided: SignedDecision | Fault, number: int | None = None) -> bytes:
    """Return the answer to one evaluation; ``number`` is its place in a batch."""
    if isinstance(decided, Fault):
        place = decided.pointer if number is None else f"/evaluations/{number}{decided.pointer}"
        error = {"status": decided.status, "message": decided.message, "pointer": place}
        return orjson.dumps({"decision": False, "context": {"error": error}})
    return (_YES if decided.shows_picture else _NO) + (decided.representation or representation(decided)) + b"}"
