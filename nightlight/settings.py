"""Settings, read once from ``NIGHTLIGHT_*`` environment variables; one class a concern.

Secrets are ``SecretStr``: they print as stars. Where ``NIGHTLIGHT_SECRETS_DIR`` names a folder, a file
there with a variable's name in lower case gives its value, as container platforms mount secrets.
``docs/reference/settings.md`` is generated from this module.
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from nightlight.errors import SettingsRefused


class Deployment(StrEnum):
    """Which set of adapters is wired."""

    EMBEDDED = "embedded"
    SCALE = "scale"


class Environment(StrEnum):
    """How strict the process is with itself."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class StoreKind(StrEnum):
    """Where objects are kept."""

    LOCAL = "local"
    S3 = "s3"


class CageKind(StrEnum):
    """How the workers' decoders are shut in."""

    SECCOMP = "seccomp"
    LIMITS_ONLY = "limits_only"


def _config(prefix: str) -> SettingsConfigDict:
    return SettingsConfigDict(env_prefix=prefix, extra="ignore", frozen=True, hide_input_in_errors=True)


class GeneralSettings(BaseSettings):
    """What kind of process this is."""

    model_config = _config("NIGHTLIGHT_")

    deployment: Deployment = Field(
        default=Deployment.EMBEDDED,
        description="`embedded`: everything on this machine, nothing to install. `scale`: PostgreSQL, RabbitMQ, S3.",
    )
    environment: Environment = Field(
        default=Environment.DEVELOPMENT, description="`production` logs JSON and refuses development defaults."
    )
    data_dir: Path = Field(default=Path("var"), description="Where the embedded deployment keeps its files.")


class PolicySettings(BaseSettings):
    """Where the policy pack is."""

    model_config = _config("NIGHTLIGHT_POLICY_")

    dir: Path = Field(
        default=Path("policies"), description="The folder of the policy pack that is used until a bundle is activated."
    )
    publisher_keys: Path | None = Field(
        default=None, description="JWKS of the keys that may sign bundles; unset: none can be activated."
    )
    safety_keys: Path | None = Field(
        default=None, description="JWKS of the keys that may approve a change that opens something."
    )
    poll_s: float = Field(
        default=1.0, ge=0.05, le=60, description="Seconds after which a process looks whether another policy is active."
    )
    share_key: SecretStr | None = Field(
        default=None,
        description="Base64 key, at least 32 bytes, that chooses which profiles a staged candidate decides for; "
        "unset: the name key chooses.",
    )
    counter_flush_s: float = Field(
        default=10.0, ge=0.1, le=600, description="Seconds after which counts of decisions are written down."
    )
    counter_threshold: int = Field(
        default=10, ge=1, le=1_000_000, description="Counts below this are left out of what is exported."
    )


class CatalogueSettings(BaseSettings):
    """The SQL database."""

    model_config = _config("NIGHTLIGHT_CATALOGUE_")

    url: SecretStr | None = Field(
        default=None,
        description="SQLAlchemy URL, such as `postgresql+psycopg://user:password@host/name`. "
        "Unset in the embedded deployment: SQLite in the data folder.",
    )
    pool_size: int = Field(default=10, ge=1, le=200, description="Connections kept open by one process.")
    timeout_s: float = Field(
        default=5.0, gt=0, le=60, description="Seconds to wait for a connection or a lock before giving up."
    )


class QueueSettings(BaseSettings):
    """The message broker."""

    model_config = _config("NIGHTLIGHT_QUEUE_")

    broker_url: SecretStr | None = Field(
        default=None,
        description="Celery broker URL, such as `amqp://user:password@host//`. "
        "Unset in the embedded deployment: a private Redis that `nightlight serve` starts.",
    )
    name: str = Field(
        default="nightlight",
        pattern=r"^[a-z][a-z0-9._-]{0,63}$",
        description="What the names of queues and exchanges begin with.",
    )
    delivery_limit: int = Field(
        default=5, ge=1, le=100, description="Deliveries of one message before RabbitMQ dead-letters it."
    )


