"""The bodies of AuthZEN's requests, and what is wrong with one evaluation of many.

The specification is the OpenID Authorization API 1.0. Members that it or we do not know are ignored ("JSON
Serialization"), and so are properties that no decision depends on. A member of null is as one that is not there.

Bodies are typed dictionaries and not models: they are read five times as fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple, Required

from pydantic import Field, StrictInt, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from nightlight.delivery.page_tokens import MAX_TOKEN_CHARS
from nightlight_core.decisions.engine import MAX_ITEMS
from nightlight_core.decisions.relation_proofs import MAX_PROOF
from service.answers import Word
from service.profile_ids import AskedId, ProfileIdText

Name = Annotated[str, Field(max_length=256)]
Semantic = Literal["execute_all", "deny_on_first_deny", "permit_on_first_permit"]
BAD_REQUEST, UNKNOWN, UNAVAILABLE = 400, 404, 503
# In place of the pattern, which is long: a batch may have 500 of them.
_NO_ID = "Some characters cannot stand in an id"


class SubjectProperties(TypedDict, total=False):
    """What is assured of the viewer, and where they come from; others are ignored."""

    viewer: Word | None
    network: ProfileIdText | None


class SoughtSubject(TypedDict, total=False):
    """The viewers that are sought."""

    type: Required[Name]
    properties: SubjectProperties | None


class AuthZenSubject(SoughtSubject):
    """The viewer; ``id`` is the platform's own."""

    id: Required[ProfileIdText]


class ResourceProperties(TypedDict, total=False):
    """What the viewer is to the profile, and the proof of it; others are ignored."""

    relation: Word | None
    proof: Annotated[str, Field(min_length=1, max_length=MAX_PROOF)] | None


class SoughtResource(TypedDict, total=False):
    """The profiles that are sought."""

    type: Required[Name]
    properties: ResourceProperties | None


class AuthZenResource(SoughtResource):
    """A profile."""

    id: Required[AskedId]


class AuthZenAction(TypedDict, total=False):
    """What is to be done; its properties are ignored."""

    name: Required[Name]
    properties: dict[str, Any] | None


class AuthZenContext(TypedDict, total=False):
    """Where the picture is shown: a word of the policy's vocabulary; other members are ignored."""

    context: Word | None


class AuthZenEvaluation(TypedDict, total=False):
    """One evaluation; in a batch, what it leaves out is as beside the list."""

    subject: AuthZenSubject | None
    action: AuthZenAction | None
    resource: AuthZenResource | None
    context: AuthZenContext | None


class EvaluationOptions(TypedDict, total=False):
    """How a batch is answered; others are ignored."""

    evaluations_semantic: Semantic | None


class EvaluationBatch(AuthZenEvaluation, total=False):
    """Several evaluations, or one."""

    evaluations: Annotated[list[AuthZenEvaluation] | None, Field(max_length=MAX_ITEMS)]
    options: EvaluationOptions | None


_Anything = Annotated[
    Any, Field(description="As the body of `/access/v1/evaluation`; what it leaves out is as beside the list.")
]


class LenientBatch(AuthZenEvaluation, total=False):
    """Several evaluations, or one. Those of the list may be anything: one that does not fit is denied by itself."""

    evaluations: Annotated[list[_Anything] | None, Field(max_length=MAX_ITEMS)]
    options: EvaluationOptions | None


class PageRequest(TypedDict, total=False):
    """Which part of the results: ``token`` is the ``next_token`` of the page before, and all else as it was there."""

    token: Annotated[str, Field(min_length=1, max_length=MAX_TOKEN_CHARS)] | None
    limit: Annotated[StrictInt, Field(ge=0, le=2**53)] | None
    properties: dict[str, Any] | None


class SubjectSearch(TypedDict, total=False):
    """What asks which viewers may do this to a profile's picture."""

    subject: Required[SoughtSubject]
    action: Required[AuthZenAction]
    resource: Required[AuthZenResource]
    context: AuthZenContext | None
    page: PageRequest | None


class ResourceSearch(TypedDict, total=False):
    """What asks to which profiles' pictures a viewer may do this."""

    subject: Required[AuthZenSubject]
    action: Required[AuthZenAction]
    resource: Required[SoughtResource]
    context: AuthZenContext | None
    page: PageRequest | None


class ActionSearch(TypedDict, total=False):
    """What asks what a viewer may do to a profile's picture."""

    subject: Required[AuthZenSubject]
    resource: Required[AuthZenResource]
    context: AuthZenContext | None
    page: PageRequest | None


EVALUATION, BATCH, LENIENT_BATCH = (
    TypeAdapter(AuthZenEvaluation),
    TypeAdapter(EvaluationBatch),
    TypeAdapter(LenientBatch),
)
SUBJECT_SEARCH, RESOURCE_SEARCH = TypeAdapter(SubjectSearch), TypeAdapter(ResourceSearch)
ACTION_SEARCH = TypeAdapter(ActionSearch)


class Fault(NamedTuple):
    """Why one evaluation cannot be made: the status that HTTP has for it, a text, and the place in the evaluation."""

    status: int
    message: str
    pointer: str = ""


def read_batch(data: bytes | str) -> tuple[AuthZenEvaluation, list[AuthZenEvaluation | Fault], Semantic]:
    """Return what evaluations leave out, the evaluations, and how many are to be answered.

    Raises ValidationError. An evaluation that does not fit is a Fault: every other is read as if it were not there.
    """
    try:
        batch = BATCH.validate_json(data)
        evaluations: Sequence[AuthZenEvaluation | Fault] = batch.get("evaluations") or ()
    except ValidationError:
        lenient = LENIENT_BATCH.validate_json(data)
        evaluations = [_by_itself(value) for value in lenient.get("evaluations") or ()]
        batch = EvaluationBatch(**{**lenient, "evaluations": None})
    semantic = (batch.get("options") or {}).get("evaluations_semantic")
    return batch, list(evaluations), semantic or "execute_all"


def _by_itself(value: object) -> AuthZenEvaluation | Fault:
    try:
        return EVALUATION.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        message = _NO_ID if first["type"] == "string_pattern_mismatch" else first["msg"]
        return Fault(BAD_REQUEST, message, "".join(f"/{part}" for part in first["loc"]))
