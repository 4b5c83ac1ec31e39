"""``/access/v1``: the same decisions, for platforms that speak AuthZEN (OpenID Authorization API 1.0).

The subject is the viewer, the resource a profile, the action ``view``. ``decision`` says whether there is a picture to
show; its context is what ``/v1/decisions`` answers, so that a placeholder comes with a refusal too.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from nightlight.delivery.access_tokens import TokenScope
from nightlight_core.decisions.answers import SignedDecision
from nightlight_core.decisions.engine import MAX_ITEMS, DecisionRequest
from nightlight_core.decisions.quotas import Requester
from nightlight_core.decisions.relation_proofs import MAX_PROOF
from nightlight_core.decisions.relation_resolver import Claim
from nightlight_core.errors import InvalidInput
from service.answers import Word, services
from service.auth import ScopedRoute, caller, requires
from service.profile_ids import AskedId, ProfileIdText

router = APIRouter(prefix="/access/v1", tags=["authzen"], route_class=ScopedRoute)

VIEW = "view"


class SubjectProperties(BaseModel):
    """What is assured of the viewer, and where they come from."""

    viewer: Word = "signed_out"
    network: ProfileIdText | None = None


class AuthZenSubject(BaseModel):
    """The viewer; ``id`` is the platform's own."""

    type: Word
    id: ProfileIdText
    properties: SubjectProperties = SubjectProperties()


class ResourceProperties(BaseModel):
    """What the viewer is to the profile, and the proof of it."""

    relation: Word = "stranger"
    proof: Annotated[str, Field(min_length=1, max_length=MAX_PROOF)] | None = None


class Resource(BaseModel):
    """A profile."""

    type: Word
    id: AskedId
    properties: ResourceProperties = ResourceProperties()


class AuthZenAction(BaseModel):
    """What is to be done: ``view`` is all there is."""

    name: Word


class Surroundings(BaseModel):
    """Where the picture is shown: a word of the policy's vocabulary."""

    context: Word = "profile"


class AuthZenEvaluation(BaseModel):
    """One question; what it leaves out is as the request's own."""

    subject: AuthZenSubject | None = None
    action: AuthZenAction | None = None
    resource: Resource | None = None
    context: Surroundings | None = None


class Semantic(StrEnum):
    """Whether all questions are answered, or no more after the first refusal, or the first consent."""

    ALL = "execute_all"
    UNTIL_DENIED = "deny_on_first_deny"
    UNTIL_PERMITTED = "permit_on_first_permit"


class Options(BaseModel):
    """How a batch is answered."""

    evaluations_semantic: Semantic = Semantic.ALL


class EvaluationsBody(AuthZenEvaluation):
    """Several questions, or one."""

    evaluations: list[AuthZenEvaluation] = Field(default=[], max_length=MAX_ITEMS)
    options: Options = Options()


class EvaluationAnswer(BaseModel):
    """Whether there is a picture, and what to show: ``url``, ``expires_at``, ``blurhash`` and ``capture``."""

    decision: bool
    context: dict[str, Any]


class EvaluationsAnswer(BaseModel):
    """One answer for each question, in order."""

    evaluations: list[EvaluationAnswer]


@router.post("/evaluation")
@requires(TokenScope.DECIDE)
def evaluation(request: Request, body: AuthZenEvaluation) -> EvaluationAnswer:
    """Say whether a viewer may see a profile's picture, and which."""
    (answer,) = _answers(request, [_question(body, AuthZenEvaluation(), "", caller(request).subject)])
    return answer


@router.post("/evaluations", response_model=EvaluationsAnswer | EvaluationAnswer)
@requires(TokenScope.DECIDE)
def evaluations(request: Request, body: EvaluationsBody) -> EvaluationsAnswer | EvaluationAnswer:
    """Say it for up to 500 profiles at once; without ``evaluations`` it is one question, answered as one."""
    if not body.evaluations:
        return evaluation(request, body)
    tenant = caller(request).subject
    questions = [
        _question(evaluation_, body, f"/evaluations/{number}", tenant)
        for number, evaluation_ in enumerate(body.evaluations)
    ]
    answers = _answers(request, questions)
    last = {Semantic.UNTIL_DENIED: False, Semantic.UNTIL_PERMITTED: True}.get(body.options.evaluations_semantic)
    if last is not None:
        ends = next((number for number, answer in enumerate(answers) if answer.decision is last), len(answers))
        answers = answers[: ends + 1]
    return EvaluationsAnswer(evaluations=answers)


def _question(partial: AuthZenEvaluation, defaults: AuthZenEvaluation, pointer: str, tenant: str) -> DecisionRequest:
    """Return one question as a request for one profile, with what it leaves out taken from ``defaults``."""
    subject, action = partial.subject or defaults.subject, partial.action or defaults.action
    resource, context = partial.resource or defaults.resource, partial.context or defaults.context or Surroundings()
    if subject is None or action is None or resource is None:
        raise InvalidInput("a question needs a subject, an action and a resource", pointer=pointer or "/")
    if action.name != VIEW or subject.type != "user" or resource.type != "profile":
        message = f"the action is '{VIEW}', the subject a 'user' and the resource a 'profile'"
        raise InvalidInput(message, pointer=pointer or "/")
    claim = Claim(resource.id, resource.properties.relation, resource.properties.proof)
    requester = Requester(subject.id, subject.properties.network, tenant)
    return DecisionRequest(subject.properties.viewer, context.context, [claim], requester)


def _answers(request: Request, questions: Sequence[DecisionRequest]) -> list[EvaluationAnswer]:
    """Decide once for all questions of one viewer in one place; answer in the questions' order."""
    groups: dict[tuple[str, str, Requester], list[int]] = {}
    for number, (viewer, context, _, requester, _) in enumerate(questions):
        groups.setdefault((viewer, context, requester), []).append(number)
    decisions: dict[int, SignedDecision] = {}
    for (viewer, context, requester), numbers in groups.items():
        claims = [questions[number].claims[0] for number in numbers]
        decided = services(request).decisions.decide(DecisionRequest(viewer, context, claims, requester))
        decisions.update(zip(numbers, decided, strict=True))
    return [_answer(decisions[number]) for number in range(len(questions))]


def _answer(decision: SignedDecision) -> EvaluationAnswer:
    context = {name: getattr(decision, name) for name in ("url", "expires_at", "blurhash", "capture")}
    return EvaluationAnswer(decision=decision.shows_picture, context=context)
