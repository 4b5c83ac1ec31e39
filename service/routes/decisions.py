"""``/v1/decisions`` and ``/v1/explain``: what a viewer gets of each profile, and, for operators, why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from nightlight.delivery.access_tokens import TokenScope
from nightlight.flows.decisions.decide import MAX_ITEMS
from nightlight.wiring import ServiceContainer
from nightlight_core.decisions.engine import Decision
from nightlight_core.decisions.quotas import Asker
from nightlight_core.decisions.relation_proofs import MAX_PROOF
from nightlight_core.decisions.relation_resolver import Claim
from nightlight_core.ids import PROFILE_ID_PATTERN
from service.auth import ScopedRoute, caller, requires
from service.consistency import CONSISTENCY_PATTERN

router = APIRouter(prefix="/v1", tags=["decisions"], route_class=ScopedRoute)

Word = Annotated[str, Field(min_length=1, max_length=32)]


class ItemBody(BaseModel):
    """One profile, and what the viewer is to it."""

    model_config = ConfigDict(extra="forbid")

    profile_id: Annotated[str, Field(min_length=1, max_length=128)]
    relation: Word = Field(
        default="stranger",
        description="self, guardian, connection, mutual, stranger or blocked. More than a stranger needs a proof, or "
        "the word of the configured provider; otherwise the viewer counts as a stranger.",
    )
    proof: Annotated[str, Field(min_length=1, max_length=MAX_PROOF)] | None = Field(
        default=None, description="A relation proof, signed by whoever keeps the platform's social graph."
    )


class DecisionsBody(BaseModel):
    """Who looks, where, at which profiles."""

    model_config = ConfigDict(extra="forbid")

    viewer: Word = Field(
        default="signed_out", description="What is assured of the viewer: peer, adult, unverified or signed_out."
    )
    viewer_id: Annotated[str, Field(pattern=PROFILE_ID_PATTERN)] | None = Field(
        default=None,
        description="Who looks, in the platform's own opaque id: for blocks, proofs and traceable variants. Without it "
        "everybody is a stranger.",
    )
    network: Annotated[str, Field(pattern=PROFILE_ID_PATTERN)] | None = Field(
        default=None,
        description="Where the viewer comes from, in an opaque word of the platform's: a hash of an address prefix, "
        "say. Its viewers share a quota.",
    )
    consistency: Annotated[str, Field(pattern=CONSISTENCY_PATTERN)] | None = Field(
        default=None,
        description="The `Nightlight-Consistency` of an answer: decide by at least that change, or give placeholders.",
    )
    context: Word = Field(default="profile", description="profile, list, search, suggest, message or export.")
    items: list[ItemBody] = Field(max_length=MAX_ITEMS)

    def claims(self) -> list[Claim]:
        """Return what is said of each profile."""
        return [Claim(item.profile_id, item.relation, item.proof) for item in self.items]


class DecisionAnswer(BaseModel):
    """A URL to fetch, and when it stops working. The same shape whatever was decided."""

    profile_id: str
    url: str
    expires_at: int = Field(description="Unix seconds.")
    blurhash: str = Field(description="A BlurHash to paint until the picture is there, of the most protective tier.")


class DecisionsAnswer(BaseModel):
    """One answer for each item, in order."""

    items: list[DecisionAnswer]


class ExplanationAnswer(BaseModel):
    """Why an item is answered as it is."""

    profile_id: str
    inputs: dict[str, str] = Field(description="The words that the policy was asked with.")
    tier: str
    edge: int = Field(description="The tier's longest side in pixels; 0 for the placeholder.")
    cache_s: int
    per_hour: int
    rule: str = Field(description="The rule that bound the tier.")
    shows: str = Field(description="rendition or placeholder.")
    unknown_words: list[str]
    claimed: str = Field(description="The relation that the request said.")
    relation_because: str = Field(description="Why that, or another, counts.")


class ExplainAnswer(BaseModel):
    """One explanation for each item, in order."""

    policy_digest: str
    items: list[ExplanationAnswer]


@router.post("/decisions", response_model=DecisionsAnswer)
@requires(TokenScope.DECIDE)
def decide(request: Request, body: DecisionsBody) -> Response:
    """Decide for up to 500 profiles at once: same count, same order, one URL each.

    Unknown, blocked, deleted and unfinished profiles get the placeholder, in the same shape as all others.
    """
    asker = Asker(body.viewer_id, body.network, caller(request).subject)
    return answered(decided(request.app.state.house, body, body.claims(), asker))


@router.post("/explain", response_model=ExplainAnswer)
@requires(TokenScope.EXPLAIN)
def explain(request: Request, body: DecisionsBody) -> Response:
    """Say why each item is answered as it is. For operators: it tells bands, so viewers must never see it."""
    house: ServiceContainer = request.app.state.house
    explanations = house.decide.explain(body.viewer, body.context, body.claims(), viewer_id=body.viewer_id)
    body_ = {"policy_digest": house.policy.current().table.digest, "items": [asdict(item) for item in explanations]}
    return Response(orjson.dumps(body_), media_type="application/json", headers={"Cache-Control": "no-store"})


def decided(house: ServiceContainer, body: DecisionsBody, claims: Sequence[Claim], asker: Asker) -> list[Decision]:
    """Return the decisions that a body asks for."""
    at_least = int(body.consistency) if body.consistency else None
    return house.decide.decide(body.viewer, body.context, claims, asker, at_least=at_least)


def answered(decisions: Sequence[Decision]) -> Response:
    """Return the answer; a decision that is given again is not written again."""
    body = b'{"items":[' + b",".join([one.shaped or _encoded(one) for one in decisions]) + b"]}"
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


def _encoded(one: Decision) -> bytes:
    told = {"profile_id": one.profile_id, "url": one.url, "expires_at": one.expires_at, "blurhash": one.blurhash}
    # A copy: what orjson gives keeps the buffer that it was written into, ten times as long.
    one.shaped = written = bytes(memoryview(orjson.dumps(told)))
    return written
