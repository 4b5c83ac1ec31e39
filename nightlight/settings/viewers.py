"""Settings of who is given what: URLs, relations, quotas, tokens."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from nightlight.settings.base import config


class UrlKind(StrEnum):
    """Who checks the URLs that decisions give."""

    SIGNED = "signed"
    PRESIGNED = "presigned"


class ProviderKind(StrEnum):
    """Who confirms relations that come without a proof."""

    CALLBACK = "callback"
    OPENFGA = "openfga"


# Words of another vocabulary, and ours for each.
ForeignWords = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=256)], Annotated[str, Field(pattern=r"^[a-z0-9_]{1,32}$")]],
    Field(min_length=1, max_length=32),
]


class DeliverySettings(BaseSettings):
    """Signed URLs."""

    model_config = config("NIGHTLIGHT_DELIVERY_")

    signing_keys: SecretStr | None = None
    """Key ring of the URL signatures: `id:base64,id:base64`, ids of two characters, keys of at least 32 bytes. The
    first signs; all verify. `nightlight keys rotate urls` rotates it: a new key that is put first at once breaks
    URLs."""
    name_key: SecretStr | None = None
    """Base64 key, at least 32 bytes, from which the opaque names of renditions are derived; or a ring of such keys, of
    which the first names what is new. `nightlight keys rotate names` makes one of a key."""
    base_url: str = "http://127.0.0.1:8080"
    """Scheme and host that viewers fetch pictures from."""
    urls: UrlKind = UrlKind.SIGNED
    """`signed`: by the ring, checked by the service or an edge at `base_url`. `presigned`: viewers fetch from S3 at
    `NIGHTLIGHT_STORE_ENDPOINT_URL`, which checks them, and sends no headers of ours."""
    feed_poll_s: float = Field(default=0.25, ge=0.05, le=10)
    """Seconds after which a service looks for what has changed: blocks, declarations, revoked pictures."""
    views: int = Field(default=50_000, ge=0, le=10**8)
    """Profiles that a service process keeps in memory to decide by, some 4 kB each; 0 for none."""
    picture_bytes: int = Field(default=64_000_000, ge=0, le=10**11)
    """Bytes of pictures that a service process keeps in memory to serve; 0 for none."""
    max_life_s: int = Field(default=86_400, ge=2, le=86_400)
    """Longest life of a picture's URL, in seconds, whatever the policy's `cache_s` says. At most 60 where an edge has
    no list of revoked pictures: such an edge refuses URLs that live longer."""
    purge_url: str | None = None
    """Told `{"paths": ["/a/...", ...]}` when pictures are revoked or erased, so that the edge refuses and forgets them,
    and `{"paths": [], "since": ..., "at": ...}` by the schedule, which says that everything that was revoked up to the
    moment `at` has been named. Several edges, each node by itself: URLs with commas between. A job is not done before
    all have answered with 2xx."""
    cloudfront_store: str | None = Field(
        default=None, pattern=r"^arn:aws[a-z-]*:cloudfront::[0-9]{12}:key-value-store/[A-Za-z0-9-]{1,64}$"
    )
    """ARN of the CloudFront KeyValueStore with the list of revoked pictures, which workers and schedule write with the
    AWS identity of their process."""
    edge_list_s: float = Field(default=10.0, ge=1, le=60)
    """Seconds after which the schedule tells all edges again that their lists of revoked pictures are complete."""
    purge_token: SecretStr | None = None
    """Bearer token for the purge hook."""
    webhook_url: str | None = None
    """Sent an event (Standard Webhooks) whenever a profile's picture is revoked."""
    webhook_key: SecretStr | None = None
    """Signs events (`v1a`): `whsk_` and the base64 of an Ed25519 private key's 32 bytes. Up to four, with commas
    between; all sign. `nightlight keys rotate webhook-key` rotates it."""
    webhook_secret: SecretStr | None = None
    """Signs events (`v1`, HMAC-SHA256): `whsec_` and the base64 of 24 to 64 bytes, which the receiver has too. Up to
    four, with commas between; all sign. `nightlight keys rotate webhook-secret` rotates it."""
    webhook_disable_s: float = Field(default=259_200.0, ge=60, le=2_592_000)
    """Seconds for which every delivery of events has failed when the endpoint is disabled: three days."""
    webhook_disable_failures: int = Field(default=5, ge=1, le=1000)
    """Least number of failed deliveries in a row before the endpoint is disabled."""
    hook_timeout_s: float = Field(default=5.0, gt=0, le=60)
    """Seconds to wait for the purge hook, and for the whole answer to an event."""
    placeholder_cache_s: int = Field(default=3600, ge=60, le=86400)
    """Longest life of a placeholder's URL, in seconds."""


