"""``/.well-known/nightlight-webhooks.jwks.json``: the public keys that events to the platform are signed with."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from service.answers import services
from service.auth import ScopedRoute, public

router = APIRouter(tags=["webhooks"], route_class=ScopedRoute)

PATH = "/.well-known/nightlight-webhooks.jwks.json"
# A key that is added signs beside the others at once, and stays for days: minutes are soon enough.
_CACHE = {"Cache-Control": "public, max-age=300"}


class WebhookKeyAnswer(BaseModel):
    """An Ed25519 public key (RFC 8037); ``kid`` is its thumbprint (RFC 7638), ``x`` the key in base64url."""

    kty: str
    crv: str
    use: str
    alg: str
    kid: str
    x: str


class WebhookKeysAnswer(BaseModel):
    """A JWK Set (RFC 7517), the oldest key first; empty where events have no asymmetric signature."""

    keys: list[WebhookKeyAnswer] = Field(max_length=4)


@router.get(PATH, response_model=WebhookKeysAnswer)
@public
def webhook_keys(request: Request) -> Response:
    """Give the public keys of the `v1a` signatures of webhooks; they may be kept for five minutes."""
    return Response(services(request).webhook_keys.document(), media_type="application/jwk-set+json", headers=_CACHE)
