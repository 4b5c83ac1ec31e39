"""Settings of the processes: what kind they are, what they listen on, how they work and log."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings

from nightlight.settings.base import config

# https, or http on this machine: no user, query, fragment or last slash.
PUBLIC_URL = r"^(?:https://[A-Za-z0-9.-]+|http://(?:127\.0\.0\.1|localhost))(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~-]+){0,8}$"


class Deployment(StrEnum):
    """Which set of adapters is wired."""

    EMBEDDED = "embedded"
    SCALE = "scale"


class Environment(StrEnum):
    """How strict the process is with itself."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class SandboxKind(StrEnum):
    """How the sandbox of the workers' decoders is closed."""

    SECCOMP = "seccomp"
    LIMITS_ONLY = "limits_only"


class GeneralSettings(BaseSettings):
    """What kind of process this is."""

    model_config = config("NIGHTLIGHT_")

    deployment: Deployment = Deployment.EMBEDDED
    """`embedded`: everything on this machine, nothing to install. `scale`: PostgreSQL, RabbitMQ, S3."""
    environment: Environment = Environment.DEVELOPMENT
    """`production` logs JSON and refuses development defaults."""
    data_dir: Path = Path("var")
    """Where the embedded deployment keeps its files."""


class QueueSettings(BaseSettings):
    """The message broker."""

    model_config = config("NIGHTLIGHT_QUEUE_")

    broker_url: SecretStr | None = None
    """URL of RabbitMQ, such as `amqp://user:password@host//`. Unset in the embedded deployment: the queues are in a
    file in the data folder."""
    name: str = Field(default="nightlight", pattern=r"^[a-z][a-z0-9._-]{0,63}$")
    """What the names of queues and exchanges begin with."""
    delivery_limit: int = Field(default=5, ge=1, le=100)
    """Deliveries of one message before it is dead-lettered."""


class ServiceSettings(BaseSettings):
    """The HTTP service."""

    model_config = config("NIGHTLIGHT_SERVICE_")

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(default=8080, ge=0, le=65535)
    """Port to listen on."""
    public_url: str | None = Field(default=None, pattern=PUBLIC_URL)
    """Where callers of the API find this service, such as `https://nightlight.example.com`, with the path that a proxy
    takes off, if it does. `/.well-known/authzen-configuration` says it. Only `https`, or `http` on this machine. Unset:
    `NIGHTLIGHT_DELIVERY_BASE_URL`."""
    threads: int = Field(default=16, ge=1, le=256)
    """Threads for calls that wait on SQL or S3."""
    max_json_bytes: int = Field(default=1_000_000, ge=1_000, le=10_000_000)
    """Largest JSON body, in bytes."""
    client_s: float = Field(default=60.0, ge=0.1, le=3600)
    """Seconds a client may take to send a body, or to take an answer."""
    drain_s: float | None = Field(default=None, ge=0, le=300)
    """Seconds for which the service goes on serving after SIGTERM while `/readyz` answers 503, so that balancers hear
    of it. After that, open requests get 15 seconds. Unset: 5 in the scale deployment, 0 in the embedded one."""
    docs: bool | None = None
    """Whether to serve the OpenAPI page at `/docs` and its document at `/openapi.json`; unset: only where the
    environment is not `production`."""


class WorkerSettings(BaseSettings):
    """The workers and their schedule."""

    model_config = config("NIGHTLIGHT_WORKER_")

    concurrency: int = Field(default=2, ge=0, le=256)
    """Uploads that one worker renders at the same time. It has as many child processes, and those of `erasures`,
    `urgent`, `traces` and `background` besides; 0 of one leaves that work to other workers."""
    erasures: int = Field(default=1, ge=0, le=256)
    """Child processes more, so that erasures never wait behind anything else."""
    urgent: int = Field(default=1, ge=0, le=256)
    """Child processes more, so that revocations, holds and sweeps never wait behind uploads."""
    traces: int = Field(default=1, ge=0, le=256)
    """Child processes more, so that trace searches never wait behind uploads."""
    background: int = Field(default=1, ge=0, le=256)
    """Child processes more for what others do not wait behind: pictures that are slow to decode, pictures of whole
    buckets, tags."""
    health_host: str = "127.0.0.1"
    """Address of the worker's health and metrics pages."""
    health_port: int = Field(default=8081, ge=0, le=65535)
    """Port of the worker's health and metrics pages."""
    schedule_health_port: int = Field(default=8082, ge=0, le=65535)
    """Port of the schedule's health and metrics pages."""
    sandbox: SandboxKind = SandboxKind.SECCOMP
    """What holds decoders in their sandbox. `seccomp`: a system call filter and resource limits; a worker without the
    filter does not start (in development it warns). `limits_only`: resource limits alone."""
    decode_memory_bytes: int = Field(default=165_000_000, ge=20_000_000, le=2_000_000_000)
    """Address space, in bytes, that one decoder may add at the most to what the idle helper has. Each picture gets what
    its header lets expect, and 40 MB more."""
    decode_s: float = Field(default=30.0, gt=0, le=300)
    """Seconds after which a decoder is killed."""
    time_limit_s: int = Field(default=60, ge=5, le=600)
    """Seconds after which a render is killed."""
    lease_s: int = Field(default=120, ge=6, le=3600)
    """Seconds a job is leased for; must be more than the time limit."""
    max_attempts: int = Field(default=3, ge=1, le=20)
    """Times an image may bring its worker down before it fails."""
    shutdown_s: float = Field(default=10.0, ge=0.1, le=600)
    """Seconds that running tasks are given when the worker is told to stop."""
    backoff_s: float = Field(default=2.0, ge=0.05, le=600)
    """Seconds before the second attempt; doubles with each."""
    relay_interval_s: float = Field(default=0.1, ge=0.01, le=60)
    """Seconds between two looks at an empty outbox."""
    reconcile_interval_s: float = Field(default=10.0, ge=0.05, le=3600)
    """Seconds between two searches for jobs that were lost or are due."""
    requeue_after_s: float = Field(default=60.0, ge=0.1, le=3600)
    """Seconds a published job may wait before it is published again."""

    @model_validator(mode="after")
    def _lease_outlives_the_limit(self) -> WorkerSettings:
        if self.lease_s <= self.time_limit_s:
            raise ValueError("NIGHTLIGHT_WORKER_LEASE_S must be more than NIGHTLIGHT_WORKER_TIME_LIMIT_S")
        if not self.concurrency + self.erasures + self.urgent + self.traces + self.background:
            message = "NIGHTLIGHT_WORKER_CONCURRENCY, _ERASURES, _URGENT, _TRACES and _BACKGROUND are all 0"
            raise ValueError(message)
        return self


class TracingSettings(BaseSettings):
    """Spans by OpenTelemetry: off unless a collector is named. They name no person, picture, key or address."""

    model_config = config("NIGHTLIGHT_TRACING_")

    endpoint: str | None = Field(default=None, pattern=r"^https?://")
    """Where spans are sent, as OTLP over HTTP: `http://collector:4318/v1/traces`. Unset: nowhere, and none are made."""
    share: float = Field(default=0.01, ge=0, le=1)
    """Share of the requests that are followed; one that comes with a `traceparent` is followed as that says."""


class LogSettings(BaseSettings):
    """Logs."""

    model_config = config("NIGHTLIGHT_LOG_")

    level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    """`debug`, `info`, `warning` or `error`."""
    json_lines: bool | None = None
    """JSON lines; unset: only where the environment is `production`."""