class StoreSettings(BaseSettings):
    """The object store: two buckets, and one identity for each kind of process.

    Give the service credentials that may put originals and get renditions; give the workers
    credentials that may get originals and put renditions. Neither process needs the other's.
    """

    model_config = _config("NIGHTLIGHT_STORE_")

    kind: StoreKind = Field(default=StoreKind.LOCAL, description="`local` (a folder) or `s3`.")
    endpoint_url: str | None = Field(default=None, description="S3 endpoint; unset for AWS.")
    region: str = Field(default="us-east-1", description="S3 region.")
    access_key_id: str | None = Field(default=None, description="This process's S3 access key id.")
    secret_access_key: SecretStr | None = Field(default=None, description="This process's S3 secret key.")
    originals_bucket: str = Field(default="nightlight-originals", description="Bucket of the originals.")
    renditions_bucket: str = Field(default="nightlight-renditions", description="Bucket of the renditions.")
    connect_timeout_s: float = Field(default=2.0, gt=0, le=30, description="Seconds to wait for a connection.")
    read_timeout_s: float = Field(default=10.0, gt=0, le=60, description="Seconds to wait for an answer.")


class UrlKind(StrEnum):
    """Who checks the URLs that decisions give."""

    SIGNED = "signed"
    PRESIGNED = "presigned"


class DeliverySettings(BaseSettings):
    """Signed URLs."""

    model_config = _config("NIGHTLIGHT_DELIVERY_")

    signing_keys: SecretStr | None = Field(
        default=None,
        description="Key ring of the URL signatures: `id:base64,id:base64`, ids of two characters, keys of at "
        "least 32 bytes. The first signs; all verify. Rotate by putting a new key first.",
    )
    name_key: SecretStr | None = Field(
        default=None,
        description="Base64 key, at least 32 bytes, from which the opaque names of renditions are derived.",
    )
    base_url: str = Field(
        default="http://127.0.0.1:8080", description="Scheme and host that viewers fetch pictures from."
    )
    urls: UrlKind = Field(
        default=UrlKind.SIGNED,
        description="`signed`: by the ring, checked by the service or an edge at `base_url`. `presigned`: viewers "
        "fetch from S3 at `NIGHTLIGHT_STORE_ENDPOINT_URL`, which checks them, and sends no headers of ours.",
    )
    revocation_poll_s: float = Field(
        default=0.25, ge=0.05, le=10, description="Seconds after which a service looks for names that were revoked."
    )
    purge_url: str | None = Field(
        default=None,
        description='Told `{"paths": ["/a/...", ...]}` by the workers when pictures are revoked or erased, so that the '
        "edge forgets them. A job is not done before it has answered with 2xx.",
    )
    purge_token: SecretStr | None = Field(default=None, description="Bearer token for the purge hook.")
    webhook_url: str | None = Field(
        default=None, description="Sent an event (Standard Webhooks) whenever a profile's picture is revoked."
    )
    webhook_key: SecretStr | None = Field(
        default=None, description="Signs events: `whsk_` and the base64 of an Ed25519 private key's 32 bytes."
    )
    hook_timeout_s: float = Field(default=5.0, gt=0, le=60, description="Seconds to wait for either of the two.")
    placeholder_cache_s: int = Field(
        default=3600, ge=60, le=86400, description="Longest life of a placeholder's URL, in seconds."
    )


class ProviderKind(StrEnum):
    """Who confirms relations that come without a proof."""

    CALLBACK = "callback"
    OPENFGA = "openfga"


