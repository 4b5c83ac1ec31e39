"""``/v1/caller``: what a token opens, so that a client can tell at its start whether all is set up as it should be."""

from __future__ import annotations

import time

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from nightlight_core.live_files import fingerprint
from service.answers import services
from service.auth import ScopedRoute, caller, requires

router = APIRouter(prefix="/v1/caller", tags=["callers"], route_class=ScopedRoute)


class CallerAnswer(BaseModel):
    """Who calls, and what a client's own settings are compared with."""

    subject: str = Field(description="The token's `sub`.")
    scopes: list[str] = Field(description="What the token opens.")
    now: float = Field(description="The service's time, in Unix seconds: relation proofs are checked by it.")
    relation_keys: list[str] = Field(
        description="Fingerprints of the keys that relation proofs are checked with, each with the key's id."
    )
    leeway_s: int = Field(description="How far ahead the clock of whoever signs relation proofs may be, in seconds.")


@router.get("")
@requires()
def who(request: Request) -> CallerAnswer:
    """Say who calls, by the token. Any good token opens this route, and no other is needed to try an address."""
    named = caller(request)
    relations = services(request).decisions.engine.relations
    return CallerAnswer(
        subject=named.subject,
        scopes=sorted(named.scopes),
        now=time.time(),
        relation_keys=sorted(fingerprint(key_id, key) for key_id, key in relations.keys.items()),
        leeway_s=relations.leeway_s,
    )
