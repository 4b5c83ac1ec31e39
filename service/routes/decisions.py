"""``/v1/decisions`` and ``/v1/explain``: what a viewer gets of each profile, and, for operators, why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Literal

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from nightlight.delivery.access_tokens import TokenScope
from nightlight_core.decisions.answers import SignedDecision
from nightlight_core.decisions.engine import MAX_ITEMS, DecisionRequest
from nightlight_core.decisions.quotas import Requester
from nightlight_core.decisions.relation_proofs import MAX_PROOF
from nightlight_core.decisions.relation_resolver import Claim
from service.answers import CONSISTENCY_PATTERN, Body, Word, json_response, services
from service.auth import ScopedRoute, caller, requires
from service.json_body import json_body
from service.openapi import request_body
from service.profile_ids import AskedId, ProfileIdText

router = APIRouter(prefix="/v1", tags=["decisions"], route_class=ScopedRoute)


class ItemBody(Body):
    """One profile, and what the viewer is to it."""

    profile_id: AskedId
    relation: Word = Field(
        default="stranger",
        description="self, guardian, connection, mutual, stranger or blocked. More than a stranger needs a proof, or "
        "the word of the configured provider; otherwise the viewer counts as a stranger.",
    )
    proof: Annotated[str, Field(min_length=1, max_length=MAX_PROOF)] | None = Field(
        default=None, description="A relation proof, signed by whoever keeps the platform's social graph."
    )
    at_most: Word | None = Field(
        default=None, description="A tier: this item shows no more than it, whatever the policy allows."
    )


class DecisionsBody(Body):
    """Who looks, where, at which profiles."""

    viewer: Word = Field(
        default="signed_out", description="What is assured of the viewer: peer, adult, unverified or signed_out."
    )
    viewer_id: ProfileIdText | None = Field(
        default=None,
        description="Who looks, in the platform's own opaque id: for blocks, proofs and traceable variants. Without it "
        "everybody is a stranger.",
    )
    network: ProfileIdText | None = Field(
        default=None,
        description="Where the viewer comes from, in an opaque word of the platform's: a hash of an address prefix, "
        "say. Its viewers share a quota.",
    )
    consistency: Annotated[str, Field(pattern=CONSISTENCY_PATTERN)] | None = Field(
        default=None,
        description="The `Nightlight-Consistency` of an answer: decide by at least that change, or give placeholders.",
    )
    at_most: Word | None = Field(
        default=None,
        description="A tier of the policy: no item shows more than it, whatever the policy allows. For less than that: "
        "the viewer is a child, or saves data. Never for more.",
    )
    context: Word = Field(default="profile", description="profile, list, search, suggest, message or export.")
    items: list[ItemBody] = Field(max_length=MAX_ITEMS)

    def request_of(self, tenant: str) -> DecisionRequest:
        """Return the engine's request; ``tenant`` is the platform that asks."""
        claims = [Claim(item.profile_id, item.relation, item.proof, item.at_most) for item in self.items]
        requester = Requester(self.viewer_id, self.network, tenant)
        return DecisionRequest(self.viewer, self.context, claims, requester, self.at_most)


class DecisionAnswer(BaseModel):
    """A URL to fetch, and when it stops working. The same shape whatever was decided."""

    profile_id: str
    url: str
    expires_at: int = Field(description="Unix seconds.")
    blurhash: str = Field(description="A BlurHash to paint until the picture is there, of the most protective tier.")
    capture: Literal["forbid", "allow"] = Field(
        description="Whether apps refuse screenshots and downloads of it. Take everything but `allow` for `forbid`."
    )


class DecisionsAnswer(BaseModel):
    """One answer for each item, in order."""

    items: list[DecisionAnswer]


class ExplanationAnswer(BaseModel):
    """Why an item is answered as it is."""

    profile_id: str
    inputs: dict[str, str] = Field(description="The words that the policy was asked with.")
    tier: str
    edge: int = Field(description="The longest side in pixels of what is shown; 0 for the placeholder.")
    cache_s: int
    per_hour: int
    capture: str
    rule: str = Field(description="The rule that bound the tier.")
    shows: str = Field(description="rendition or placeholder.")
    unknown_words: list[str]
    claimed: str = Field(description="The relation that the request said.")
    relation_because: str = Field(description="Why that, or another, counts.")


class ExplainAnswer(BaseModel):
    """One explanation for each item, in order."""

    policy_digest: str
    items: list[ExplanationAnswer]


# The endpoint reads its own body, since it is called without the framework too (service.fast_path).
_BODY = request_body("application/json", {"$ref": f"#/components/schemas/{DecisionsBody.__name__}"})


@router.post("/decisions", response_model=DecisionsAnswer, openapi_extra=_BODY)
@requires(TokenScope.DECIDE)
async def decide(request: Request) -> Response:
    """Decide for up to 500 profiles at once: same count, same order, one URL each.

    Unknown, blocked, deleted and unfinished profiles get the placeholder, in the same shape as all others.
    """
    body = await json_body(request, DecisionsBody)
    decision_request = body.request_of(caller(request).subject)
    decisions = services(request).decisions.try_cached(decision_request) if body.consistency is None else None
    if decisions is None:
        at_least = int(body.consistency) if body.consistency else None
        decisions = await run_in_threadpool(services(request).decisions.decide, decision_request, at_least=at_least)
    return decisions_response(decisions)


@router.post("/explain", response_model=ExplainAnswer)
@requires(TokenScope.EXPLAIN)
def explain(request: Request, body: DecisionsBody) -> Response:
    """Say why each item is answered as it is. For operators: it tells bands, so viewers must never see it."""
    explanations = services(request).decisions.explain(body.request_of(caller(request).subject))
    digest = services(request).policy.current().digest
    return json_response(orjson.dumps({"policy_digest": digest, "items": [asdict(item) for item in explanations]}))


def decisions_response(decisions: Sequence[SignedDecision]) -> Response:
    """Return the response; a decision that is given again is not encoded again."""
    items = b",".join([decision.representation or representation(decision) for decision in decisions])
    return json_response(b'{"items":[' + items + b"]}")


def representation(decision: SignedDecision) -> bytes:
    """Return a decision as JSON; it is kept with the decision."""
    kept: bytes | None = decision.representation
    if kept is not None:
        return kept
    fields = {
        "profile_id": decision.profile_id,
        "url": decision.url,
        "expires_at": decision.expires_at,
        "blurhash": decision.blurhash,
        "capture": decision.capture,
    }
    # A copy: what orjson gives keeps the buffer that it was written into, ten times as long.
    decision.representation = encoded = bytes(memoryview(orjson.dumps(fields)))
    return encoded