class RelationSettings(BaseSettings):
    """What it takes for a viewer to count as more than a stranger."""

    model_config = _config("NIGHTLIGHT_RELATIONS_")

    keys: SecretStr | None = Field(
        default=None,
        description="Key ring of relation proofs, as `id:base64,id:base64`: shared with whoever keeps the platform's "
        "social graph and signs them. Unset: no proof is good.",
    )
    provider: ProviderKind = Field(
        default=ProviderKind.CALLBACK, description="`callback` or `openfga`: how `provider_url` is asked."
    )
    provider_url: str | None = Field(
        default=None,
        description="Asked about relations that come without a proof: a callback, or the API of an OpenFGA server. "
        "Unset: they are strangers.",
    )
    provider_token: SecretStr | None = Field(default=None, description="Bearer token for the provider.")
    provider_timeout_s: float = Field(
        default=0.25, gt=0, le=10, description="Seconds to wait for the provider, after which all are strangers."
    )
    openfga_store: str | None = Field(default=None, description="The OpenFGA store's id.")
    openfga_model: str | None = Field(default=None, description="The authorization model's id; unset: the newest.")
    leeway_s: int = Field(default=30, ge=0, le=300, description="Clock difference allowed to proofs, in seconds.")


class QuotaSettings(BaseSettings):
    """How many pictures are given in an hour, besides what the policy allows a viewer."""

    model_config = _config("NIGHTLIGHT_QUOTAS_")

    redis_url: SecretStr | None = Field(
        default=None,
        description="Redis in which all service processes keep quotas together, such as `redis://host/0`. Unset: each "
        "keeps its own in memory, which the scale deployment refuses in production.",
    )
    timeout_s: float = Field(
        default=0.25, gt=0, le=10, description="Seconds to wait for Redis; then nobody is given a picture."
    )
    namespace: str = Field(
        default="nightlight",
        pattern=r"^[a-z][a-z0-9._-]{0,63}$",
        description="What the names of keys in Redis begin with.",
    )
    network_per_hour: int = Field(
        default=60_000, ge=1, le=10**9, description="Pictures an hour for one network, as the platform names it."
    )
    tenant_per_hour: int = Field(
        default=100_000_000, ge=1, le=10**12, description="Pictures an hour for one caller of the API."
    )
    profiles_per_hour: int = Field(
        default=3_000,
        ge=1,
        le=10**6,
        description="Different profiles that a viewer may ask for in a clock hour; who asks for more is given none.",
    )


class AuthSettings(BaseSettings):
    """Service tokens: who may call which route."""

    model_config = _config("NIGHTLIGHT_AUTH_")

    jwks: str | None = Field(
        default=None,
        description="The Ed25519 public keys of callers: a JWKS or PEM file, or the https URL of a JWKS.",
    )
    issuer: str = Field(default="nightlight-dev", description="`iss` that a token must carry.")
    audience: str = Field(default="nightlight", description="`aud` that a token must carry.")
    leeway_s: int = Field(default=30, ge=0, le=300, description="Clock difference allowed, in seconds.")


class IntakeSettings(BaseSettings):
    """Caps on uploads, and how long an asserted age band stands."""

    model_config = _config("NIGHTLIGHT_INTAKE_")

    # 20 MB holds a 50-megapixel camera JPEG at its usual 3 bits a pixel (50e6 * 3 / 8 = 19 MB).
    max_upload_bytes: int = Field(default=20_000_000, ge=1_000, le=20_000_000, description="Largest upload, in bytes.")
    # 50 MP in RGB is 150 MB decoded; a worker of two children stays under half a GB.
    max_pixels: int = Field(default=50_000_000, ge=1, le=50_000_000, description="Most pixels (width times height).")
    # The longest side that WebP can hold is 16,383; the cap of 16,384 keeps one power of two for all formats.
    max_side: int = Field(default=16_384, ge=1, le=16_384, description="Longest side, in pixels.")
    # A 12-megapixel AVIF takes 124 MB. The cage with that in it stays under 160 MB (docs/performance.md).
    max_decode_bytes: int = Field(
        default=125_000_000,
        ge=1_000_000,
        le=1_000_000_000,
        description="Most memory, in bytes, that an upload's header lets its decoding take.",
    )
    heic: bool = Field(
        default=False, description="Accept HEIC too. The workers need the `heic` extra; it is decoded in the cage only."
    )
    assertion_days: int = Field(
        default=30, ge=1, le=365, description="Days after which an asserted age band lapses to `unknown`."
    )
    idempotency_hours: int = Field(default=24, ge=1, le=168, description="Hours that an Idempotency-Key is kept.")


