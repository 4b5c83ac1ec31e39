"""Settings of what is kept: the catalogue, the objects, the policy."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings

from nightlight.settings.base import config
from nightlight.settings.default_policies import default_policies


class StoreKind(StrEnum):
    """Where objects are kept."""

    LOCAL = "local"
    S3 = "s3"


class SealMode(StrEnum):
    """Whether originals are sealed."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


class ServerKind(StrEnum):
    """What kind of S3 server there is."""

    AUTO = "auto"
    AWS = "aws"
    CEPH = "ceph"
    OTHER = "other"


class CatalogueSettings(BaseSettings):
    """The SQL database."""

    model_config = config("NIGHTLIGHT_CATALOGUE_")

    url: SecretStr | None = None
    """SQLAlchemy URL, such as `postgresql+psycopg://user:password@host/name`. Unset in the embedded deployment: SQLite
    in the data folder."""
    pool_size: int = Field(default=10, ge=1, le=200)
    """Connections kept open by one process."""
    timeout_s: float = Field(default=5.0, gt=0, le=60)
    """Seconds to wait for a connection, a lock or a statement before giving up."""


class StoreSettings(BaseSettings):
    """The object store: its buckets, and one identity for each kind of process.

    Give the service credentials that may put originals and get renditions; give the workers
    credentials that may get originals and put renditions. Neither process needs the other's.
    """

    model_config = config("NIGHTLIGHT_STORE_")

    kind: StoreKind = StoreKind.LOCAL
    """`local` (a folder) or `s3`."""
    endpoint_url: str | None = None
    """S3 endpoint; unset for AWS."""
    region: str = "us-east-1"
    """S3 region."""
    access_key_id: str | None = None
    """This process's S3 access key id."""
    secret_access_key: SecretStr | None = None
    """This process's S3 secret key."""
    originals_bucket: str = "nightlight-originals"
    """Bucket of the originals."""
    renditions_bucket: str = "nightlight-renditions"
    """Bucket of the renditions."""
    exports_bucket: str = "nightlight-exports"
    """Bucket of people's exports of their own data, each for a day: workers write there, and the service reads."""
    vault_bucket: str = "nightlight-vault"
    """Bucket of what is under a legal or safeguarding hold: workers may put there and not read."""
    vault_lock: bool = True
    """Whether objects are put into the vault under S3's legal hold, for which the bucket needs object lock; without it,
    whoever may delete there can."""
    server: ServerKind = ServerKind.AUTO
    """`aws`, `ceph` (RGW) or `other`: what policies can be told, and whether originals must be sealed. `auto` is `aws`
    without an endpoint or with one of amazonaws.com over HTTPS, and `other` besides."""
    seal: SealMode = SealMode.AUTO
    """Whether originals are sealed. `auto`: wherever there is a key for it, and on every S3 server but AWS, where the
    service does not start without one: on others a process may read what it put by ways that no policy closes. `off`
    stores them as they are: for servers on which `nightlight buckets check --identity service --elsewhere BUCKET` found
    every way closed."""
    seal_public_key: SecretStr | None = None
    """`id:base64` of an X25519 public key, for the service (and for workers that take pictures in): every original is
    encrypted under a key of its own, sealed to this one and destroyed with the image. `nightlight keys seal` makes a
    pair. Unset: see `NIGHTLIGHT_STORE_SEAL`."""
    seal_private_keys: SecretStr | None = None
    """This process's X25519 private keys, `id:base64,id:base64`: the workers' open originals, the keeper's open the
    vault. All of them open what was sealed to theirs."""
    vault_seal_public_key: SecretStr | None = None
    """`id:base64` of another X25519 public key, for the workers: what goes into the vault is sealed to whoever keeps
    it. `nightlight keys seal --vault` makes a pair. Where originals must be sealed (see `NIGHTLIGHT_STORE_SEAL`) and
    this is unset, what is held waits outside the vault."""
    connect_timeout_s: float = Field(default=2.0, gt=0, le=30)
    """Seconds to wait for a connection."""
    read_timeout_s: float = Field(default=10.0, gt=0, le=60)
    """Seconds to wait for an answer."""