class RelationSettings(BaseSettings):
    """What it takes for a viewer to count as more than a stranger."""

    model_config = config("NIGHTLIGHT_RELATIONS_")

    keys: SecretStr | None = None
    """Key ring of relation proofs, as `id:base64,id:base64`: shared with whoever keeps the platform's social graph and
    signs them. Unset: no proof is good."""
    provider: ProviderKind = ProviderKind.CALLBACK
    """`callback` or `openfga`: how `provider_url` is asked."""
    provider_url: str | None = None
    """Asked about relations that come without a proof: a callback, or the API of an OpenFGA server. Unset: they are
    strangers."""
    provider_token: SecretStr | None = None
    """Bearer token for the provider."""
    provider_timeout_s: float = Field(default=0.25, gt=0, le=10)
    """Seconds to wait for the provider, after which all are strangers."""
    openfga_store: str | None = None
    """The OpenFGA store's id."""
    openfga_model: str | None = None
    """The authorization model's id; unset: the newest."""
    leeway_s: int = Field(default=5, ge=0, le=300)  # rows of revoked proofs are kept for as long as that asks for
    """Seconds by which the clocks of those who sign proofs may differ from ours. For so long after a revocation new
    proofs count no more than old ones."""


class AuthZenSettings(BaseSettings):
    """The words of those who ask by AuthZEN, and what they stand for here.

    Each is a JSON object with a word of the policy's vocabulary for each word of theirs. Others are answered with
    `decision: false`. The service does not start where the policy lacks one of these words.
    """

    model_config = config("NIGHTLIGHT_AUTHZEN_")

    subject_types: ForeignWords = {"user": "signed_out"}
    """Types of subjects that are viewers, and for each the word for what is assured of such a viewer where the request
    has no `properties.viewer`. Any other than `signed_out` says that the platform has assured it of every such subject:
    `{"user": "unverified", "member": "adult"}`."""
    resource_types: ForeignWords = {"profile": "stranger"}
    """Types of resources that are profiles, and for each the relation that is claimed where the request has no
    `properties.relation`: `{"avatar": "stranger", "friend": "connection"}`. More than `stranger` counts only if it is
    proved, or if `NIGHTLIGHT_RELATIONS_PROVIDER_URL` confirms it."""
    actions: ForeignWords = {"view": "profile"}
    """Actions that are to view a picture, and for each the place where, if the request's context has no `context`:
    `{"can_view": "profile", "read": "profile", "list": "list"}`."""


class QuotaSettings(BaseSettings):
    """How many pictures are given in an hour, besides what the policy allows a viewer."""

    model_config = config("NIGHTLIGHT_QUOTAS_")

    redis_url: SecretStr | None = None
    """Redis in which all service processes keep quotas together, such as `redis://host/0`. Unset: each keeps its own in
    memory, which the scale deployment refuses in production."""
    timeout_s: float = Field(default=0.25, gt=0, le=10)
    """Seconds to wait for Redis; then nobody is given a picture."""
    namespace: str = Field(default="nightlight", pattern=r"^[a-z][a-z0-9._-]{0,63}$")
    """What the names of keys in Redis begin with."""
    network_per_hour: int = Field(default=60_000, ge=1, le=10**9)
    """Pictures an hour for one network, as the platform names it."""
    tenant_per_hour: int = Field(default=100_000_000, ge=1, le=10**12)
    """Pictures an hour for one caller of the API."""
    profiles_per_hour: int = Field(default=3_000, ge=1, le=10**6)
    """Different profiles that a viewer may ask for in a clock hour; who asks for more is given none."""


class AuthSettings(BaseSettings):
    """Service tokens: who may call which route."""

    model_config = config("NIGHTLIGHT_AUTH_")

    jwks: str | None = None
    """The Ed25519 public keys of callers: a JWKS or PEM file, or the https URL of a JWKS. It is read again while the
    service runs: a key that left it opens nothing after 30 seconds, and nobody is let in once it could not be read for
    so long."""
    issuer: str = "nightlight-dev"
    """`iss` that a token must carry."""
    audience: str = "nightlight"
    """`aud` that a token must carry."""
    leeway_s: int = Field(default=30, ge=0, le=300)
    """Clock difference allowed, in seconds."""
    max_life_s: int = Field(default=86_400, ge=60, le=366 * 86_400)
    """Longest life of a token, from `iat` to `exp`, in seconds."""


class AvatarSettings(BaseSettings):
    """An edge in front of a platform's own avatar URLs: `nightlight edge nginx` writes its configuration."""

    model_config = config("NIGHTLIGHT_AVATARS_")

    edge_tokens: SecretStr | None = None
    """The secrets that edges show, at least 32 characters each, commas between: the new one beside the old one while
    they are changed. Unset: no edge is answered."""
    viewer_jwks: str | None = None
    """The public keys of whoever signs viewers' tokens: a JWKS or PEM file, or the https URL of a JWKS. Ed25519, P-256
    and RSA keys of 2,048 bits or more count. Unset: no token counts."""
    viewer_issuer: str | None = None
    """`iss` that a viewer's token must carry. Unset: any."""
    viewer_audience: str = "nightlight-avatars"
    """`aud` that a viewer's token must carry, so that no token for something else counts."""
    viewer_claim: str = Field(default="sub", min_length=1, max_length=64)
    """The claim that names the viewer, in the platform's own opaque id."""
    viewer_max_life_s: int = Field(default=86_400, ge=60, le=366 * 86_400)
    """Longest life of a viewer's token, from `iat` to `exp`, in seconds."""
    migration: bool = False
    """Whether an edge may serve a picture of before from the platform's old store, unrendered, to viewers whom the
    policy allows its most open tier. Only until Nightlight has rendered a picture of the profile, or has taken one
    away."""