class ServiceSettings(BaseSettings):
    """The HTTP service."""

    model_config = _config("NIGHTLIGHT_SERVICE_")

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8080, ge=0, le=65535, description="Port to listen on.")
    threads: int = Field(default=16, ge=1, le=256, description="Threads for calls that wait on SQL or S3.")
    max_json_bytes: int = Field(default=1_000_000, ge=1_000, le=10_000_000, description="Largest JSON body, in bytes.")
    docs: bool = Field(default=True, description="Whether to serve the OpenAPI page at `/docs`.")


class WorkerSettings(BaseSettings):
    """The workers and their schedule."""

    model_config = _config("NIGHTLIGHT_WORKER_")

    concurrency: int = Field(default=2, ge=1, le=256, description="Child processes of one worker.")
    health_host: str = Field(default="127.0.0.1", description="Address of the worker's health and metrics pages.")
    health_port: int = Field(default=8081, ge=0, le=65535, description="Port of the worker's health and metrics pages.")
    schedule_health_port: int = Field(
        default=8082, ge=0, le=65535, description="Port of the schedule's health and metrics pages."
    )
    cage: CageKind = Field(
        default=CageKind.SECCOMP,
        description="`seccomp`: decoders are shut in, or the worker does not start (in development it warns instead). "
        "`limits_only`: resource limits alone, for systems that have no seccomp.",
    )
    decode_memory_bytes: int = Field(
        default=160_000_000,
        ge=20_000_000,
        le=2_000_000_000,
        description="Address space, in bytes, that one decoder may add to what the idle helper has.",
    )
    decode_s: float = Field(default=20.0, gt=0, le=300, description="Seconds after which a decoder is killed.")
    time_limit_s: int = Field(default=60, ge=5, le=600, description="Seconds after which a render is killed.")
    lease_s: int = Field(
        default=120, ge=6, le=3600, description="Seconds a job is leased for; must be more than the time limit."
    )
    max_attempts: int = Field(
        default=3, ge=1, le=20, description="Times an image may bring its worker down before it is quarantined."
    )
    shutdown_s: float = Field(
        default=10.0,
        ge=0.1,
        le=600,
        description="Seconds that running tasks are given when the worker is told to stop.",
    )
    backoff_s: float = Field(
        default=2.0, ge=0.05, le=600, description="Seconds before the second attempt; doubles with each."
    )
    relay_interval_s: float = Field(
        default=0.1, ge=0.01, le=60, description="Seconds between two looks at an empty outbox."
    )
    reconcile_interval_s: float = Field(
        default=10.0, ge=0.05, le=3600, description="Seconds between two searches for jobs that were lost or are due."
    )
    requeue_after_s: float = Field(
        default=60.0, ge=0.1, le=3600, description="Seconds a published job may wait before it is published again."
    )

    @model_validator(mode="after")
    def _lease_outlives_the_limit(self) -> WorkerSettings:
        if self.lease_s <= self.time_limit_s:
            message = "NIGHTLIGHT_WORKER_LEASE_S must be more than NIGHTLIGHT_WORKER_TIME_LIMIT_S"
            raise ValueError(message)
        return self


class MarkSettings(BaseSettings):
    """The visible mark, in tiers that ask for one. Unset: crescents. It must not say anything about age."""

    model_config = _config("NIGHTLIGHT_MARK_")

    text: str = Field(default="", description="Text to draw, at most 40 characters, such as the platform's name.")
    logo: Path | None = Field(default=None, description="PNG file whose alpha channel is drawn instead of text.")
    font: Path | None = Field(
        default=None, description="TrueType or OpenType file for the text; unset: the font that comes with Pillow."
    )


class HiddenMarkSettings(BaseSettings):
    """The hidden mark, in tiers that ask for one. Only workers, and whoever traces, need its keys."""

    model_config = _config("NIGHTLIGHT_HIDDEN_MARK_")

    keys: SecretStr | None = Field(
        default=None,
        description="Keys of the hidden mark, as `id:base64,id:base64`: the first marks, all are looked for when "
        "tracing. Each more takes a search about a second longer; one that is lost can never be read again.",
    )


