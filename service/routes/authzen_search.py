"""``/access/v1/search``: AuthZEN's searches, for callers who may know which ids are accounts (scope ``search``).

::

    resource    the profiles whose picture a viewer would be shown
    subject     the accounts that would be shown a profile's picture
    action      the actions whose place shows a viewer a profile's picture

Unknown types and actions, and ids that are no account's, find nothing. Results are in the order of ids, in pages of 500
at the most; a page may have few results or none, and be followed by others. How many there are is not said.
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from nightlight.delivery.access_tokens import TokenScope
from nightlight.flows.decisions.search import MOST, PageBounds, SearchPage
from nightlight_core.decisions.quotas import Requester
from nightlight_core.errors import InvalidInput
from service.answers import json_response, services
from service.auth import ScopedRoute, caller, requires
from service.authzen_bodies import ACTION_SEARCH, RESOURCE_SEARCH, SUBJECT_SEARCH, PageRequest, SoughtSubject
from service.authzen_words import requester_of
from service.json_body import JSON
from service.openapi import body_schema, request_body
from service.routes.authzen import as_specified, authzen_body, vocabulary

router = APIRouter(prefix="/access/v1/search", tags=["authzen"], route_class=ScopedRoute)

# What has to be the same in the request for the next page.
_ENTITIES = ("subject", "action", "resource", "context")


class PageAnswer(BaseModel):
    """Where the results go on."""

    next_token: str = Field(description="For the next page; empty at the end.")
    count: int = Field(description="The results in this answer.")


class FoundEntity(BaseModel):
    """A profile or an account."""

    type: str
    id: str


class FoundAction(BaseModel):
    """An action."""

    name: str


class EntitiesAnswer(BaseModel):
    """What was found."""

    page: PageAnswer
    results: list[FoundEntity]


class ActionsAnswer(BaseModel):
    """What was found."""

    page: PageAnswer
    results: list[FoundAction]


class _Asked(NamedTuple):
    """Which part of a search is asked for: its identity, the limit that its first request said, and where to begin."""

    search: bytes
    limit: int | None
    after: str

    @property
    def bounds(self) -> PageBounds:
        return PageBounds(self.after, MOST if self.limit is None else min(self.limit, MOST))


@router.post("/resource", response_model=EntitiesAnswer, openapi_extra=request_body(JSON, body_schema(RESOURCE_SEARCH)))
@requires(TokenScope.SEARCH)
@as_specified
async def search_resource(request: Request) -> Response:
    """Return profiles whose picture a viewer would be shown, without the pictures."""
    body = await authzen_body(request, RESOURCE_SEARCH.validate_json)
    asked = await _asked(request, body.get("page"))
    words = vocabulary(request)
    viewer, relation = words.viewer(body["subject"]), words.relation(body["resource"])
    context = words.context(body["action"]["name"], body.get("context"))
    if viewer is None or relation is None or context is None:
        return _entities(request, asked, body["resource"]["type"], SearchPage([], None))
    requester = requester_of(body["subject"], caller(request).subject)
    search = services(request).search.profiles
    page = await run_in_threadpool(search, viewer, context, relation, requester, asked.bounds)
    return _entities(request, asked, body["resource"]["type"], page)


@router.post("/subject", response_model=EntitiesAnswer, openapi_extra=request_body(JSON, body_schema(SUBJECT_SEARCH)))
@requires(TokenScope.SEARCH)
@as_specified
async def search_subject(request: Request) -> Response:
    """Return accounts that would be shown a profile's picture, each as a stranger: proofs are not known here."""
    body = await authzen_body(request, SUBJECT_SEARCH.validate_json)
    asked = await _asked(request, body.get("page"))
    words = vocabulary(request)
    viewer, claim = words.viewer(body["subject"]), words.claim(body["resource"])
    context = words.context(body["action"]["name"], body.get("context"))
    if viewer is None or claim is None or context is None:
        return _entities(request, asked, body["subject"]["type"], SearchPage([], None))
    requester = _nobody(body["subject"], caller(request).subject)
    search = services(request).search.viewers
    page = await run_in_threadpool(search, viewer, context, claim, requester, asked.bounds)
    return _entities(request, asked, body["subject"]["type"], page)


@router.post("/action", response_model=ActionsAnswer, openapi_extra=request_body(JSON, body_schema(ACTION_SEARCH)))
@requires(TokenScope.SEARCH)
@as_specified
async def search_action(request: Request) -> Response:
    """Return the actions that would show a viewer a profile's picture; all of them in one page."""
    body = await authzen_body(request, ACTION_SEARCH.validate_json)
    if (body.get("page") or {}).get("token") is not None:
        raise InvalidInput("actions are all in the first page", pointer="/page/token")
    words = vocabulary(request)
    viewer, claim = words.viewer(body["subject"]), words.claim(body["resource"])
    names: list[str] = []
    if viewer is not None and claim is not None:
        contexts = {name: words.context(name, body.get("context")) or "" for name in words.actions}
        requester = requester_of(body["subject"], caller(request).subject)
        asked = sorted(set(contexts.values()))
        permitted = await run_in_threadpool(services(request).search.contexts, viewer, asked, claim, requester)
        names = [name for name, context in contexts.items() if context in permitted]
    return _answer([{"name": name} for name in names], "")


async def _asked(request: Request, page: PageRequest | None) -> _Asked:
    """Return which part is asked for; raise InvalidInput for a token of another search."""
    search = await _identity(request)
    limit, token = (page.get("limit"), page.get("token")) if page else (None, None)
    if token is None:
        return _Asked(search, limit, "")
    limit_text, _, after = services(request).page_tokens.open(token, search).partition(":")
    first = int(limit_text) if limit_text else None
    if limit is not None and limit != first:
        raise InvalidInput("the limit is not that of the request before", pointer="/page/limit")
    return _Asked(search, first, after)


async def _identity(request: Request) -> bytes:
    """Return a digest of all that has to be the same from page to page, and of who asks.

    The limit is apart: the specification's own example leaves it out of the second request.
    """
    try:
        body: dict[str, Any] = orjson.loads(await request.body())
        entities = {name: body.get(name) for name in _ENTITIES}
        properties = (body.get("page") or {}).get("properties")
        same = [request.url.path, caller(request).subject, entities, properties]
        return hashlib.blake2b(orjson.dumps(same, option=orjson.OPT_SORT_KEYS), digest_size=32).digest()
    except ValueError as error:  # JSON of a kind that pydantic reads and RFC 8259 does not know: NaN, UTF-16
        raise InvalidInput("the body must be JSON in UTF-8") from error


def _nobody(subject: SoughtSubject, tenant: str) -> Requester:
    properties = subject.get("properties")
    return Requester(None, properties.get("network") if properties else None, tenant)


def _entities(request: Request, asked: _Asked, type_: str, page: SearchPage) -> Response:
    token = ""
    if page.after is not None:
        limit = "" if asked.limit is None else str(asked.limit)
        token = services(request).page_tokens.seal(f"{limit}:{page.after}", asked.search)
    return _answer([{"type": type_, "id": result_id} for result_id in page.ids], token)


def _answer(results: list[dict[str, str]], next_token: str) -> Response:
    return json_response(orjson.dumps({"page": {"next_token": next_token, "count": len(results)}, "results": results}))