class BucketsSettings(BaseSettings):
    """What buckets must be like: `nightlight buckets`."""

    model_config = config("NIGHTLIGHT_BUCKETS_")

    service_principal: str | None = None
    """ARN of the service's identity, for the buckets' policies. Unset: attach what `nightlight buckets policy service`
    prints to the identity instead."""
    worker_principal: str | None = None
    """ARN of the workers' identity, likewise."""
    keeper_principal: str | None = None
    """ARN of whoever keeps the vault, likewise."""
    tls_only: bool = True
    """Whether buckets refuse requests without TLS."""
    block_public: bool = True
    """Whether buckets refuse public ACLs and policies, and do not only ignore public ACLs. Turn it off on Ceph 16,
    which then lets nobody write but the buckets' owner, and takes every policy for a public one."""
    kms_keys: dict[str, str] = Field(default_factory=dict)
    """ARNs of the KMS keys that buckets encrypt with by default, as JSON: `{"originals": "arn:..."}`. A bucket without
    one has the server's own keys (AES256)."""
    log_bucket: str | None = None
    """Bucket that takes the buckets' access logs; unset: none."""


class SourceSettings(BaseSettings):
    """Other buckets, from which pictures are imported: `nightlight backfill`, and notifications of S3."""

    model_config = config("NIGHTLIGHT_SOURCE_")

    buckets: dict[str, str] = Field(default_factory=dict)
    """The buckets that notifications are listened to from, each with the form of its keys, as JSON: `{"avatars":
    "avatars/{profile}/*.jpg"}`. `*` is any text without a slash, `**` any text."""
    follow_removals: bool = True
    """Whether what notifications say was deleted there is deleted here too. Turn it off, or the notifications, before
    the other bucket is emptied."""
    endpoint_url: str | None = None
    """S3 endpoint of the other buckets; unset: the store's."""
    region: str | None = None
    """Their region; unset: the store's."""
    access_key_id: str | None = None
    """S3 key id of who may read the other buckets; unset: this process's own."""
    secret_access_key: SecretStr | None = None
    """The secret key with it."""
    queue_url: str | None = None
    """URL of the SQS queue of notifications that `python -m workers imports` reads."""
    queue_endpoint_url: str | None = None
    """SQS endpoint; unset for AWS."""


class PolicySettings(BaseSettings):
    """Where the policy pack is."""

    model_config = config("NIGHTLIGHT_POLICY_")

    dir: Path | None = None
    """The folder of the policy pack that is used until a bundle is activated; unset: the default pack, which comes with
    Nightlight."""
    publisher_keys: Path | None = None
    """JWKS of the keys that may sign bundles; unset: none can be activated."""
    safety_keys: Path | None = None
    """JWKS of the keys that may approve a change that opens something."""
    poll_s: float = Field(default=1.0, ge=0.05, le=60)
    """Seconds after which a process looks whether another policy is active."""
    share_key: SecretStr | None = None
    """Base64 key, at least 32 bytes, that chooses which profiles a staged candidate decides for; unset: the name key
    chooses."""
    counter_flush_s: float = Field(default=10.0, ge=0.1, le=600)
    """Seconds after which counts of decisions are written down."""
    counter_threshold: int = Field(default=10, ge=1, le=1_000_000)
    """Counts below this are left out of what is exported."""

    @property
    def folder(self) -> Path:
        """Return the folder of the pack; raises SettingsRefused if none is named and the default is not installed."""
        return self.dir if self.dir is not None else default_policies()


class ReplicaSettings(BaseModel):
    """Another bucket with the same keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    replica_of: Literal["originals", "renditions"]
    bucket: str = Field(min_length=3, max_length=63)
    endpoint_url: str | None = None
    region: str | None = None


class ExportSettings(BaseSettings):
    """Exports of a person's own data."""

    model_config = config("NIGHTLIGHT_EXPORT_")

    hours: int = Field(default=24, ge=1, le=24)
    """Hours for which an export can be fetched; after a day its bucket's rule deletes it too."""
    per_day: int = Field(default=3, ge=1, le=100)
    """Exports of one profile that may be asked for in a day."""
    per_hour: int = Field(default=100, ge=1, le=100_000)
    """Exports that the workers make in an hour, of all profiles together; more of them wait. So a service that somebody
    has taken over gets few originals."""
    max_bytes: int = Field(default=100_000_000, ge=10_000_000, le=1_000_000_000)
    """Bytes of an archive; what does not fit is left out, the oldest originals first. The service holds two at a
    time in memory."""
    seal_to: str = Field(default="", pattern=r"^(age1[02-9ac-hj-np-z]{58}(,age1[02-9ac-hj-np-z]{58})*)?$")
    """age recipients, `age1...,age1...`, for the workers: every export is sealed to one of these, so that the service
    cannot read it. A request may choose one of them, and no other. Unset: see `NIGHTLIGHT_EXPORT_SERVICE_MAY_READ`."""
    service_may_read: bool | None = None
    """Whether the workers make exports that the service can read where `NIGHTLIGHT_EXPORT_SEAL_TO` is unset: unsealed,
    or sealed to whatever key the request names. Unset: not in a scale deployment in production, where such exports
    fail."""

    @property
    def recipients(self) -> tuple[str, ...]:
        """Return the age recipients."""
        return tuple(self.seal_to.split(",")) if self.seal_to else ()