class MatchingSettings(BaseSettings):
    """Perceptual hashes, by which found copies are traced."""

    model_config = _config("NIGHTLIGHT_MATCHING_")

    index_dir: Path | None = Field(
        default=None,
        description="Folder of the index that `nightlight trace` keeps, about 110 bytes a rendition; unset: `index` in "
        "the data folder. It can be deleted at any time: it is made again from the catalogue.",
    )
    lists_dir: Path | None = Field(
        default=None,
        description="Folder of hash lists that uploads are held against: each `NAME.csv` is one, with a column `hash` "
        "and perhaps `quality` and `reference`. What is on one is quarantined. Put what a programme you are a member "
        "of exports here; no list comes with Nightlight.",
    )
    traces_per_hour: int = Field(
        default=600, ge=1, le=100_000, description="Traces that one caller may ask for over HTTP in an hour."
    )
    trace_days: int = Field(
        default=30,
        ge=1,
        le=365,
        description="Days after which a trace that was asked for over HTTP is forgotten, with a copy that was kept.",
    )


class LogSettings(BaseSettings):
    """Logs."""

    model_config = _config("NIGHTLIGHT_LOG_")

    level: Annotated[str, Field(pattern="^(debug|info|warning|error)$")] = Field(
        default="info", description="`debug`, `info`, `warning` or `error`."
    )
    json_lines: bool | None = Field(
        default=None, description="JSON lines; unset: only where the environment is `production`."
    )


CONCERNS: dict[str, type[BaseSettings]] = {
    "general": GeneralSettings,
    "policy": PolicySettings,
    "catalogue": CatalogueSettings,
    "queue": QueueSettings,
    "store": StoreSettings,
    "delivery": DeliverySettings,
    "relations": RelationSettings,
    "quotas": QuotaSettings,
    "auth": AuthSettings,
    "intake": IntakeSettings,
    "service": ServiceSettings,
    "worker": WorkerSettings,
    "mark": MarkSettings,
    "hidden_mark": HiddenMarkSettings,
    "matching": MatchingSettings,
    "log": LogSettings,
}


class Settings:
    """All concerns, read and checked together; frozen once made."""

    general: GeneralSettings
    policy: PolicySettings
    catalogue: CatalogueSettings
    queue: QueueSettings
    store: StoreSettings
    delivery: DeliverySettings
    relations: RelationSettings
    quotas: QuotaSettings
    auth: AuthSettings
    intake: IntakeSettings
    service: ServiceSettings
    worker: WorkerSettings
    mark: MarkSettings
    hidden_mark: HiddenMarkSettings
    matching: MatchingSettings
    log: LogSettings

    def __init__(self) -> None:
        """Read every concern from the environment; raise SettingsRefused naming each bad variable."""
        problems: list[str] = []
        for name, concern in CONCERNS.items():
            try:
                object.__setattr__(self, name, concern(**_secrets_dir()))
            except ValidationError as error:
                prefix = concern.model_config.get("env_prefix", "")
                for item in error.errors(include_input=False, include_url=False):
                    variable = prefix + "_".join(str(part) for part in item["loc"]).upper()
                    problems.append(f"{variable or prefix}: {item['msg']}")
        if problems:
            raise SettingsRefused("; ".join(problems))

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse: settings do not change while a process runs."""
        message = f"settings are frozen: {name}"
        raise AttributeError(message)


def _secrets_dir() -> dict[str, Any]:
    folder = os.environ.get("NIGHTLIGHT_SECRETS_DIR")
    return {"_secrets_dir": folder} if folder else {}


def require(value: SecretStr | str | None, variable: str) -> str:
    """Return the plain value of a setting that this process cannot do without, or raise SettingsRefused."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not text:
        message = f"{variable} is not set; `nightlight keys init` makes a set for development"
        raise SettingsRefused(message)
    return text