class LifecycleTarget(BaseModel):
    """A bucket whose lifecycle rules are managed, and as whom: a profile of the AWS files, a role, or both."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    use: Literal["originals", "renditions", "exports", "vault"]
    bucket: str = Field(min_length=3, max_length=63)
    endpoint_url: str | None = None
    region: str | None = None
    profile: str | None = None
    role_arn: str | None = None
    external_id: str | None = None


class RetentionSettings(BaseSettings):
    """Erasures, and the receipts of them."""

    model_config = config("NIGHTLIGHT_RETENTION_")

    receipt_key: Path | None = None
    """The workers' private Ed25519 JWK that signs receipts of erasures; unset: there are none."""
    residuals: str = Field(default="", pattern=r"^$|^[^:,]{1,60}:[0-9]{1,5}(,[^:,]{1,60}:[0-9]{1,5})*$")
    """Where copies of what is erased stay, and for how many days, as `database backups:35,replica:1`: receipts tell of
    it."""
    replicas: list[ReplicaSettings] = Field(default_factory=list)
    """Other buckets with the same keys, where erasures happen too, as JSON: `[{"replica_of": "originals", "bucket":
    "copies", "endpoint_url": "https://...", "region": "eu-west-1"}]`. The workers' identity must be one there as
    well."""
    move_originals: str = Field(
        default="", pattern=r"^$|^(STANDARD_IA|ONEZONE_IA|INTELLIGENT_TIERING|GLACIER_IR):[0-9]{1,5}$"
    )
    """Storage class that originals are moved to by their bucket, and after how many days: `STANDARD_IA:30`. Only
    classes that are read at once."""
    lifecycle_targets: list[LifecycleTarget] = Field(default_factory=list)
    """The buckets that `nightlight lifecycle` manages in one run, in any account and region, as JSON: `[{"use":
    "originals", "bucket": "eu-originals", "region": "eu-west-1", "profile": "eu", "role_arn":
    "arn:aws:iam::111122223333:role/lifecycle", "external_id": "..."}]`. Unset: the store's own four, with the store's
    identity. `endpoint_url` is for another server than the store's, `profile` a profile of the AWS configuration
    files."""
    sweep_s: float = Field(default=3600.0, ge=1, le=7 * 86400)
    """Seconds after which the schedule begins a sweep again."""
    hold_approvers: frozenset[str] = frozenset()
    """The people who may approve of a hold's end, as JSON: `["anna@example.com", "ben@example.com"]`. Each is the `sub`
    of that person's tokens. Two of them end a hold, neither of whom placed it; without any, only its date ends one."""
    prove_again_s: float = Field(default=3600.0, ge=1, le=30 * 86400)
    """Seconds after which it is looked again whether anything is left of what was erased: more than the server takes to
    finish deleting and replicating."""


class ErasureSettings(BaseSettings):
    """Tombstones: what is left of an erased profile."""

    model_config = config("NIGHTLIGHT_ERASURE_")

    keys: SecretStr | None = None
    """Key ring of the service, the workers and the schedule, as `id:base64,id:base64`: the first makes the hashes in
    tombstones and receipts. `nightlight keys rotate erasure` rotates it, and keeps each old one for
    `NIGHTLIGHT_ERASURE_KEEP_DAYS` more: without it nobody can purge a restored backup of whom it erased."""
    keep_days: int = Field(default=400, ge=8, le=36_500)
    """Days that a tombstone is kept. Not less than the longest days of `NIGHTLIGHT_RETENTION_RESIDUALS`: as long as a
    backup lives, whoever restores it must be able to erase from it again."""
